"""Spectrograms at given seconds of a recording of any length, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import AudioReader
from britekit.audio.spectrogram import compute_spectrograms
from britekit.config.audio import AudioConfig

# Kept before an excerpt, so that even a short one does not look like a recording too short for any.
_CONTEXT_S = 1.0


def iter_excerpts(
    path: str | os.PathLike[str], cfg: AudioConfig, offsets: Sequence[float]
) -> Iterator[tuple[float, np.ndarray | None]]:
    """Yield each offset, ascending, with its normalised spectrogram, float32 (H, W).

    The numbers are those of the whole recording in memory. Where less than one second (or than the duration
    of a spectrogram, if that is shorter) is left, there is None.

    Parameters
    ----------
    path
        The recording.
    cfg
        Section ``audio``.
    offsets
        Seconds, 0 or more.

    Raises
    ------
    InputError
        The file cannot be decoded.
    """
    rate = cfg.sampling_rate
    waiting = sorted(offsets)
    held, first = np.empty(0, np.float32), 0

    def excerpt(offset: float) -> np.ndarray | None:
        normalised, _, present = compute_spectrograms(held, [offset - first / rate], cfg)
        return normalised[0] if present[0] else None

    with AudioReader(path) as reader:
        mono = MonoSignal(reader.channels, reader.rate, cfg)
        for block in reader.blocks():
            held = np.concatenate([held, mono.push(block)])
            while waiting and first + len(held) > (waiting[0] + cfg.spec_duration) * rate + 1:
                offset = waiting.pop(0)
                yield offset, excerpt(offset)
            if not waiting:
                return
            # Whole seconds are dropped, so that an offset stays the same number of samples.
            drop = int(max(0.0, min(waiting[0] - _CONTEXT_S, (first + len(held)) / rate)) * rate) - first
            drop = max(0, min(drop, len(held)) // rate * rate)
            held, first = held[drop:], first + drop
        held = np.concatenate([held, mono.finish()])
    for offset in waiting:
        yield offset, excerpt(offset)
