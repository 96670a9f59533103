"""Read a test per block or recording as matrices: truth from lists of classes, scores from windows.

A window belongs to the block that contains its start; the score of a unit is the highest of its windows. Seconds are
those of windows, trimmed so that windows of one class do not overlap, and clipped to their unit. N: units, C: classes,
W: windows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.listed import ListedClasses, read_block_annotations, read_recording_annotations
from britekit.annotations.reconciling import Reconciler
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.analyzed_scores import AnalyzedScores
from britekit.evaluation.exclusions import Exclusions, audio_files, find_lengths
from britekit.evaluation.grid import ROUNDED_S
from britekit.evaluation.score_reading import find_label_dir, read_scores
from britekit.evaluation.scored_test import ScoredTest, common_facts, require_usable

# Blocks are times divided by their length; this fraction tolerates rounding of the division.
_EPSILON = 1e-6

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredUnits(ScoredTest):
    """Truth and scores of the annotated units, one row per unit and one column per trained class."""

    unit: Literal["block", "recording"]
    groups_N: NDArray[np.int64]
    """(N,) recording of each row."""
    numbers_N: NDArray[np.int64]
    """(N,) number of the block, from 1; 0 if the unit is the recording."""
    starts_N: NDArray[np.float64]
    lengths_N: NDArray[np.float64]
    """(N,) start of each unit in its recording, and its length, in seconds."""
    window_row_W: NDArray[np.int64]
    """(W,) unit of each window inside one."""
    window_start_W: NDArray[np.float64]
    window_scores_WC: NDArray[np.float32]
    """Scores of windows; -1 if a window has no label of the class."""
    window_seconds_WC: NDArray[np.float32]
    """(W, C), or (W, 1) if equal for all classes: trimmed and clipped."""

    first_number: ClassVar[int] = 1

    @cached_property
    def row_names(self) -> list[str]:
        """(N,) ``{recording}-{block}``, or the recording."""
        if self.unit == "recording":
            return [self.recordings[r] for r in self.groups_N.tolist()]
        pairs = zip(self.groups_N.tolist(), self.numbers_N.tolist(), strict=True)
        return [f"{self.recordings[r]}-{number}" for r, number in pairs]


def read_block_set(
    annotations_path: str | Path,
    label_dir: str | Path,
    recordings_dir: str | Path | None,
    cfg: BaseConfig,
    block_s: float = 60.0,
    strict: bool = False,
) -> ScoredUnits:
    """Read annotations per block and scores; only annotated blocks belong to the test.

    Raises `InputError` if a file cannot be read, or no annotation can be used.

    Parameters
    ----------
    annotations_path
        CSV with recording, block (or minute) and classes.
    label_dir, recordings_dir, cfg, strict
        As for `read_scored_segments`.
    block_s
        Length of a block in seconds.
    """
    if not block_s > 0:
        raise InputError(f"--block is {block_s:g}; expected a positive number of seconds")
    return _read(
        "block", read_block_annotations, annotations_path, label_dir, recordings_dir, cfg, float(block_s), strict
    )


def read_recording_set(
    annotations_path: str | Path,
    label_dir: str | Path,
    recordings_dir: str | Path | None,
    cfg: BaseConfig,
    strict: bool = False,
) -> ScoredUnits:
    """Read annotations per recording (CSV with recording and classes) and scores.

    See `read_block_set` for parameters and errors.
    """
    return _read(
        "recording", read_recording_annotations, annotations_path, label_dir, recordings_dir, cfg, np.inf, strict
    )


def _read(
    unit: Literal["block", "recording"],
    read: Callable[[str | Path, Mapping[str, str] | None, Iterable[str]], list[ListedClasses]],
    path: str | Path,
    label_dir: str | Path,
    recordings_dir: str | Path | None,
    cfg: BaseConfig,
    block_s: float,
    strict: bool,
) -> ScoredUnits:
    folder = Path(recordings_dir) if recordings_dir is not None else Path(path).parent
    source = read_scores(
        find_label_dir(label_dir, folder),
        cfg.infer.label_field,
        cfg.misc.map_codes,
        cfg.misc.classes_file,
        cfg.infer.test_screened,
    )
    listed = read(path, cfg.misc.map_codes, sorted({*source.recordings, *audio_files(folder, False)}))
    if not listed:
        raise InputError(f"{path} contains no annotation; a row without classes says that nothing is heard")
    exclusions = Exclusions()
    first_row: dict[str, str] = {}
    for item in listed:
        first_row.setdefault(item.recording, item.where)
    seconds = find_lengths(first_row, source, folder, exclusions)
    shortest = min(1.0, source.length_s)
    exclusions.too_short = [name for name, value in seconds.items() if value < shortest]
    for name in exclusions.too_short:
        del seconds[name]
    recordings = list(seconds)
    order = {name: k for k, name in enumerate(recordings)}
    usable = [item for item in listed if item.recording in order]
    if unit == "block":
        beyond = [x for x in usable if (x.block - 1) * block_s >= seconds[x.recording]]
        exclusions.beyond_end = [str(item.row) for item in beyond]
        usable = [item for item in usable if item not in set(beyond)]
    columns = _columns(usable, source, exclusions)
    exclusions.not_annotated = sorted(source.recordings - set(first_row))
    exclusions.report(source, strict, path)
    usable.sort(key=lambda item: (order[item.recording], item.block))
    groups = np.array([order[item.recording] for item in usable], dtype=np.int64)
    numbers = np.array([item.block for item in usable], dtype=np.int64)
    truth = np.zeros((len(usable), len(source.labels)), dtype=bool)
    for n, item in enumerate(usable):
        truth[n, [columns[label] for label in item.labels if label in columns]] = True
    require_usable(bool(truth.any()), path, source, exclusions, "no row lists a class")
    facts = common_facts(source, seconds, exclusions)
    lengths = facts["seconds_R"]
    starts = np.zeros(len(usable))
    if unit == "block":
        starts += (numbers - 1) * block_s
    units = np.minimum(starts + block_s, lengths[groups]) - starts
    row, start, scores, trimmed = _windows(source, recordings, groups, numbers, starts, units, block_s)
    highest = np.zeros(truth.shape, dtype=np.float32)
    # Windows are in the order of units, so the windows of a unit are contiguous.
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    if len(firsts):
        highest[row[firsts]] = np.maximum(np.maximum.reduceat(scores, firsts, axis=0), 0)
    return ScoredUnits(
        **facts,
        unit=unit,
        groups_N=groups,
        numbers_N=numbers,
        starts_N=starts,
        lengths_N=units,
        truth_NC=truth,
        scores_NC=highest,
        annotated=sorted({columns[x] for item in usable for x in item.labels if x in columns}),
        window_row_W=row,
        window_start_W=start,
        window_scores_WC=scores,
        window_seconds_WC=trimmed,
    )


def _columns(listed: Iterable[ListedClasses], source: AnalyzedScores, exclusions: Exclusions) -> dict[str, int]:
    """Return the column of each label; record unknown ones."""
    columns = {label: k for k, label in enumerate(source.labels)}
    reconciler = Reconciler(source.classes)
    place = {id(info): k for k, info in enumerate(source.classes)}
    for item in listed:
        for label in item.labels:
            if label in columns:
                continue
            found = reconciler.find(label)
            if found is not None:
                columns[label] = place[id(found)]
            else:
                exclusions.add_unknown(label, item.where)
    return columns


def _windows(
    source: AnalyzedScores,
    recordings: list[str],
    groups_N: NDArray[np.int64],
    numbers_N: NDArray[np.int64],
    starts_N: NDArray[np.float64],
    lengths_N: NDArray[np.float64],
    block_s: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Return unit, start, scores and trimmed seconds of the windows inside units."""
    windows = source.windows(recordings)
    trimmed = trim(windows.recording_W, windows.start_W, windows.scores_WC, source.length_s)
    # A start that a label file rounded down must not move to the previous block.
    forgiven = _EPSILON if source.unrounded else max(_EPSILON, ROUNDED_S / block_s)
    block = np.zeros(len(windows.start_W), dtype=np.int64)
    if np.isfinite(block_s):
        block = np.floor(windows.start_W / block_s + forgiven).astype(np.int64) + 1
    most = int(max(block.max(initial=0), numbers_N.max(initial=0))) + 1
    key_N = groups_N * most + numbers_N  # ascending, like the units
    key_W = windows.recording_W.astype(np.int64) * most + block
    row = np.minimum(np.searchsorted(key_N, key_W), len(key_N) - 1)
    kept = key_N[row] == key_W
    row, start = row[kept], windows.start_W[kept]
    room = np.maximum(starts_N[row] + lengths_N[row] - start, 0).astype(np.float32)
    return row, start, windows.scores_WC[kept], np.minimum(trimmed[kept], room[:, None])


def trim(
    recording_W: NDArray[np.integer], start_W: NDArray[np.float64], scores_WC: NDArray[np.float32], length_s: float
) -> NDArray[np.float32]:
    """Return the seconds from each label to the next of its class: (W, C), or (W, 1) if equal for all classes.

    Windows are ordered by recording and start. Cells below 0 have no label, and 0 s.
    """
    if not (scores_WC < 0).any():
        return _until_next(recording_W, start_W, length_s)[:, None]
    trimmed = np.zeros(scores_WC.shape, dtype=np.float32)
    for c in range(scores_WC.shape[1]):
        present = np.flatnonzero(scores_WC[:, c] >= 0)
        trimmed[present, c] = _until_next(recording_W[present], start_W[present], length_s)
    return trimmed


def _until_next(recording: NDArray[np.integer], start: NDArray[np.float64], length_s: float) -> NDArray[np.float32]:
    seconds = np.full(len(start), length_s)
    same = recording[1:] == recording[:-1]
    seconds[:-1][same] = np.minimum(length_s, np.diff(start)[same])
    return seconds.astype(np.float32)
