"""Decisions of people about segments, replayed whenever the database is built.

``data/curation.csv`` holds one decision per row: ``recording,offset,class,decision,new_class``. Rows are
applied to a segment in their order, so that later ones win. An empty offset means every segment of the
recording.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.tables import iter_rows, parse_number
from britekit.errors import InputError, suggest

log = logging.getLogger("britekit.datasets.curation")

COLUMNS = ("recording", "offset", "class", "decision", "new_class")
DECISIONS = ("keep", "drop", "move")

# Offsets come back from the names of images, which have two decimals.
TOLERANCE_S = 0.06


@dataclass(frozen=True)
class Decision:
    """One row.

    Attributes
    ----------
    row
        Its number in the file; the header is row 1.
    recording
        Stem or file name.
    offset
        Seconds; None means every segment of the recording.
    class_name
        The class decided about.
    action
        ``keep``, ``drop`` or ``move``.
    new_class
        Where ``move`` puts the segment, else empty.
    """

    row: int
    recording: str
    offset: float | None
    class_name: str
    action: str
    new_class: str = ""

    def concerns(self, offset: float) -> bool:
        """Tell whether the row is about the segment at ``offset`` seconds."""
        return self.offset is None or abs(self.offset - offset) <= TOLERANCE_S

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at {self.offset:g} s"
        return f'row {self.row} ({self.action} "{self.recording}"{where}, class "{self.class_name}")'


class Curation:
    """The decisions of one file, to be asked segment by segment.

    Parameters
    ----------
    decisions
        In the order of the file.
    """

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self._decisions = list(decisions)
        self._by_recording: dict[str, list[Decision]] = {}
        for decision in self._decisions:
            self._by_recording.setdefault(decision.recording, []).append(decision)
        self._matched: set[int] = set()

    def about(self, filename: str) -> list[Decision]:
        """Return the rows about a recording, which they name with or without its extension."""
        stem = Path(filename).stem
        names = {filename, stem}
        rows = [decision for name in names for decision in self._by_recording.get(name, ())]
        return sorted(rows, key=lambda decision: decision.row)

    def classes_of(self, decisions: Sequence[Decision], native: Sequence[str], offset: float) -> list[str]:
        """Return the classes a segment has in the end, those of ``native`` first.

        Parameters
        ----------
        decisions
            The rows about the recording, from `about`.
        native
            The classes in whose folders the recording lies.
        offset
            Where the segment begins, in seconds.
        """
        # Where anything is kept, only what is kept stays.
        selective = {decision.class_name for decision in decisions if decision.action == "keep"}
        state = {name: name not in selective for name in native}
        for decision in decisions:
            if not decision.concerns(offset) or decision.class_name not in state:
                continue
            self._matched.add(decision.row)
            state[decision.class_name] = decision.action == "keep"
            if decision.action == "move":
                state[decision.new_class] = True
        return [name for name, stays in state.items() if stays]

    def dangling(self) -> list[Decision]:
        """Return the rows that matched no segment asked about so far."""
        return [decision for decision in self._decisions if decision.row not in self._matched]

    def targets(self) -> set[str]:
        """Return the classes that segments are moved to."""
        return {decision.new_class for decision in self._decisions if decision.action == "move"}


def read_curation(path: Path | None, class_names: Sequence[str]) -> Curation:
    """Read a curation file.

    Parameters
    ----------
    path
        None, or a file; None has no decisions.
    class_names
        The classes that exist, for ``new_class``.

    Raises
    ------
    InputError
        The file cannot be read, or rows that cannot be understood; all of them are named.
    """
    if path is None:
        return Curation()
    decisions = []
    problems = []
    for number, cells in iter_rows(path, COLUMNS[:4], COLUMNS[4:]):
        try:
            decisions.append(_parse(number, cells, class_names))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    if problems:
        more = f"; and {len(problems) - 10} more" if problems[10:] else ""
        raise InputError(f"{path}, {'; '.join(problems[:10])}{more}")
    return Curation(decisions)


def report_dangling(curation: Curation, path: Path | None, strict: bool) -> None:
    """Warn about rows that matched nothing, each by its number.

    Raises
    ------
    InputError
        With ``strict``, if there is one.
    """
    dangling = curation.dangling()
    if dangling and strict:
        listed = ", ".join(str(decision) for decision in dangling[:10])
        more = f" and {len(dangling) - 10} more" if dangling[10:] else ""
        raise InputError(
            f"{path}: {listed}{more} matched no segment; correct or remove them, or leave out --strict"
        )
    for decision in dangling:
        log.warning("%s: %s matched no segment", path, decision)


def _parse(number: int, cells: dict[str, str], class_names: Sequence[str]) -> Decision:
    if not cells["recording"]:
        raise ValueError("the recording is not named")
    if not cells["class"]:
        raise ValueError("the class is not named")
    action = cells["decision"]
    if action not in DECISIONS:
        raise ValueError(
            f'decision "{action}" is not one of {", ".join(DECISIONS)}{suggest(action, DECISIONS)}'
        )
    offset = None
    if cells["offset"]:
        try:
            offset = parse_number(cells["offset"])
        except ValueError:
            raise ValueError(f'offset "{cells["offset"]}" is not a number of seconds') from None
    new_class = cells["new_class"]
    if action == "move":
        if not new_class:
            raise ValueError("a move needs a new_class")
        if new_class not in class_names:
            raise ValueError(
                f'new_class "{new_class}" is not in the class list{suggest(new_class, class_names)}'
            )
    elif new_class:
        raise ValueError(f'new_class "{new_class}" belongs to a move, not to {action}')
    return Decision(number, cells["recording"], offset, cells["class"], action, new_class)
