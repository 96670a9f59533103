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
# From here on most of the sound is inaudible, so it is slowed down.
_ULTRASOUND_RATE, _SLOWED = 150_000, 10
_BLOCK = 1 << 16

log = logging.getLogger(__name__)


def cut_sounds(examples: Sequence[Example], folder: str | Path) -> list[bytes | None]:
    """Return the sound of each example as Ogg Vorbis, over the interval that its spectrogram shows.

    Recordings of ultrasound play ten times slower.

    The value is None if the recording is missing or cannot be read; `draw_examples` logs a warning for these.
    """
    audio = audio_files(Path(folder), any("/" in example.recording for example in examples))
    by_recording: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        by_recording.setdefault(example.recording, []).append(place)
    sounds: list[bytes | None] = [None] * len(examples)
    for recording, places in by_recording.items():
        paths = audio.get(recording, [])
        if len(paths) != 1:
            continue
        try:
            cut, rate = _read(paths[0], [excerpt_of(examples[place]) for place in places])
        except InputError as error:
            log.debug("no sound of %s: %s", recording, error)
            continue
        for place, samples in zip(places, cut, strict=True):
            sounds[place] = _encoded(samples, rate) if len(samples) else None
    return sounds


def _read(path: Path, excerpts: Sequence[tuple[float, float]]) -> tuple[list[np.ndarray], int]:
    """Return excerpts (start and length in seconds) of a recording in one pass, and their rate.

    Each is the mean of the channels, float32 (n,); empty if the recording ends before it.
    """
    with AudioReader(path) as reader:
        rate, at = reader.rate, 0
        bounds = [(round(start_s * rate), round((start_s + seconds) * rate)) for start_s, seconds in excerpts]
        parts: list[list[np.ndarray]] = [[np.empty(0, np.float32)] for _ in excerpts]
        for block in reader.blocks():
            for (first, end), held in zip(bounds, parts, strict=True):
                held.append(block[:, max(first - at, 0) : max(end - at, 0)].mean(axis=0))
            at += block.shape[1]
            if at >= max(end for _, end in bounds):
                break
    cut = [np.concatenate(held).astype(np.float32) for held in parts]
    rate = rate // _SLOWED if rate >= _ULTRASOUND_RATE else rate
    if rate <= _HIGHEST_RATE:
        return cut, rate
    import soxr

    return [soxr.resample(samples, rate, _HIGHEST_RATE) for samples in cut], _HIGHEST_RATE


def _encoded(samples: np.ndarray, rate: int) -> bytes:
    """Encode samples as Ogg Vorbis, normalized to a peak of 0.9."""
    peak = float(np.abs(samples).max(initial=0.0))
    samples = samples * (0.9 / peak) if peak > 0 else samples
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", rate, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(samples), _BLOCK):  # libsndfile crashes at a long buffer in one call
            file.write(samples[start : start + _BLOCK])
    return stream.getvalue()
