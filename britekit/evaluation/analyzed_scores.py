"""Scores of recordings from ``scores.npz`` or label files, before they are laid on a grid."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo, map_name
from britekit.annotations.scores import ScoreTable
from britekit.audio.files import name_key
from britekit.errors import InputError
from britekit.evaluation.grid import Grid, Scored, find_step, place_windows

TABLE_NAME = "scores.npz"
_LABELS_AT_ONCE = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Windows:
    """Scores of windows, ordered by recording and start. W: windows, C: classes."""

    recording_W: NDArray[np.int64]
    start_W: NDArray[np.float64]
    """(W,) seconds."""
    scores_WC: NDArray[np.float32]
    """(W, C); -1 where there is no label."""


def _gone(*_: object) -> Any:
    raise RuntimeError("the scores were released after they were laid on a grid; read them again")


@dataclass(frozen=True)
class AnalyzedScores:
    """Scores of recordings, before they are laid on a grid."""

    path: Path
    """File or directory that holds them."""
    unrounded: bool
    """True for ``scores.npz``: every cell has its exact score."""
    classes: list[ClassInfo]
    """The trained classes."""
    labels: list[str]
    """How annotations call each class."""
    seconds: dict[str, float]
    """Seconds of each recording whose length is known."""
    length_s: float
    step_s: float
    scored: Scored
    """Whether windows or frames were scored up to the end of each recording, if known."""
    lay: Callable[[Grid, list[str]], NDArray[np.float32]]
    """Return the scores of the given recordings on a grid: (N, C) float32."""
    windows: Callable[[list[str]], Windows]
    """Return the scores of the given recordings by window."""
    recordings: set[str]
    """Recordings with scores."""
    scaling: tuple[float, float] | None = None
    """Platt coefficient and intercept already applied to the scores, unless they are 1 and 0."""
    calibrated: bool = False
    """Whether a calibration file was applied to the scores."""
    own_scaling: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Platt values applied to single classes, by column."""
    backend: str | None = None
    members: list[Any] = field(default_factory=list)
    scored_with: dict[str, Any] | None = None
    """Occurrence prior and steps of inference before the calibration; None if unknown."""

    @property
    def sha256s(self) -> frozenset[str]:
        """SHA-256 of the checkpoints that produced the scores, if known."""
        return frozenset(str(x["sha256"]) for x in self.members if isinstance(x, dict) and x.get("sha256"))

    def facts_alone(self) -> AnalyzedScores:
        """Return a copy without the scores, which may take more memory than the rest of a test."""
        return replace(self, lay=_gone, windows=_gone)


def source_of_table(
    table: ScoreTable, path: Path, label_field: str, map_codes: Mapping[str, str] | None
) -> AnalyzedScores:
    """Return the scores of a table; ``path`` is used in messages."""
    if not len(table.starts):
        raise InputError(f"{path} contains no scores: no recording was long enough for a window")
    names = [name_key(name) for name in table.recordings]
    labels = [map_name(info.label(label_field), map_codes) for info in table.classes]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f'{path}: two classes are called "{label}"; use another infer.label_field or map_codes')

    def chosen(recordings: list[str]) -> Windows:
        order = {name: k for k, name in enumerate(recordings)}
        place = np.array([order.get(name, -1) for name in names], dtype=np.int64)
        where = place[table.row_recording]
        used = where >= 0
        if used.all():
            return Windows(where, table.starts, table.scores)
        return Windows(where[used], table.starts[used], table.scores[used])

    def lay(grid: Grid, recordings: list[str]) -> NDArray[np.float32]:
        found = chosen(recordings)
        return place_windows(grid, found.recording_W, found.start_W, found.scores_WC)

    def windows(recordings: list[str]) -> Windows:
        found = chosen(recordings)
        order = np.lexsort((found.start_W, found.recording_W))
        if np.array_equal(order, np.arange(len(order))):
            return found
        return Windows(found.recording_W[order], found.start_W[order], found.scores_WC[order])

    return AnalyzedScores(
        path=path,
        unrounded=True,
        classes=table.classes,
        labels=labels,
        seconds=dict(zip(names, table.seconds.tolist(), strict=True)),
        length_s=table.duration,
        step_s=stated_step(path, table.meta) or find_step(table.row_recording, table.starts, table.duration),
        scored=scored_to_end(table.meta),
        lay=lay,
        windows=windows,
        recordings=set(names),
        backend=table.meta.get("backend"),
        members=members(table.meta.get("members")),
    )


def stated_step(where: Path, facts: Mapping[str, Any]) -> float | None:
    """Return the step between labels that analyze recorded, if any."""
    if facts.get("step_s") is None:
        return None
    try:
        step_s = float(facts["step_s"])
    except (TypeError, ValueError):
        step_s = 0.0
    if not 0.0 < step_s < np.inf:
        raise InputError(f'{where}: step_s is "{facts["step_s"]}"; expected seconds above 0; run analyze again')
    return step_s


def scored_to_end(facts: Mapping[str, Any]) -> Scored:
    """Return what analyze scored up to the end of each recording, if recorded."""
    known: dict[Any, Scored] = {"windows": "windows", "frames": "frames"}
    return known.get(facts.get("scored"))


def members(text: str | None) -> list[Any]:
    """Parse the list of members that a score table stores as JSON."""
    try:
        members = json.loads(text) if text else []
    except ValueError:
        return [text]
    if isinstance(members, dict):
        return [{"name": name, "sha256": value} for name, value in members.items()]
    return members if isinstance(members, list) else [members]
