"""Bad input by number: makes it, reads it, and judges what came of it. `test_fuzz.py` runs this as a process.

    python tests/audio/fuzzing.py FOLDER FIRST COUNT

The same numbers give the same input. FOLDER keeps the whole files that bad ones are made from. Each number is
printed before its turn, so that whoever watches knows which one crashed the process.
"""

import contextlib
import faulthandler
import json
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from britekit.audio.decoding import AudioReader, duration_of, read_audio
from britekit.audio.files import AUDIO_EXTENSIONS, find_recordings
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.errors import InputError

HANG_S = 30
SECONDS = 1.3
# Name, rate, channels, and for soundfile its options, for FFmpeg its codec and container.
WHOLE = [
    *[(f"wav-{rate}-{c}.wav", rate, c, {}) for rate in (8000, 44100, 384000) for c in (1, 2, 3, 4)],
    ("float.wav", 48000, 2, {"subtype": "FLOAT"}),
    ("adpcm.wav", 22050, 1, {"subtype": "IMA_ADPCM"}),
    ("extensible.wav", 48000, 4, {"format": "WAVEX"}),
    *[(f"flac-{rate}-{c}.flac", rate, c, {}) for rate in (8000, 48000, 384000) for c in (1, 4)],
    *[(f"mp3-{rate}-{c}.mp3", rate, c, {}) for rate in (8000, 22050, 48000) for c in (1, 2)],
    *[(f"ogg-{rate}-{c}.ogg", rate, c, {}) for rate in (8000, 44100, 96000) for c in (1, 2, 4)],
    *[(f"opus-{rate}.opus", rate, 1, {"format": "OGG", "subtype": "OPUS"}) for rate in (8000, 48000)],
    *[(f"aiff-{rate}-{c}.aiff", rate, c, {}) for rate in (8000, 192000) for c in (1, 4)],
    ("rf64.rf64", 96000, 2, {"format": "RF64"}),
    ("w64.w64", 48000, 1, {}),
    ("caf.caf", 48000, 2, {}),
    ("au.au", 16000, 1, {}),
    *[(f"m4a-{c}.m4a", 44100, c, ("aac", "ipod")) for c in (1, 2)],
    ("faststart.m4a", 44100, 1, ("aac", "ipod")),
    *[(f"aac-{c}.aac", 48000, c, ("aac", "adts")) for c in (1, 2)],
    *[(f"wma-{c}.wma", 44100, c, ("wmav2", "asf")) for c in (1, 2)],
    *[(f"webm-{c}.webm", 48000, c, ("libopus", "webm")) for c in (1, 2)],
]
NAMES = [
    "it's \"q\" {0}.wav", "two\nlines {0}.flac", "鸟 Ñandú {0}.mp3", " {0} .ogg", "-{0}.wav",
    "%s{0}.m4a", "concat:a|{0}.wav", "\u202e{0}.webm", "e\u0301\U0001f426{0}.aac",
]  # fmt: skip


def make_whole(folder: Path) -> None:
    """Write the whole files, each a sweep over noise."""
    for name, rate, channels, how in WHOLE:
        time = np.arange(int(SECONDS * rate)) / rate
        noise = np.random.default_rng(len(name)).standard_normal((len(time), channels))
        sound = 0.3 * np.sin(2 * np.pi * (300 + rate / 16 * time) * time)[:, None] + 0.02 * noise
        if isinstance(how, dict):
            soundfile.write(folder / name, sound, rate, **how)
        else:
            _write_ffmpeg(folder / name, (sound * 32767).astype("<i2"), rate, *how)


def _write_ffmpeg(path: Path, sound: np.ndarray, rate: int, codec: str, container_format: str) -> None:
    layout = {1: "mono", 2: "stereo"}[sound.shape[1]]
    options = {"movflags": "faststart"} if "faststart" in path.name else {}
    with av.open(str(path), "w", format=container_format, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, bit_rate=96000)
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        to_codec = av.AudioResampler(
            format=stream.codec_context.format.name, layout=layout, rate=rate,
            frame_size=stream.frame_size or 960,
        )  # fmt: skip
        for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


