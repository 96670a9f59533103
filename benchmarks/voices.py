"""Voices: recall on spoken sentences at 0, 6 and 12 dB, and false alarms per hour where there are none.

    python benchmarks/voices.py WORK --data DIR [--recorded DIR] [--hours 8.5]

--data holds `esc10/` and `insects/`; --recorded holds folders of `.g722` prompts, one per speaker, as Debian's packages
asterisk-core-sounds-*-g722 unpack them. espeak-ng must be installed. Everything is at 16 kHz, so decibels compare what
the network hears. Without voices: soundscapes of `sample` (the first twelve at sites of their own), ESC-10 less its
human sounds (baby cry, sneeze) and insects, these two also at 0.8 and 1.25 times their speed (named "changed").
Threshold and shortest stretch are chosen on one half (soundscapes, sources, folds, voices) and reported on the other,
both ways: of the settings whose recall is within 0.005 of the best, those with the fewest false alarms, of these the
shortest length, then the highest threshold.
Probabilities are kept in WORK, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from britekit.audio.decoding import read_audio  # noqa: E402
from britekit.audio.resampling import resample  # noqa: E402
from britekit.collect.synth.sites import draw_site  # noqa: E402
from britekit.collect.synth.soundscape import RATE as SYNTH_RATE  # noqa: E402
from britekit.collect.synth.soundscape import Bout, synthesize  # noqa: E402
from britekit.collect.synth.species import first_species  # noqa: E402
from britekit.quality.voices import FRAME_S, RATE, VoiceSettings, VoiceStream, stretches_of  # noqa: E402

HUMAN = {"Baby cry", "Person sneeze"}
# People speak behind the insects in these: their spectrograms show formants. Found voices are counted apart.
SPOKEN_IN = ("tevi-111-16", "oepe-053-06")
SNR_DB = (0, 6, 12)
MINUTES, EXCERPT_S = 10, 12.0
VOICES = (
    "en-us", "en-gb+f2", "en-gb-scotland+m3", "en-029+f4", "de+m7", "fr-fr+f3", "es+m1", "it+f1", "pt-br+m5", "ru+f5",
)  # fmt: skip
SENTENCES = {
    "en": [
        "Have you seen where the path goes from here?", "We should change the batteries before it rains.",
        "The children are waiting for us at the car.", "I think I heard an owl behind that tree.",
        "Please hold the ladder while I climb up.", "It is half past six and still quite dark.",
    ],
    "de": [
        "Wo geht der Weg von hier aus weiter?", "Wir sollten die Batterien wechseln, bevor es regnet.",
        "Die Kinder warten am Auto auf uns.", "Ich glaube, ich habe eine Eule gehört.",
        "Halte bitte die Leiter, während ich hochsteige.", "Es ist halb sieben und noch ganz dunkel.",
    ],
    "fr": [
        "Est-ce que tu sais où mène ce chemin?", "Il faut changer les piles avant la pluie.",
        "Les enfants nous attendent près de la voiture.", "Je crois avoir entendu une chouette.",
        "Tiens l'échelle pendant que je monte.", "Il est six heures et demie et il fait encore nuit.",
    ],
    "es": [
        "¿Sabes adónde lleva este camino?", "Hay que cambiar las pilas antes de que llueva.",
        "Los niños nos esperan junto al coche.", "Creo que he oído un búho detrás del árbol.",
        "Sujeta la escalera mientras subo.", "Son las seis y media y todavía está oscuro.",
    ],
    "it": [
        "Sai dove porta questo sentiero?", "Dobbiamo cambiare le batterie prima che piova.",
        "I bambini ci aspettano vicino alla macchina.", "Credo di aver sentito un gufo.",
        "Tieni la scala mentre salgo.", "Sono le sei e mezza ed è ancora buio.",
    ],
    "pt": [
        "Você sabe para onde vai este caminho?", "Precisamos trocar as pilhas antes da chuva.",
        "As crianças estão esperando perto do carro.", "Acho que ouvi uma coruja atrás da árvore.",
        "Segure a escada enquanto eu subo.", "São seis e meia e ainda está escuro.",
    ],
    "ru": [
        "Ты знаешь, куда ведёт эта тропа?", "Нужно поменять батарейки, пока не пошёл дождь.",
        "Дети ждут нас у машины.", "Мне кажется, я слышал сову за деревом.",
        "Подержи лестницу, пока я поднимусь.", "Сейчас половина седьмого, и ещё темно.",
    ],
}  # fmt: skip
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
LENGTHS_S = (0.1, 0.25, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Item:
    """Something to hear: a recording without voices, or an excerpt with one sentence in it."""

    key: str
    kind: str
    half: int
    make: Callable[[], np.ndarray]
    """Returns the samples, which are needed only if they were not heard yet."""
    spoken: tuple[float, float] = (0.0, 0.0)
    snr_db: int = 0


def soundscapes(hours: float) -> Iterator[Item]:
    species = first_species(8)

    def made(number: int) -> np.ndarray:
        # The first twelve have sites of their own (echo, water, insects), which take longer to synthesize.
        site = draw_site(5, number + 1, len(species)) if number < 12 else None
        rng = np.random.default_rng((5, number))
        bouts = []
        for _ in range(int(rng.poisson(2 * MINUTES))):
            start = float(rng.uniform(0, MINUTES * 60 - 25))
            who = species[int(rng.choice(len(species), p=None if site is None else site.weights))]
            bouts.append(Bout(who, start, start + float(rng.uniform(8, 25)), (-18.0, 8.0), 1.5))
        return resample(synthesize(rng, MINUTES * 60.0, bouts, site)[0], SYNTH_RATE, RATE)

    for number in range(round(hours * 60 / MINUTES)):
        yield Item(f"soundscape {number}", "soundscapes", (number + 1) % 2, partial(made, number))


def real(data: Path) -> Iterator[Item]:
    with open(data / "insects" / "split.csv", encoding="utf-8", newline="") as file:
        train = {row["recording"] for row in csv.DictReader(file) if row["split"] == "train"}

    def made(path: Path, speed: float) -> np.ndarray:
        wave = read_audio(path)
        return resample(wave.samples.mean(axis=0), round(wave.rate * speed), RATE)

    for folder in ("esc10", "insects"):
        for path in sorted((data / folder / "recordings").rglob("*.ogg")):
            if path.parent.name in HUMAN:
                continue
            half = int(path.name[0]) % 2 if folder == "esc10" else int(path.stem in train)
            for speed in (1.0, 0.8, 1.25):
                kind = folder if speed == 1.0 else f"{folder} changed"
                yield Item(f"{folder} {path.stem} {speed}", kind, half, partial(made, path, speed))


def spoken(recorded: Path | None) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Yield (name, kind, half, samples) of each sentence."""
    with tempfile.TemporaryDirectory() as folder:
        for number, voice in enumerate(VOICES):
            for line, sentence in enumerate(SENTENCES[voice[:2]]):
                path = Path(folder) / "spoken.wav"
                subprocess.run(["espeak-ng", "-v", voice, "-w", path, sentence], check=True)
                samples, rate = soundfile.read(path, dtype="float32")
                yield f"{voice} {line}", "espeak-ng", number % 2, trimmed(resample(samples, rate, RATE))
    for number, speaker in enumerate(sorted(recorded.iterdir()) if recorded else []):
        taken = 0
        some = [path for path in speaker.glob("*.g722") if path.stat().st_size]  # one of the packages has an empty one
        for path in sorted(some, key=lambda path: zlib.crc32(path.name.encode())):
            samples = trimmed(read_g722(path))
            if taken < 24 and 1.5 <= len(samples) / RATE <= 8:
                taken += 1
                yield f"{speaker.name} {path.stem}", "recorded", number % 2, samples


