"""Choose a few spectrograms per recording, so that long recordings do not outweigh short ones.

Legend: N spectrograms, C classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from britekit.errors import TrainingError, counted, some

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PerRecording:
    """A choice of at most ``most`` spectrograms per recording among given ones, another in each epoch."""

    recordings: NDArray[np.int64]
    """(N,) recording of each spectrogram."""
    is_spared: NDArray[np.bool_]
    """(N,) spectrograms that are always taken, since they are of a rare class."""
    most: int

    @property
    def size(self) -> int:
        """Number of spectrograms that a choice has."""
        counts = np.unique(self.recordings[~self.is_spared], return_counts=True)[1]
        return int(self.is_spared.sum() + np.minimum(counts, self.most).sum())

    def choose(self, seed: int) -> NDArray[np.int64]:
        """Return the places of the chosen spectrograms, ascending; equal seeds give equal choices."""
        keys = np.random.default_rng(seed).random(len(self.recordings))
        chosen = _first(self.recordings, keys, self.most, ~self.is_spared)
        return np.flatnonzero(chosen | self.is_spared)


def sample_per_recording(
    recordings_N: NDArray[np.int64] | None,
    labels_NC: NDArray[np.uint8],
    most: int,
    min_recordings: int | None = None,
    class_names: Sequence[str] | None = None,
) -> PerRecording:
    """Return the choice of spectrograms for each epoch, and log what it leaves.

    Raises `TrainingError` if the training file does not name the recordings.

    Parameters
    ----------
    recordings_N
        Recording of each spectrogram; None if the training file does not name it.
    labels_NC
        Labels of the same spectrograms, 0 or 1.
    most
        Spectrograms per recording and epoch.
    min_recordings
        All spectrograms of a class with fewer recordings are taken.
    class_names
        For the log.
    """
    recordings = _named(recordings_N, "train.max_per_recording")
    spared = np.zeros(len(recordings), bool)
    rare = []
    for c in range(labels_NC.shape[1]):
        has = labels_NC[:, c] > 0
        if has.any() and len(np.unique(recordings[has])) < (min_recordings or 0):
            rare.append(str(c) if class_names is None else class_names[c])
            spared |= has
    found = PerRecording(recordings, spared, most)
    kept = f"{found.size} of {counted(len(recordings), 'training spectrogram')} are used per epoch"
    log.info("train.max_per_recording %d: %s%s", most, kept, f"; all of {some(rare, 5)}" if rare else "")
    return found


def first_per_recording(recordings_N: NDArray[np.int64] | None, most: int) -> NDArray[np.bool_]:
    """Return which spectrograms are among the first ``most`` of their recording, (N,) bool.

    Raises `TrainingError` if the training file does not name the recordings.
    """
    recordings = _named(recordings_N, "train.val_max_per_recording")
    keys = np.arange(len(recordings), dtype=np.float64)
    return _first(recordings, keys, most, np.ones(len(recordings), bool))


def _first(
    recordings: NDArray[np.int64], keys: NDArray[np.float64], most: int, among: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which spectrograms have the ``most`` smallest keys of their recording."""
    places = np.flatnonzero(among)
    order = places[np.lexsort((keys[places], recordings[places]))]
    sorted_ids = recordings[order]
    starts = np.flatnonzero(np.r_[True, sorted_ids[1:] != sorted_ids[:-1]]) if len(order) else np.arange(0)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    chosen = np.zeros(len(recordings), bool)
    chosen[order[rank < most]] = True
    return chosen


def _named(recordings_N: NDArray[np.int64] | None, setting: str) -> NDArray[np.int64]:
    if recordings_N is None:
        raise TrainingError(
            f"{setting} needs to know the recording of each spectrogram, but the training file does not name it; "
            "run pickle again, or set it to null"
        )
    return recordings_N