class Fuzzer:
    """Makes and judges the inputs of one folder."""

    def __init__(self, folder: Path) -> None:
        self.whole = [folder / name for name, *_ in WHOLE]
        self.place = folder / f"bad-{os.getpid()}"
        self.place.mkdir()
        self._lengths: dict[Path, float] = {}

    def run(self, number: int) -> str:
        """Read input ``number``; return what happened, or raise AssertionError."""
        rng = np.random.default_rng(number)
        kinds = [self.cut, self.cut, self.cut, self.garbled, self.flipped, self.random_bytes, self.odd]
        return kinds[number % len(kinds)](rng, number)

    def cut(self, rng: np.random.Generator, number: int) -> str:
        """Make a file that ends too early: that must be said, or nothing of it be used."""
        source = self.whole[int(rng.integers(len(self.whole)))]
        content = source.read_bytes()
        at = int(rng.integers(0, len(content)))
        path = self.place / f"cut {number}{source.suffix}"
        path.write_bytes(content[:at])
        seconds, damaged_at = self.read(path)
        if seconds is None:
            return f"{source.name} cut at {at}: refused"
        if damaged_at is None and not _ends_at_a_frame(content[:at], source.suffix):
            # Nothing said: then nothing may be missing (what was cut off was padding or an index).
            assert seconds >= self.length(source) - 1e-9, f"{source.name} cut at {at}: {seconds} s, no word"
        return f"{source.name} cut at {at}: {seconds:.3f} s"

    def garbled(self, rng: np.random.Generator, number: int) -> str:
        """Make a file with a stretch of other bytes."""
        source = self.whole[int(rng.integers(len(self.whole)))]
        content = bytearray(source.read_bytes())
        at, size = int(rng.integers(len(content))), int(2 ** rng.uniform(0, 13))
        junk = bytes(size) if rng.random() < 0.3 else rng.bytes(size)
        if rng.random() < 0.3:
            del content[at : at + size]
        else:
            content[at : at + size] = junk[: len(content) - at]
        return self.written(source, content, number, "garbled")

    def flipped(self, rng: np.random.Generator, number: int) -> str:
        """Make a file with some bits of its header changed: sizes, rates, numbers of channels."""
        source = self.whole[int(rng.integers(len(self.whole)))]
        content = bytearray(source.read_bytes())
        for at in rng.integers(0, min(len(content), 300), size=int(rng.integers(1, 6))):
            content[at] ^= 1 << int(rng.integers(8))
        return self.written(source, content, number, "flipped")

    def random_bytes(self, rng: np.random.Generator, number: int) -> str:
        """Make a file of random bytes, some behind a true beginning: the name alone makes no audio."""
        suffix = sorted(AUDIO_EXTENSIONS)[int(rng.integers(len(AUDIO_EXTENSIONS)))]
        path = self.place / f"random {number}{suffix}"
        size = int(rng.choice([0, 1, 3, 11, 12, 44, 100, 4096, 70_000]))
        beginning = b""
        if number % 2:
            source = self.whole[int(rng.integers(len(self.whole)))]
            beginning = source.read_bytes()[: int(rng.integers(4, 64))]
        path.write_bytes(beginning + rng.bytes(size))
        seconds, _ = self.read(path)
        # Bytes behind the header of a format without checksums are samples; otherwise there are none.
        assert seconds is None or beginning, f"{path.name}: {size} random bytes gave {seconds} s"
        return f"{path.name}: {'refused' if seconds is None else seconds}"

    def odd(self, rng: np.random.Generator, number: int) -> str:
        """Make odd names, directories, pipes, files that vanish, shrink, or have a twin."""
        kind = number // 7 % 6
        source = self.whole[int(rng.integers(len(self.whole)))]
        path = self.place / NAMES[number // 7 % len(NAMES)].format(number)
        path = path.with_name(path.name.rpartition(".")[0] + source.suffix)
        if kind == 0:
            path.mkdir()
            assert self.read(path)[0] is None
            return "directory: refused"
        if kind == 1:
            os.mkfifo(path)
            assert self.read(path)[0] is None
            path.unlink()
            return "pipe: refused"
        path.write_bytes(source.read_bytes())
        if kind == 2:
            path.unlink()
            assert self.read(path)[0] is None
            return "gone: refused"
        if kind == 3:  # vanishes, or is emptied, while it is read
            with contextlib.suppress(InputError), AudioReader(path, warn=False) as reader:
                blocks = reader.blocks(0.1)
                next(blocks)
                if number // 42 % 2:
                    os.truncate(path, 40)
                path.unlink()
                assert sum(block.shape[1] for block in blocks) <= reader.rate * (SECONDS + 0.2)
            return f"{source.name} vanished meanwhile"
        if kind == 4:
            twin = path.with_suffix(".wav" if source.suffix != ".wav" else ".flac")
            twin.write_bytes(self.whole[0].read_bytes())
            assert {path, twin} <= set(find_recordings(self.place))
        seconds, damaged_at = self.read(path)
        assert damaged_at is None and seconds == self.length(source), f"{path.name!r}: {seconds} s"
        return f"name {path.name!r}: read"

    def written(self, source: Path, content: bytearray, number: int, kind: str) -> str:
        path = self.place / f"{kind} {number}{source.suffix}"
        path.write_bytes(content)
        return f"{source.name} {kind}: {self.read(path)}"

    def read(self, path: Path) -> tuple[float | None, float | None]:
        """Read a file in every way; return its seconds (None if refused) and where it is damaged."""
        try:
            waveform = read_audio(path)
        except InputError as error:
            message = str(error)
            assert "\n" not in message and message.isprintable(), f"{path.name!r}: message {message!r}"
            for other in (duration_of, lambda p: list(Windows(p, AudioConfig(), WindowGrid.for_overlap(5.0, 2.5)))):
                try:
                    other(path)
                except InputError:
                    continue
                raise AssertionError(f"{path.name!r} is refused here, and read there") from error
            return None, None
        samples = waveform.samples
        assert samples.dtype == np.float32 and samples.shape[1] > 0 and np.isfinite(samples).all(), path.name
        if waveform.rate <= 1_000_000 and samples.shape[1] / waveform.rate < 100:
            windows = Windows(path, AudioConfig(), WindowGrid.for_overlap(5.0, 2.5))
            images = [batch.spectrograms for batch in windows.batches()]
            assert all(np.isfinite(i).all() and i.min() >= 0 and i.max() <= 1 for i in images), path.name
            assert (windows.seconds, windows.damaged_at) == (waveform.seconds, waveform.damaged_at)
        return waveform.seconds, waveform.damaged_at

    def length(self, path: Path) -> float:
        if path not in self._lengths:
            self._lengths[path] = read_audio(path).seconds
        return self._lengths[path]


def _ends_at_a_frame(content: bytes, suffix: str) -> bool:
    """Tell whether a bare AAC stream ends between two frames: nothing in it says that more should follow."""
    at = 0
    while suffix == ".aac" and at + 7 <= len(content):
        at += (content[at + 3] & 3) << 11 | content[at + 4] << 3 | content[at + 5] >> 5
    return suffix == ".aac" and at == len(content)


def main() -> int:
    """Run the numbers and print the problems; 1 if there are any."""
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    fuzzer = Fuzzer(folder)
    problems = 0
    for number in range(first, first + count):
        print(json.dumps({"begin": number}), flush=True)
        # A hang ends the process with the places where its threads stand.
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            outcome = fuzzer.run(number)
        except Exception as error:
            problems += 1
            print(json.dumps({"problem": number, "what": f"{type(error).__name__}: {error}"}), flush=True)
        else:
            print(json.dumps({"end": number, "what": outcome}), flush=True)
        faulthandler.cancel_dump_traceback_later()
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main())
