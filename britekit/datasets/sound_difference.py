"""How far two stored spectrograms differ as sound, whatever a network makes of them.

The difference is 1 - the highest correlation of the two in time, over lags up to 0.1 s, with the mean of each
band removed, so that a steady background counts for nothing. Measured on all pairs of a class in 460
recordings of 19 classes (ESC-10, grasshoppers and crickets): different recordings 0.22 and more, copies as MP3
of 48 or 64 kbit/s, a third as loud or shifted by 50 ms, at most 0.15 in 17 classes (in two, MP3 leaves out
much of the sound). Two clips of ESC-10 with different numbers have 0.03: they hold the same sound.

Legend: B bands, F frequencies of the transform over time, N pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from britekit.config.audio import AudioConfig

SAME_SOUND = 0.15
_LAG_S = 0.1
_AT_ONCE = 512


class SoundComparison:
    """Compares stored spectrograms by their IDs.

    Parameters
    ----------
    images
        Returns the spectrograms (H, W) of a list of IDs, in its order.
    """

    def __init__(self, images: Callable[[Sequence[int]], Iterable[NDArray[np.float32]]], audio: AudioConfig) -> None:
        self._images = images
        self._lag = max(1, round(_LAG_S * audio.spec_width / audio.spec_duration))
        self._length = 1 << (audio.spec_width + self._lag - 1).bit_length()
        self._known: dict[int, NDArray[np.complex64]] = {}

    def differences(self, first_N: NDArray[np.int64], second_N: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the difference of each pair of IDs, float64 (N,) from 0 to 2; 1 where one has no sound."""
        self._read(np.union1d(first_N, second_N))
        result = np.empty(len(first_N))
        order = np.argsort(first_N, kind="stable")
        begins = np.flatnonzero(np.diff(first_N[order])) + 1
        for rows in np.split(order, begins) if len(order) else ():
            for part in np.array_split(rows, -(-len(rows) // _AT_ONCE)):
                others = np.stack([self._known[key] for key in second_N[part].tolist()])
                mine = self._known[int(first_N[part[0]])].conj()
                curves = np.fft.irfft(np.einsum("bf,nbf->nf", mine, others), self._length)
                near = np.concatenate([curves[:, : self._lag + 1], curves[:, -self._lag :]], axis=1)
                result[part] = 1.0 - near.max(axis=1)
        return result

    def same(self, first_N: NDArray[np.int64], second_N: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each pair whether it is the same sound."""
        return self.differences(first_N, second_N) <= SAME_SOUND

    def _read(self, ids: NDArray[np.int64]) -> None:
        wanted = [key for key in ids.tolist() if key not in self._known]
        for key, image_HW in zip(wanted, self._images(wanted), strict=True):
            bands = image_HW - image_HW.mean(axis=1, keepdims=True)
            size = np.sqrt((bands**2).sum())
            if size > 1e-9 * bands.size:
                bands /= size
            self._known[key] = np.fft.rfft(bands, self._length).astype(np.complex64)
