"""The windows of an archive that were judged in a review, with what was heard in them.

N: windows that were judged, C: classes.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo, read_classes
from britekit.annotations.names import RecordingNames
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.verdicts import Judged, combine, current_verdicts, read_verdicts
from britekit.archive.labeled import Labeled
from britekit.archive.nearest import row_of_verdict
from britekit.archive.store import Archive
from britekit.audio.files import shown
from britekit.config import BaseConfig
from britekit.datasets.recordings_csv import group_from_name
from britekit.errors import InputError, counted, some

log = logging.getLogger(__name__)

UNNAMED = 0.3
"""A reviewer who judges one class may leave others unnamed, so an unnamed class is absent with this weight."""


@dataclass
class JudgedWindows:
    """Knowledge about windows of an archive."""

    cells: dict[int, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    """Row of the archive to classes, whether each was heard."""
    heard: set[int] = field(default_factory=set)
    """Rows that were judged, also by an unsure reviewer."""
    without: list[Judged] = field(default_factory=list)
    """Verdicts about recordings of which the archive has no window."""

    def truth(self, names: Sequence[str]) -> tuple[list[int], NDArray[np.bool_], NDArray[np.float32]]:
        """Return the rows (N,), what was heard (N, C), and how much each cell counts (N, C): 1, or less if unnamed."""
        rows = sorted(self.cells)
        truth = [[self.cells[row].get(name, False) for name in names] for row in rows]
        known = [[name in self.cells[row] for name in names] for row in rows]
        shape = (len(rows), len(names))
        weights = np.where(np.array(known, bool), 1.0, UNNAMED).astype(np.float32)
        return rows, np.array(truth, bool).reshape(shape), weights.reshape(shape)


def judged_windows(archive: Archive, names: RecordingNames, judged: Sequence[Judged]) -> JudgedWindows:
    """Return what verdicts say about the windows nearest to what was heard."""
    found = JudgedWindows()
    for each in judged:
        yes = each.answer == "yes"
        row = row_of_verdict(archive, names, each.verdict, yes)
        if row is None:
            found.without.append(each)
            continue
        found.heard.add(row)
        if each.answer != "unsure":
            found.cells[row][each.verdict.name] = yes or found.cells[row].get(each.verdict.name, False)
        for name in each.verdict.others:
            found.cells[row][name] = True
    return found


def read_judged(archive: Archive, path: str | Path, cfg: BaseConfig) -> Labeled:
    """Read the verdicts of a review and return the windows that they are about.

    Classes are those that a verdict asks about. What is left out is counted and named.

    Raises `InputError` if the file cannot be read, or says nothing about the recordings of the archive.

    Parameters
    ----------
    cfg
        ``misc.classes_file`` and ``misc.group_regex`` are used.
    """
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; expected the verdicts that review wrote")
    judged = combine(current_verdicts(read_verdicts(path)))
    if not judged:
        raise InputError(f"{path} holds no verdict; run `britekit review -i RECORDINGS --queue learn --archive DIR`")
    file = Path(cfg.misc.classes_file)
    reconciler = Reconciler(read_classes(file) if file.is_file() else [])
    infos: dict[str, ClassInfo] = {}

    def named(written: str) -> str:
        info = reconciler.find(written) or ClassInfo(written, written)
        return infos.setdefault(info.name, info).name

    found = judged_windows(archive, RecordingNames(archive.entries), [_renamed(each, named) for each in judged])
    if found.without:
        missing = Counter(each.verdict.recording for each in found.without)
        log.warning(
            "%s of %s without a window in %s left out: %s",
            *(counted(len(found.without), "verdict"), counted(len(missing), "recording")),
            *(archive.folder, some(map(shown, missing))),
        )
    if unsure := sum(each.answer == "unsure" for each in judged):
        log.warning("%s unsure, or of reviewers who disagree, left out", counted(unsure, "verdict"))
    asked = sorted({named(each.verdict.name) for each in judged})
    others = Counter(name for cells in found.cells.values() for name in cells if name not in asked)
    if others:
        log.warning(
            'heard as "others" but never asked about, so the probe does not learn them: %s',
            some(f"{name} ({count})" for name, count in others.most_common()),
        )
    rows, truth, weights = found.truth(asked)
    if not rows:
        raise InputError(f"no verdict of {path} says what is heard in a recording of {archive.folder}")
    recording_of = {row: name for name, entry in archive.entries.items()
                    for row in range(entry.first, entry.first + entry.windows)}  # fmt: skip
    recordings = [recording_of[row] for row in rows]
    order: dict[str, int] = {}
    groups = [
        order.setdefault(group_from_name(Path(name).name, cfg.misc.group_regex) or name, len(order))
        for name in recordings
    ]
    vectors = archive.take(np.array(rows, np.int64))
    classes = [infos[name] for name in asked]
    return Labeled(vectors, truth, np.array(groups, np.int64), classes, sorted(set(recordings)), weights)


def _renamed(judged: Judged, named: Callable[[str], str]) -> Judged:
    verdict = judged.verdict
    others = tuple(map(named, verdict.others))
    return replace(judged, verdict=replace(verdict, name=named(verdict.name), others=others))