def read_g722(path: Path) -> np.ndarray:
    """Return the samples of a file without a header, which FFmpeg reads only if the format is given: 16 kHz, mono."""
    with av.open(str(path), format="g722") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(blocks).astype(np.float32) / 2**15


def trimmed(samples: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def active_rms(samples: np.ndarray) -> float:
    """Return the level of the frames of 20 ms within 30 dB of the loudest one."""
    size = RATE // 50
    powers = np.square(samples[: len(samples) // size * size].reshape(-1, size)).mean(axis=1)
    return float(np.sqrt(powers[powers > powers.max() / 1000].mean()))


def backgrounds_of(quiet: Iterable[Item]) -> dict[tuple[int, str], list[np.ndarray]]:
    """Return what sentences are mixed into: for each half 30 recordings of each real kind, and three soundscapes."""
    found: dict[tuple[int, str], list[np.ndarray]] = defaultdict(list)
    for item in sorted(quiet, key=lambda item: zlib.crc32(item.key.encode())):
        there = found[item.half, item.kind]
        if len(there) < (3 if item.kind == "soundscapes" else 30) and "changed" not in item.kind:
            there.append(item.make())
    return found


def mixed(around_of: dict[tuple[int, str], list[np.ndarray]], recorded: Path | None) -> Iterator[Item]:
    rng = np.random.default_rng(7)
    for name, kind, half, sentence in spoken(recorded):
        for snr in SNR_DB:
            for take in range(4 if kind == "espeak-ng" else 1):
                while True:
                    wanted = ("soundscapes", "esc10", "insects")[int(rng.integers(3))]
                    there = around_of[half, wanted]
                    around = there[int(rng.integers(len(there)))]
                    around = np.resize(around, max(len(around), len(sentence) + RATE))
                    size = max(round(EXCERPT_S * RATE), len(sentence) + RATE)
                    first = int(rng.integers(max(1, len(around) - size)))
                    mix = around[first : first + size].copy()
                    at = int(rng.integers(len(mix) - len(sentence)))
                    level = float(np.sqrt(np.square(mix[at : at + len(sentence)]).mean()))
                    if level > 1e-3:
                        break
                mix[at : at + len(sentence)] += sentence * (level * 10 ** (snr / 20) / active_rms(sentence))
                mix /= max(1.0, float(np.abs(mix).max()))
                where = (at / RATE, (at + len(sentence)) / RATE)
                yield Item(f"{name} {snr} {take}", kind, half, partial(np.asarray, mix, np.float32), where, snr)


def scored(items: Iterable[Item], kept: Path) -> list[tuple[Item, np.ndarray, float]]:
    """Return items, their probabilities and seconds; what is in the folder is not heard again."""
    kept.mkdir(parents=True, exist_ok=True)
    found = []
    for item in items:
        file = kept / f"{zlib.crc32(item.key.encode()):08x}.npy"
        if not file.exists():
            stream, samples = VoiceStream(RATE), item.make()
            blocks = [stream.push(samples[i : i + 10 * RATE]) for i in range(0, len(samples), 10 * RATE)]
            partial_file = file.with_suffix(".partial.npy")
            np.save(partial_file, np.concatenate([*blocks, stream.finish()]))
            partial_file.replace(file)
        probabilities = np.load(file)
        found.append((replace(item, make=lambda: np.empty(0)), probabilities, len(probabilities) * FRAME_S))
    return found


def found_share(item: Item, probabilities: np.ndarray, seconds: float, settings: VoiceSettings) -> float:
    """Return the share of a sentence within stretches."""
    first, last = item.spoken
    voices = stretches_of(probabilities, settings, seconds)
    covered = sum(max(0.0, min(voice.end, last) - max(voice.start, first)) for voice in voices)
    return covered / (last - first)


def alarms(quiet: list, settings: VoiceSettings) -> tuple[int, float]:
    count = sum(len(stretches_of(probabilities, settings, seconds)) for _, probabilities, seconds in quiet)
    return count, sum(seconds for *_, seconds in quiet) / 3600


def choose(quiet: list, speech: list) -> VoiceSettings:
    """Return the settings that the rule above chooses on one half; print all."""
    found = []
    for threshold in THRESHOLDS:
        for length in LENGTHS_S:
            settings = VoiceSettings(threshold, length)
            count, hours = alarms([one for one in quiet if not any(name in one[0].key for name in SPOKEN_IN)], settings)
            recall = float(np.mean([found_share(*one, settings) >= 0.5 for one in speech]))
            print(f"threshold {threshold:g}, {length:g} s: {count / hours:.2f}/h, recall {recall:.4f}")
            found.append((recall, count, length, -threshold, settings))
    best = max(recall for recall, *_ in found) - 0.005
    return min((row for row in found if row[0] >= best), key=lambda row: row[1:4])[4]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recorded", type=Path)
    parser.add_argument("--hours", type=float, default=8.5)
    options = parser.parse_args()
    items = [*real(options.data), *soundscapes(options.hours)]
    quiet = scored(items, options.work / "quiet")
    speech = scored(mixed(backgrounds_of(items), options.recorded), options.work / "speech")
    for half in (0, 1):
        chosen = choose([one for one in quiet if one[0].half == half], [one for one in speech if one[0].half == half])
        print(f"chosen on half {half + 1} = {chosen}")
        there = [one for one in quiet if one[0].half != half]
        for kind in (*dict.fromkeys(item.kind for item, *_ in there), "all"):
            count, hours = alarms([one for one in there if kind in (one[0].kind, "all")], chosen)
            print(f"false alarms, {kind} = {count} in {hours:.2f} h ({count / hours:.2f}/h)")
        with_voices = [one for one in there if any(name in one[0].key for name in SPOKEN_IN)]
        print(f"of these in recordings with people in the background = {alarms(with_voices, chosen)[0]}")
        for kind in dict.fromkeys(item.kind for item, *_ in speech):
            for snr in (*SNR_DB, None):
                shares = [
                    found_share(*one, chosen)
                    for one in speech
                    if one[0].half != half and one[0].kind == kind and snr in (one[0].snr_db, None)
                ]
                found, touched = np.mean([x >= 0.5 for x in shares]), np.mean([x > 0 for x in shares])
                print(
                    f"recall, {kind}, {'all' if snr is None else f'{snr} dB'} = {found:.4f} of {len(shares)} "
                    f"(touched {touched:.4f}, seconds {np.mean(shares):.4f})"
                )
    print(f"frames = {FRAME_S} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
