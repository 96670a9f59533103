"""Change the sampling rate with soxr's high-quality band-limited filter.

soxr's stream gives the same samples for any size of input blocks (verified by a test), so a file read in blocks and a
waveform in memory give equal signals.
"""

from __future__ import annotations

import numpy as np
import soxr  # type: ignore[import-untyped]

_QUALITY = "HQ"
_BLOCK = 1 << 20


class Resampler:
    """Resamples one channel block by block; a no-op between equal rates."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        same = rate_in == rate_out
        self._stream = None if same else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality=_QUALITY)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add float32 (n,); return the samples that are ready, float32 (m,)."""
        if self._stream is None:
            return samples
        return self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32))

    def finish(self) -> np.ndarray:
        """Return the rest, float32 (m,); all outputs together have round(n · rate_out / rate_in) samples."""
        empty = np.empty(0, np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)


def resample(signal: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Resample a signal in memory, float32 (n,) to (round(n · rate_out / rate_in),)."""
    if rate_in == rate_out:
        return np.ascontiguousarray(signal, np.float32)
    resampler = Resampler(rate_in, rate_out)
    parts = [resampler.push(signal[i : i + _BLOCK]) for i in range(0, len(signal), _BLOCK)]
    return np.concatenate([*parts, resampler.finish()])
