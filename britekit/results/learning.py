"""Active learning: which windows a probe on an archive's embeddings would learn most from.

A third of what is chosen is uncertain to the probe and unlike what was heard; a third is what is least like
everything heard so far; a third comes from the site and day that was heard least. (Uncertainty alone returns to
the same few sounds; distance alone hears odd ones.) N: windows, F: numbers of a vector, C: classes.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.names import RecordingNames
from britekit.annotations.verdicts import Judged, Verdict, combine, current_verdicts
from britekit.archive.classifiers import Classifier, fit_logistic
from britekit.archive.judged_windows import judged_windows
from britekit.archive.nearest import WindowFinder, row_of_verdict
from britekit.archive.store import Archive
from britekit.audio.files import name_key, shown
from britekit.errors import InputError, counted, some
from britekit.results.candidates import Candidates
from britekit.results.judged import match_verdicts
from britekit.results.recordings import Recordings

log = logging.getLogger(__name__)

# More are thinned at random, so that a choice takes well below a second.
MOST = 20_000
STRENGTH = 0.03
_WAYS = ("uncertain", "different", "site-day")


@dataclass(frozen=True)
class Choice:
    """A window, or detection, to be heard next."""

    index: int
    """Its row among the candidates."""
    name: str
    """The class that is asked about."""
    score: float
    way: str
    """``uncertain``, ``different`` or ``site-day``."""


class Pool:
    """Windows or detections that may be heard, with their vectors.

    Parameters
    ----------
    candidates
        Detections, or all windows of an archive (`windows_of_archive`), whose class is asked for as the probe sees
        fit.
    archive
        Embeddings of the recordings.
    names
        C classes.
    any_class
        Candidates are windows without a class.
    seed
        Of all random choices.
    """

    def __init__(
        self, candidates: Candidates, archive: Archive, names: Sequence[str], any_class: bool, seed: int
    ) -> None:
        if not len(candidates):
            raise InputError("there is nothing to hear: no detection, or no window in the archive")
        self.all, self.names, self.any_class, self._seed = len(candidates), list(names), any_class, seed
        if len(candidates) > MOST:
            kept = np.random.default_rng([seed, 1]).choice(len(candidates), MOST, replace=False)
            log.warning(
                "%d of the %d detections or windows may be asked about, drawn at random (--seed)", MOST, len(candidates)
            )
            candidates = candidates.take(np.sort(kept))
        self.candidates, self._archive = candidates, archive
        self.places = dict(zip(candidates.recordings, candidates.places, strict=True))
        self._finder = WindowFinder(candidates.recordings, archive, candidates.recording_M)
        self._row_N = self._finder.rows(candidates.recording_M, candidates.start_M, candidates.end_M)
        self._known = RecordingNames(archive.entries)
        self._unlearned = set[str]()
        self._vectors = archive.take(self._row_N)
        self._mean_F = self._vectors.mean(axis=0)
        self._spread_F = np.maximum(self._vectors.std(axis=0), 1e-6)
        self._unit = self._direction(self._vectors)
        self._stratum_N = np.unique([self._stratum(index) for index in range(len(candidates))], return_inverse=True)[1]

    def choose(
        self, rows: Sequence[Verdict], waiting: Iterable[int], num: int, reviewer: str, turn: int
    ) -> list[Choice]:
        """Return ``num`` candidates to hear after some verdicts; the same arguments give the same.

        Parameters
        ----------
        rows
            Verdicts by which the probe is fitted, as the file has them.
        waiting
            Candidates that are in the queue already.
        reviewer, turn
            Whose queue this is, and how many times it was filled before.
        """
        rng = np.random.default_rng([self._seed, zlib.crc32(reviewer.encode()), turn])
        judged = combine(current_verdicts(rows))
        heard_rows, probe = self._fit(judged)
        taken = self.heard(judged)
        taken[list(waiting)] = True
        logits = None if probe is None else probe.logits(self._standard(self._vectors))
        near = np.full(len(taken), -1.0, np.float32)
        heard = self._direction(self._archive.take(np.array(heard_rows, np.int64))) if heard_rows else None
        for others in (heard, self._unit[taken]):
            for first in range(0, 0 if others is None else len(others), 512):
                assert others is not None
                near = np.maximum(near, (self._unit @ others[first : first + 512].T).max(axis=1))
        counts = np.bincount(self._stratum_N[taken], minlength=self._stratum_N.max() + 1)
        tie = rng.random(len(taken)) * 1e-3
        found: list[Choice] = []
        for way in cycle(_WAYS):
            if len(found) == num or taken.all():
                return found
            if way == "uncertain":
                if logits is None:  # nothing was heard yet
                    continue
                order = self._doubt(logits) / (1.001 - near)
            else:
                order = near + tie if way == "different" else counts[self._stratum_N] + tie
            index = int(np.argmin(np.where(taken, np.inf, order)))
            found.append(self._asked(index, logits, way, turn * num + len(found)))
            taken[index] = True
            counts[self._stratum_N[index]] += 1
            near = np.maximum(near, self._unit @ self._unit[index])
        raise AssertionError

    def heard(self, judged: Sequence[Judged]) -> NDArray[np.bool_]:
        """Return which candidates (N,) were judged; windows count as judged for every class."""
        taken = np.zeros(len(self.candidates), bool)
        if self.any_class:
            rows = {row for each in judged if (row := self._row_of(each.verdict, False)) is not None}
            return np.isin(self._row_N, list(rows))
        taken[sorted(match_verdicts(judged, self.candidates).rows)] = True
        return taken

    def index_of(self, verdict: Verdict) -> int | None:
        """Return the candidate that a verdict is about, or None."""
        places = np.flatnonzero(self.heard([Judged(verdict, "unsure", 1)]))
        return int(places[0]) if len(places) else None

    def fit(self, rows: Sequence[Verdict]) -> Classifier | None:
        """Return the probe after some verdicts, on standardized vectors (`logits`); None if they say nothing."""
        return self._fit(combine(current_verdicts(rows)))[1]

    def logits(self, probe: Classifier, vectors_NF: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what a probe makes of vectors of the archive's model: (N, C) in the order of ``names``."""
        return probe.logits(self._standard(vectors_NF))

    def _fit(self, judged: Sequence[Judged]) -> tuple[list[int], Classifier | None]:
        """Return the rows of the archive that were heard, and the probe."""
        found = judged_windows(self._archive, self._known, judged)
        self._report_others({name for cells in found.cells.values() for name in cells})
        rows, truth, weights = found.truth(self.names)
        if not rows:
            return sorted(found.heard), None
        vectors = self._standard(self._archive.take(np.array(rows, np.int64)))
        return sorted(found.heard), fit_logistic(vectors, truth, STRENGTH, weights_NC=weights)

    def _report_others(self, named: set[str]) -> None:
        """Warn, once per name, of classes that reviewers heard and the probe does not learn."""
        new = sorted(named.difference(self.names) - self._unlearned)
        if new:
            self._unlearned.update(new)
            log.warning(
                "heard, but not among the classes of this queue, so not learned: %s; add them with --name to be asked "
                "about them", some(new),
            )  # fmt: skip

    def _doubt(self, logits_NC: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how sure the probe is of each candidate, (N,): of its class, or of the likeliest against the next."""
        if not self.any_class:
            places = np.array([self.names.index(name) for name in self.candidates.names])
            own = logits_NC[np.arange(len(logits_NC)), places[self.candidates.name_M]]
            return np.asarray(np.abs(own))
        if logits_NC.shape[1] == 1:
            return np.asarray(np.abs(logits_NC[:, 0]))
        best = np.partition(logits_NC, -2, axis=1)
        return np.asarray(best[:, -1] - best[:, -2])

    def _asked(self, index: int, logits: NDArray[np.float64] | None, way: str, number: int) -> Choice:
        if not self.any_class:
            name = self.candidates.names[self.candidates.name_M[index]]
            return Choice(index, name, float(self.candidates.score_M[index]), way)
        if logits is None:
            return Choice(index, self.names[number % len(self.names)], 0.0, way)
        place = int(np.argmax(logits[index]))
        return Choice(index, self.names[place], round(float(1 / (1 + np.exp(-logits[index, place]))), 4), way)

    def _row_of(self, verdict: Verdict, yes: bool) -> int | None:
        """Return the row of the archive whose window lies nearest to what a verdict is about."""
        return row_of_verdict(self._archive, self._known, verdict, yes)

    def _stratum(self, index: int) -> str:
        """Return the site and day of a candidate; its recording where neither is known."""
        place = self.candidates.places[self.candidates.recording_M[index]]
        if place.start is None:
            return f"recording {name_key(self.candidates.recordings[self.candidates.recording_M[index]])}"
        return f"{place.site} {place.start:%Y-%m-%d}"

    def _standard(self, vectors_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((vectors_NF - self._mean_F) / self._spread_F, np.float32)

    def _direction(self, vectors_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = vectors_NF - self._mean_F
        return np.asarray(seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12), np.float32)


def windows_of_archive(archive: Archive, recordings: Recordings) -> Candidates:
    """Return all windows of an archive whose recordings are there; the others are counted and named."""
    names = sorted(name for name, entry in archive.entries.items() if entry.windows)
    there = [name for name in names if recordings.find(name) is not None]
    gone = sorted(set(names) - set(there))
    if gone:
        log.warning(
            "%s of %s not below %s, so their windows cannot be heard and are left out: %s",
            *(counted(len(gone), "recording"), archive.folder, shown(recordings.root), some(map(shown, gone))),
        )
    entries = [archive.entries[name] for name in there]
    counts = np.array([entry.windows for entry in entries], np.int64)
    recording_M = np.repeat(np.arange(len(there), dtype=np.int32), counts)
    rows = [np.arange(entry.first, entry.first + entry.windows) for entry in entries]
    start_M = np.asarray(archive.starts[np.concatenate(rows)], np.float64) if rows else np.empty(0)
    seconds = np.array([entry.seconds for entry in entries])[recording_M] if rows else np.empty(0)
    end_M = np.maximum(np.minimum(start_M + archive.window_s, seconds), start_M + 0.001)
    return Candidates(
        there, [""], recording_M, np.zeros(len(start_M), np.int32), start_M, end_M, np.zeros(len(start_M)),
        [recordings.place(name) for name in there],
    )  # fmt: skip
