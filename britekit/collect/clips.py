"""A recording, or seconds of one, as MP3 of 192 kbit/s; no ffmpeg program is needed."""

import os
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from britekit.audio.decoding import AudioReader
from britekit.audio.resampling import Resampler
from britekit.errors import InputError

# MPEG-1, where the encoder's scale 0 to 1 runs from 320 down to 32 kbit/s, and MPEG-2, from 160 to 8.
_RATES_1 = (32000, 44100, 48000)
_RATES_2 = (16000, 22050, 24000)
RATES = (*_RATES_2, *_RATES_1)
_KBITS = 192


def check_rate(rate: int) -> None:
    """Refuse a sampling rate that MP3 does not have.

    Raises
    ------
    InputError
    """
    if rate not in RATES:
        known = ", ".join(map(str, sorted(RATES)))
        raise InputError(f"--sr is {rate}; MP3 has the sampling rates {known} (Hz)")


def write_mp3(
    source: Path, target: Path, rate: int, start_s: float = 0.0, seconds: float | None = None
) -> float:
    """Write a recording, or a part of it, as MP3 and return the length written in seconds.

    Parameters
    ----------
    source
        Any audio file, read in blocks.
    target
        The MP3, overwritten.
    rate
        Its sampling rate, Hz, one of `RATES`.
    start_s, seconds
        The part wanted; it may end early with the recording.

    Raises
    ------
    InputError
        The source cannot be decoded, or ends before the part begins.
    """
    check_rate(rate)
    with AudioReader(source) as reader:
        channels = min(2, reader.channels)
        resamplers = [Resampler(reader.rate, rate) for _ in range(channels)]
        first = round(start_s * reader.rate)
        last = None if seconds is None else first + round(seconds * reader.rate)
        written, at = 0, 0
        with soundfile.SoundFile(
            os.fspath(target), "w", rate, channels, format="MP3", subtype="MPEG_LAYER_III",
            bitrate_mode="CONSTANT", compression_level=_level(rate),
        ) as file:  # fmt: skip
            for block in reader.blocks():
                part = block[:channels, max(0, first - at) : None if last is None else max(0, last - at)]
                at += block.shape[1]
                written += _write(file, [one.push(row) for one, row in zip(resamplers, part, strict=True)])
                if last is not None and at >= last:
                    break
            written += _write(file, [one.finish() for one in resamplers])
    if not written:
        raise InputError(f"the recording ends after {at / reader.rate:.1f} s, before second {start_s:g}")
    return written / rate


def _write(file: soundfile.SoundFile, channels: list[np.ndarray]) -> int:
    # what resampling overshoots would wrap around in the encoder
    samples = np.clip(np.stack(channels, axis=1), -1.0, 1.0)
    if len(samples):
        file.write(samples)
    return len(samples)


def _level(rate: int) -> float:
    """Return the encoder's level for 192 kbit/s, or the most that a low rate has."""
    return (320 - _KBITS) / (320 - 32) if rate in _RATES_1 else 0.0
