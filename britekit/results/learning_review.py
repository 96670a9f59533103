"""A review whose queue is chosen while it is heard: after every few verdicts a probe is fitted again.

Two batches are always ahead: while one is heard, the next is chosen on a thread of its own from the verdicts so
far, so the reviewer never waits for it. Which batch comes next depends on the seed, the reviewer and the rows of
``verdicts.csv`` alone, so a review that was killed goes on with the same detections.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

from britekit.annotations.verdicts import Verdict, combine
from britekit.errors import InputError
from britekit.results.candidates import Place, later
from britekit.results.learning import Choice, Pool
from britekit.results.review import SECONDS_PER_ITEM, Item, ItemKey, Review, key_of

log = logging.getLogger(__name__)

QUEUE = "learn"
# A choice takes tenths of a second; a reviewer who is faster waits for it, but not forever.
_LONGEST_WAIT_S = 60.0


@dataclass
class _Batch:
    """Items that were chosen together."""

    turn: int
    """How many batches came before."""
    at: int
    """Number of the reviewer's verdicts when it was chosen."""
    numbers: list[int] = field(default_factory=list)
    """Those of its items that were not heard before a kill."""


class LearningReview(Review):
    """One reviewer's way through windows that a probe learns most from; safe for threads.

    Parameters
    ----------
    pool
        What may be heard.
    every
        N, verdicts after which the probe is fitted again, and items per batch.
    path, reviewer, model, classes, blind
        As for `Review`. Unless ``blind``, other reviewers' verdicts count too, and their windows are skipped.
    """

    def __init__(
        self,
        pool: Pool,
        every: int,
        path: str | os.PathLike[str],
        reviewer: str,
        model: str = "",
        classes: Sequence[str] = (),
        blind: bool = False,
    ) -> None:
        if every < 1:
            raise InputError(f"--every {every}: expected 1 or more")
        super().__init__([], path, reviewer, QUEUE, model, [*classes, *pool.names], blind)
        self._pool, self._every = pool, every
        self._index: dict[int, int] = {}
        """Item to candidate."""
        self._batches: list[_Batch] = []
        self._withdrawn: set[int] = set()
        self._change = Condition(self._lock)
        self._worker: Thread | None = None
        self._failure: BaseException | None = None
        self._exhausted = False
        self._undone = 0
        self._heard: set[ItemKey] = set()
        self._heard_at: Any = None
        with self._lock:
            self._resume()

    def next_numbers(self, after: int = -1, count: int = 1) -> list[int]:
        """Return the next items that need a verdict; waits if the next batch is not chosen yet."""
        with self._change:
            self._read()  # skip what others have judged meanwhile
            self._follow()
            self._change.wait_for(lambda: self._open() or self._worker is None, _LONGEST_WAIT_S)
            ahead = self._open()
            if not ahead and self._failure is not None:
                raise self._failure
        return [*(n for n in ahead if n > after), *(n for n in ahead if n <= after)][:count]

    def settle(self) -> None:
        """Wait until no batch is being chosen."""
        with self._change:
            self._change.wait_for(lambda: self._worker is None, _LONGEST_WAIT_S)

    def judge(
        self,
        number: int,
        verdict: str,
        others: Sequence[str] = (),
        start: float | None = None,
        end: float | None = None,
        note: str = "",
    ) -> Verdict:
        """Store a verdict, and let the next batch be chosen when it is time."""
        row = super().judge(number, verdict, others, start, end, note)
        with self._lock:
            self._follow()
        return row

    def undo(self) -> int | None:
        """Take back the last verdict; a batch that was chosen by it is chosen again."""
        number = super().undo()
        with self._lock:
            self._undone += 1
            self._follow()
        return number

    def progress(self) -> dict[str, Any]:
        """Return how far the review is; what is left is what has been chosen so far."""
        found = super().progress()
        with self._lock:
            left = len(self._open())
        passed_over = found["items"] - found["done"] - left
        minutes = round(left * SECONDS_PER_ITEM / 60, 1)
        return {**found, "left": left, "passed_over": passed_over, "minutes_left": minutes}

    def _open(self) -> list[int]:
        """Return the items that need a verdict; a window that was judged for another class needs none."""
        if self._heard_at != (len(self._rows), self._seen):
            self._heard = {self._place(key_of(each.verdict)) for each in combine(self._counted)}
            self._heard_at = (len(self._rows), self._seen)
        heard = self._heard
        return [
            number
            for number, item in enumerate(self.items)
            if number not in self._withdrawn and self._place(item.key) not in heard
        ]

    def _place(self, key: ItemKey) -> ItemKey:
        return (*key[:4], "") if self._pool.any_class else key

    def _counted_rows(self) -> list[Verdict]:
        return [row for row in self._rows if not self.blind or row.reviewer == self.reviewer]

    def _rows_until(self, count: int) -> list[Verdict]:
        """Return the file's rows up to this reviewer's n-th verdict in this queue; for 0, those before the first."""
        rows = self._counted_rows()
        order = self._in_order(rows)
        if count:
            return rows[: order[count - 1][0] + 1]
        return rows[: order[0][0]] if order else rows

    def _in_order(self, rows: Sequence[Verdict]) -> list[tuple[int, Verdict]]:
        """Return this reviewer's verdicts in this queue, in the order in which they were first given."""
        first: dict[ItemKey, tuple[int, Verdict]] = {}
        for place, row in enumerate(rows):
            if row.reviewer == self.reviewer and row.queue == QUEUE:
                if row.verdict:
                    first.setdefault(key_of(row), (place, row))
                else:
                    first.pop(key_of(row), None)
        return sorted(first.values(), key=lambda pair: pair[0])

    def _resume(self) -> None:
        """Choose the batch that this reviewer was in, and the next, as they were chosen then."""
        own = [row for _, row in self._in_order(self._rows)]
        for row in own:
            start, end = row.detection_start, row.detection_end
            self._append_item(row.recording, start, end, row.name, row.score or 0.0, row.stratum)
        turn = len(own) // self._every
        before = own[max(0, turn - 1) * self._every : turn * self._every]
        waiting = [index for row in before if (index := self._pool.index_of(row)) is not None]
        for each in (turn, turn + 1):
            at = max(0, each - 1) * self._every
            waiting += self._take(each, at, self._choose(self._rows_until(at), waiting, each))

    def _follow(self) -> None:
        """Withdraw what was chosen by a verdict that was taken back; choose a batch if only one is left."""
        count = len(self._in_order(self._rows))
        while self._batches[-1].at > count:
            self._withdrawn.update(self._batches.pop().numbers)
        ahead = self._open()
        if self._worker is None and not self._exhausted and len(ahead) <= self._every:
            turn = self._batches[-1].turn + 1
            waiting = [self._index[number] for number in ahead if number in self._index]
            given = (self._counted_rows(), waiting, turn, count, self._undone)
            self._worker = Thread(target=self._work, args=given, name="britekit-learn", daemon=True)
            self._worker.start()

    def _work(self, rows: list[Verdict], waiting: list[int], turn: int, at: int, undone: int) -> None:
        """Choose a batch on a thread of its own; drop it if a verdict was taken back meanwhile."""
        chosen: list[Choice] = []
        failure: BaseException | None = None
        try:
            chosen = self._choose(rows, waiting, turn)
        except Exception as error:  # raised by the request that finds nothing left to hear
            log.warning("the next detections could not be chosen: %s", error)
            failure = error
        with self._change:
            self._worker, self._failure = None, failure
            if failure is None:
                if undone == self._undone:
                    self._take(turn, at, chosen)
                self._follow()
            self._change.notify_all()

    def _choose(self, rows: list[Verdict], waiting: list[int], turn: int) -> list[Choice]:
        return self._pool.choose(rows, waiting, self._every, self.reviewer, turn)

    def _take(self, turn: int, at: int, chosen: Sequence[Choice]) -> list[int]:
        """Append a batch; return its candidates."""
        known = {self._place(item.key) for item in self.items if item.number not in self._withdrawn}
        batch = _Batch(turn, at)
        pool = self._pool.candidates
        for choice in chosen:
            where = pool.recordings[pool.recording_M[choice.index]]
            start, end = (round(float(values[choice.index]), 6) for values in (pool.start_M, pool.end_M))
            if (
                self._place((where, "", round(start, 3), round(end, 3), choice.name)) not in known
            ):  # heard before a kill
                number = self._append_item(where, start, end, choice.name, choice.score, choice.way)
                batch.numbers.append(number)
                self._index[number] = choice.index
        self._batches.append(batch)
        self._exhausted = not chosen
        return [choice.index for choice in chosen]

    def _append_item(self, recording: str, start: float, end: float, name: str, score: float, way: str) -> int:
        place = self._pool.places.get(recording, Place())
        time = "" if place.start is None else later(place.start, start).isoformat(timespec="seconds")
        self.items.append(Item(len(self.items), recording, start, end, name, score, way, None, place.site, time))
        return len(self.items) - 1
