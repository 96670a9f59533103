"""Cut the sound of the worst mistakes, short enough to embed in a page."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from britekit.audio.decoding import AudioReader
from britekit.errors import InputError
from britekit.evaluation.exclusions import audio_files
from britekit.evaluation.worst_mistakes import Example, excerpt_of

_HIGHEST_RATE = 48000
_BLOCK = 1 << 16

log = logging.getLogger(__name__)


def cut_sounds(examples: Sequence[Example], folder: str | Path) -> list[bytes | None]:
    """Return the sound of each example as Ogg Vorbis, over the interval that its spectrogram shows.

    The value is None if the recording is missing or cannot be read; `draw_examples` logs a warning for these.
    """
    audio = audio_files(Path(folder), any("/" in example.recording for example in examples))
    sounds: list[bytes | None] = []
    for example in examples:
        paths = audio.get(example.recording, [])
        try:
            sounds.append(_encoded(*_read(paths[0], *excerpt_of(example))) if len(paths) == 1 else None)
        except InputError as error:
            log.debug("no sound of %s: %s", example.recording, error)
            sounds.append(None)
    return sounds


def _read(path: Path, first_s: float, seconds: float) -> tuple[np.ndarray, int]:
    """Return an interval of a recording as the mean of its channels, float32 (n,), and its rate."""
    with AudioReader(path) as reader:
        rate, at, parts = reader.rate, 0, []
        first, end = round(first_s * rate), round((first_s + seconds) * rate)
        for block in reader.blocks():
            part = block[:, max(first - at, 0) : max(end - at, 0)]
            parts.append(part.mean(axis=0))
            at += block.shape[1]
            if at >= end:
                break
    samples = np.concatenate([np.empty(0, np.float32), *parts]).astype(np.float32)
    if not len(samples):
        raise InputError(f"{path} ends before {first_s:g} s")
    if rate <= _HIGHEST_RATE:
        return samples, rate
    import soxr

    return soxr.resample(samples, rate, _HIGHEST_RATE), _HIGHEST_RATE


def _encoded(samples: np.ndarray, rate: int) -> bytes:
    """Encode samples as Ogg Vorbis, normalised to a peak of 0.9."""
    peak = float(np.abs(samples).max(initial=0.0))
    samples = samples * (0.9 / peak) if peak > 0 else samples
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", rate, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(samples), _BLOCK):  # libsndfile crashes at a long buffer in one call
            file.write(samples[start : start + _BLOCK])
    return stream.getvalue()
