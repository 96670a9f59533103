"""Rain and wind: thresholds of `audio-info --quality`, chosen on one half of ESC-10 and tried on the other.

    python benchmarks/quality.py DATA

DATA holds `esc10/`. Rain: clips of the class Rain (folds 1 and 3 choose, 2 and 4 report) against the other classes;
clips are brought to a root mean square of -30 dB, since their authors made them louder. Nothing here is recorded wind:
it is noise that falls from 10 Hz on and swells in gusts, added to each clip, against the same clips without it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from britekit.audio.decoding import read_audio  # noqa: E402
from britekit.quality.spectra import Spectra, Spectral  # noqa: E402

LEVEL = 10 ** (-30 / 20)
# Not lower: the noise of many recorders, -60 dB over 20 kHz, is as smooth and steady as rain.
DECIBELS = (-95.0, -92.0, -90.0, -88.0, -86.0, -84.0, -82.0, -80.0)
SMOOTH = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
STEADY_DB = (0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)


def measured(samples: np.ndarray, rate: int) -> Spectral | None:
    spectra = Spectra(rate)
    spectra.push(samples.astype(np.float32))
    return spectra.finish()


def wind(rate: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise that falls by 5/3 per octave's power from 10 Hz and swells in gusts of some seconds, -30 dB."""
    count = round(rate * seconds)
    hz = np.fft.rfftfreq(count, 1 / rate)
    slope = np.where(hz > 5, np.maximum(hz, 5) ** (-5 / 6) / (1 + (hz / 150) ** 2), 0)
    noise = np.fft.irfft(slope * np.fft.rfft(rng.normal(size=count)), count)
    gusts = np.interp(np.arange(count) / rate, np.arange(int(seconds) + 2), rng.uniform(0.2, 1, int(seconds) + 2))
    noise *= gusts**2
    return noise * LEVEL / np.sqrt(np.mean(noise**2))


def main() -> int:
    data = Path(sys.argv[1])
    found: dict[int, list[tuple[bool, str, Spectral]]] = {0: [], 1: []}
    windy: list[tuple[bool, str, Spectral]] = []
    rng = np.random.default_rng(1)
    for path in sorted((data / "esc10" / "recordings").rglob("*.ogg")):
        wave = read_audio(path)
        samples = wave.samples.mean(axis=0)
        loud = samples[np.abs(samples) > 0]
        if not len(loud):
            continue
        samples = samples * (LEVEL / np.sqrt(np.mean(loud**2)))
        one = measured(samples, wave.rate)
        if one is None:
            continue
        name = path.parent.name
        found[int(path.name[0]) % 2].append((name == "Rain", name, one))
        windy.append((False, name, one))
        other = measured(samples * 0.2 + wind(wave.rate, len(samples) / wave.rate, rng)[: len(samples)], wave.rate)
        if other is not None:
            windy.append((True, name, other))
    best, chosen = -1.0, (0.0, 0.0, 0.0)
    for decibels in DECIBELS:
        for smooth in SMOOTH:
            for steady in STEADY_DB:
                hits, false = rates(found[1], decibels, smooth, steady)
                if hits - false > best:
                    best, chosen = hits - false, (decibels, smooth, steady)
    print(f"chosen = {chosen[0]:g} dB per Hz, smoothness {chosen[1]:g}, steady within {chosen[2]:g} dB")
    for half in (1, 0):
        hits, false = rates(found[half], *chosen)
        wrong = [name for rain, name, one in found[half] if not rain and is_rain(one, *chosen)]
        print(f"folds {'1, 3' if half else '2, 4'}: rain found {hits:.3f}, others taken for rain {false:.3f}", end=" ")
        print({name: wrong.count(name) for name in sorted(set(wrong))})
    for with_wind in (True, False):
        some = [(name, one.windy) for has, name, one in windy if has == with_wind]
        names = [name for name, is_windy in some if is_windy]
        print(f"wind {'added' if with_wind else 'not added'}: {len(names)} of {len(some)} windy", end=" ")
        print({name: names.count(name) for name in sorted(set(names))})
    return 0


def is_rain(one: Spectral, decibels: float, smooth: float, steady: float) -> bool:
    assert one.rain_db is not None and one.rain_smooth is not None and one.rain_steady is not None
    return min(one.rain_db) >= decibels and min(one.rain_smooth) >= smooth and max(one.rain_steady) <= steady


def rates(items: list[tuple[bool, str, Spectral]], *limits: float) -> tuple[float, float]:
    rain = [is_rain(one, *limits) for has, _, one in items if has]
    others = [is_rain(one, *limits) for has, _, one in items if not has]
    return float(np.mean(rain)), float(np.mean(others))


if __name__ == "__main__":
    raise SystemExit(main())
