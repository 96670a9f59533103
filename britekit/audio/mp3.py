"""Encode recordings as MP3: the one encoder of the program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.audio.metadata import read_metadata
from britekit.audio.resampling import Resampler
from britekit.audio.riff import read_chunks
from britekit.errors import InputError

# Sampling rates of MPEG-1, MPEG-2 and MPEG-2.5 layer III; those of MPEG-1 allow more than 160 kbit/s.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MPEG1_FROM = 32000
BIT_RATE, MAX_BIT_RATE = 192_000, 320_000
_ENCODER_FRAMES = 1152 * 64
# LAME's initialization writes global tables, so it is serialized.
_opening = threading.Lock()


def write_mp3(
    source: Path,
    target: Path,
    rate: int,
    on_read: Callable[[float], None] | None = None,
    bit_rate: int = BIT_RATE,
    start_s: float = 0.0,
    seconds: float | None = None,
    allow_damage: bool = False,
) -> float:
    """Encode a recording, or a part of it, as MP3; return the seconds written.

    One and two channels are kept, more become their mean. Tags with time and place are copied.

    Parameters
    ----------
    target
        File to write; the caller passes a temporary one.
    on_read
        Called with the number of seconds of each block.
    bit_rate
        Constant bits per second; at most 160,000 at low sampling rates.
    start_s, seconds
        The part to encode, which may end early with the recording.
    allow_damage
        Encode the part before damage, with a warning.

    Raises
    ------
    InputError
        The recording cannot be decoded to its end, ends before the part begins, or the rate is not valid for MP3.
    OSError
        The target cannot be written.
    """
    check_rate(rate)
    with AudioReader(source, warn=allow_damage) as reader, target.open("wb") as file:
        sink = _Sink(file)
        channels = reader.channels if reader.channels <= 2 else 1
        layout = "stereo" if channels == 2 else "mono"
        resamplers = [Resampler(reader.rate, rate) for _ in range(channels)]
        first = round(start_s * reader.rate)
        last = None if seconds is None else first + round(seconds * reader.rate)
        with _opening:
            container = av.open(sink, mode="w", format="mp3")
            container.metadata.update(_tags(source))
            stream = container.add_stream("libmp3lame", rate=rate, layout=layout)
            stream.bit_rate = bit_rate
            stream.options = {"cutoff": str(rate // 2)}  # no low-pass
            stream.format = "fltp"  # type: ignore[attr-defined]
            container.start_encoding()
        written = at = 0

        def encode(samples_Cn: np.ndarray) -> None:
            nonlocal written
            for start in range(0, samples_Cn.shape[1], _ENCODER_FRAMES):
                part = np.ascontiguousarray(samples_Cn[:, start : start + _ENCODER_FRAMES], np.float32)
                frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, written, Fraction(1, rate)
                written += part.shape[1]
                container.mux(stream.encode(frame))
                sink.check()

        with container:
            for block in reader.blocks():
                part = block[:, max(0, first - at) : None if last is None else max(0, last - at)]
                at += block.shape[1]
                mixed = part if part.shape[0] == channels else part.mean(axis=0, keepdims=True)
                encode(np.stack([one.push(row) for one, row in zip(resamplers, mixed, strict=True)]))
                if on_read is not None:
                    on_read(block.shape[1] / reader.rate)
                if last is not None and at >= last:
                    break
            encode(np.stack([one.finish() for one in resamplers]))
            if written:
                container.mux(stream.encode(None))
        if not written:
            raise InputError(f"the recording ends after {at / reader.rate:.1f} s, before second {start_s:g}")
        sink.check()
        if reader.damaged_at is not None and not allow_damage:
            raise InputError(f"{shown(source)} is damaged at {reader.damaged_at:.3f} s ({reader.damage})")
        return written / rate


class _Sink:
    """An output file for FFmpeg that keeps the first error, since FFmpeg prints a traceback for each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write data, or drop it after an error."""
        self._do(lambda: self._file.write(data))
        return len(data)

    def seek(self, target: int, whence: int = 0) -> int:
        """Seek, which may flush first."""
        return self._do(lambda: self._file.seek(target, whence))

    def tell(self) -> int:
        """Return the file position."""
        return self._do(self._file.tell)

    def check(self) -> None:
        """Raise the first error, if there was one."""
        self._do(self._file.flush)
        if self._error is not None:
            raise self._error

    def _do(self, action: Callable[[], int | None]) -> int:
        if self._error is None:
            try:
                return action() or 0
            except OSError as error:
                self._error = error
        return 0


def _tags(source: Path) -> dict[str, str]:
    """Return time, place and device as tags that `read_metadata` finds in an MP3."""
    known = read_metadata(source)
    tags = {"comment": known.comment or "", "artist": known.device or ""}
    guano = read_chunks(source, frozenset({b"guan"})).get(b"guan", b"").decode("utf-8", "replace").strip("\0 \n")
    if guano:
        tags["guano"] = guano
    return {key: value for key, value in tags.items() if value}


def check_rate(rate: int) -> None:
    """Raise for a sampling rate that MP3 does not support.

    Raises
    ------
    InputError
    """
    if rate not in MP3_RATES:
        known = ", ".join(map(str, MP3_RATES))
        raise InputError(f"--sr is {rate}, which MP3 does not support; choose one of {known}")
