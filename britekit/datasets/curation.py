"""Decisions of people, replayed whenever the database is built.

The rows of ``data/curation.csv`` are applied to each segment in their order, so that later ones win; rows
that contradict each other, and rows that match nothing, are reported.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from britekit.annotations.classes import ClassInfo
from britekit.annotations.names import NamedFiles
from britekit.datasets.catalog import Catalog
from britekit.datasets.curation_rows import EVERY_CLASS, Decision, read_decisions, refuse
from britekit.errors import InputError, some

log = logging.getLogger(__name__)


class Curation:
    """The decisions of one file, to be asked segment by segment.

    Parameters
    ----------
    decisions
        In the order of the file.

    Attributes
    ----------
    step_s
        Seconds from one segment to the next, which decide how near an offset must be.
    """

    step_s: float = math.inf

    def __init__(self, decisions: Iterable[Decision] = (), classes: Sequence[ClassInfo] = ()) -> None:
        self._decisions = list(decisions)
        self.catalog = Catalog.after(classes, self._decisions)
        self._about_segments: list[Decision] = []
        self._everywhere: list[Decision] = []
        self._by_source: dict[str, list[Decision]] = {}
        # Names in `add-` and `del-` rows are judged by the catalog alone, except those of sources.
        self._matched: set[int] = set()
        added: set[str] = set()
        for decision in self._decisions:
            if decision.is_about_segments:
                if decision.row not in self.catalog.without_effect:
                    self._about_segments.append(decision)
                continue
            if decision.action in ("del-class", "del-cat"):
                self._everywhere.append(decision)
            if decision.action == "add-src":
                added.add(decision.name)
            if decision.action == "del-src":
                self._by_source.setdefault(decision.name, []).append(decision)
                if decision.name not in added:
                    continue
                added.discard(decision.name)
            if decision.row not in self.catalog.without_effect:
                self._matched.add(decision.row)
        self._contradictions: dict[tuple[int, int], None] = {}
        self._of_row = {decision.row: decision for decision in self._decisions}

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self._decisions)

    def about(self, recordings: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[Decision]]:
        """Return the rows about each recording, in the order of the file.

        Parameters
        ----------
        recordings
            All that there are, each as file name with extension and name of its source. A row names one as
            `NamedFiles` finds it, within its source if it states one.
        """
        found: dict[tuple[str, str], list[Decision]] = {key: list(self._everywhere) for key in recordings}
        of_source = defaultdict(list)
        for key in found:
            of_source[key[1]].append(key)
            for decision in self._by_source.get(key[1], ()):
                self._matched.add(decision.row)
                found[key].append(decision)
        names: dict[str | None, NamedFiles[tuple[str, str]]] = {}
        for decision in self._about_segments:
            source = decision.details.get("source")
            if source not in names:
                names[source] = NamedFiles((key[0], key) for key in (found if source is None else of_source[source]))
            for key in names[source].find(decision.recording):
                found[key].append(decision)
        for rows in found.values():
            rows.sort(key=lambda decision: decision.row)
        return found

    def classes_of(self, decisions: Sequence[Decision], native: Sequence[str], offset: float) -> list[str]:
        """Return the classes a segment has in the end, those of ``native`` first.

        Parameters
        ----------
        native
            The classes in whose folders the recording lies.
        offset
            Where the segment begins, in seconds.
        """
        # Where anything is kept, only what is kept stays.
        selective = {decision.class_name for decision in decisions if decision.action == "keep"}
        state = {name: name not in selective for name in native}
        last: dict[str, Decision] = {}
        for decision in decisions:
            if not decision.is_about_segments:
                gone = self.catalog.removed_classes.get(decision.row)
                for name in state if gone is None else gone & state.keys():
                    state[name] = False
                continue
            if not decision.concerns(offset, self.step_s):
                continue
            every = decision.class_name == EVERY_CLASS
            for name in list(state) if every else [decision.class_name]:
                if name not in state:
                    continue
                self._matched.add(decision.row)
                self._compare(last.get(name), decision)
                last[name] = decision
                state[name] = decision.action == "keep"
                if decision.action == "move":
                    state[decision.new_class] = True
        return [name for name, stays in state.items() if stays]

    def dangling(self) -> list[Decision]:
        """Return the rows that matched nothing asked about so far."""
        return [decision for decision in self._decisions if decision.row not in self._matched]

    def contradictions(self) -> list[tuple[Decision, Decision]]:
        """Return pairs of rows that decided differently about the same segment; the second was applied."""
        return [(self._of_row[first], self._of_row[second]) for first, second in self._contradictions]

    def targets(self) -> set[str]:
        """Return the classes that segments are moved to."""
        return {decision.new_class for decision in self._decisions if decision.action == "move"}

    def _compare(self, earlier: Decision | None, later: Decision) -> None:
        if earlier is None or (earlier.action, earlier.new_class) == (later.action, later.new_class):
            return
        if len(self._contradictions) < 10_000:  # enough to report
            self._contradictions[earlier.row, later.row] = None


def read_curation(path: Path | None, classes: Sequence[ClassInfo]) -> Curation:
    """Read a curation file.

    Raises `InputError` if the file cannot be read, or rows cannot be understood or applied; names all of them.

    Parameters
    ----------
    path
        None, or a file; None has no decisions.
    """
    if path is None:
        return Curation((), classes)
    curation = Curation(read_decisions(path), classes)
    refuse(path, curation.catalog.problems)
    return curation


def report_problems(curation: Curation, path: Path | None, strict: bool) -> None:
    """Warn about rows that matched nothing and rows that contradict each other, each by its number.

    Raises
    ------
    InputError
        With ``strict``, if there is one.
    """
    problems = [f"{decision} matched {_what(decision)}" for decision in curation.dangling()]
    problems += [
        f"{second} contradicts {first}; the later row was applied" for first, second in curation.contradictions()
    ]
    if problems and strict:
        listed = some(problems, 10, "; ")
        raise InputError(f"{path}: {listed}; correct or remove the rows, or leave out --strict")
    for problem in problems:
        log.warning("%s: %s", path, problem)


def _what(decision: Decision) -> str:
    if decision.is_about_segments:
        return "no segment"
    return "nothing: it exists already" if decision.action.startswith("add-") else "nothing of that name"
