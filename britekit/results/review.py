"""A review: a sample of detections, heard one after the other, and the verdicts that result.

The page asks for items by number and sends verdicts; this is what it talks to. Everything that a reviewer
has said is in the verdicts' file before the call returns, so a review goes on where it ended.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from britekit.annotations.verdicts import (
    VERDICTS,
    Verdict,
    append_verdict,
    check_appendable,
    combine,
    current_verdicts,
    new_id,
    now,
    read_verdicts,
)
from britekit.errors import InputError
from britekit.results.candidates import Candidates
from britekit.results.precision import Estimate, SampledDetections
from britekit.results.queues import Drawn

# What people say about a detection in about this time, hearing it once.
SECONDS_PER_ITEM = 6.0
_MOST_NOTE = 2000


ItemKey = tuple[str, str, float, float, str]


@dataclass(frozen=True)
class Item:
    """A detection to be judged."""

    number: int
    recording: str
    start: float
    end: float
    """Seconds."""
    name: str
    score: float
    stratum: str
    share: float | None
    site: str
    time: str
    """Clock time of the start: ISO 8601, or empty."""
    channel: str = ""
    """Number of the channel that was analyzed, or empty."""

    @property
    def key(self) -> ItemKey:
        """Key of an item: recording, channel, interval in milliseconds, class."""
        return self.recording, self.channel, round(self.start, 3), round(self.end, 3), self.name


def items_of(candidates: Candidates, drawn: Sequence[Drawn]) -> list[Item]:
    """Return the items of a sample."""
    items = []
    for number, each in enumerate(drawn):
        when = candidates.time(each.index)
        items.append(
            Item(
                number,
                candidates.recordings[candidates.recording_M[each.index]],
                round(float(candidates.start_M[each.index]), 6),
                round(float(candidates.end_M[each.index]), 6),
                candidates.names[candidates.name_M[each.index]],
                float(candidates.score_M[each.index]),
                each.stratum,
                each.share,
                candidates.site(each.index),
                "" if when is None else when.isoformat(timespec="seconds"),
                candidates.channel(each.index),
            )
        )
    return items


class Review:
    """One reviewer's way through a queue; safe for threads.

    Raises `InputError` if the file is there and cannot be understood.

    Parameters
    ----------
    items
        In the order in which they are heard.
    path
        The verdicts' file.
    model
        What made the detections.
    classes
        Names that "other species" may have.
    blind
        Another reviewer's verdicts are neither shown nor do they end a stratum.
    until_confirmed
        Pass over items of a stratum in which one was confirmed.
    """

    def __init__(
        self,
        items: Sequence[Item],
        path: str | os.PathLike[str],
        reviewer: str,
        queue: str = "",
        model: str = "",
        classes: Sequence[str] = (),
        blind: bool = False,
        until_confirmed: bool = False,
    ) -> None:
        self.items = list(items)
        self.path = Path(path)
        self.reviewer, self.queue, self.model = reviewer, queue, model
        self.classes = sorted({*classes, *(item.name for item in items)})
        self.blind, self.until_confirmed = blind, until_confirmed
        self._lock = Lock()
        self._seen = (-1, -1)
        self._rows: list[Verdict] = []
        self._own: dict[ItemKey, Verdict] = {}
        self._given: list[str] = []  # ids of this session, for undo
        check_appendable(self.path)
        self._read()

    def verdict_of(self, number: int) -> Verdict | None:
        """Return this reviewer's verdict about an item."""
        return self._own.get(self.items[number].key)

    def next_number(self, after: int = -1) -> int | None:
        """Return the first item behind one that needs a verdict; else the first of all; None at the end."""
        return next(iter(self.next_numbers(after)), None)

    def next_numbers(self, after: int = -1, count: int = 1) -> list[int]:
        """Return the first ``count`` items behind one that need a verdict; at the end those before it."""
        confirmed = self._confirmed()
        found = []
        for number in (*range(after + 1, len(self.items)), *range(min(after + 1, len(self.items)))):
            item = self.items[number]
            if item.key not in self._own and (item.name, item.stratum) not in confirmed:
                found.append(number)
                if len(found) == count:
                    break
        return found

    def judge(
        self,
        number: int,
        verdict: str,
        others: Sequence[str] = (),
        start: float | None = None,
        end: float | None = None,
        note: str = "",
    ) -> Verdict:
        """Store a verdict about an item; one that this reviewer gave before is replaced.

        Raises `InputError` if something in it is not possible, or the file cannot be written.
        """
        if verdict not in VERDICTS:
            raise InputError(f'"{verdict}" is not a verdict; use {", ".join(VERDICTS)}')
        if not 0 <= number < len(self.items):
            raise InputError(f"there is no item {number}; there are {len(self.items)}")
        unknown = [name for name in others if name not in self.classes]
        if unknown:
            raise InputError(f'"{unknown[0]}" is not one of the classes')
        item = self.items[number]
        start, end = item.start if start is None else start, item.end if end is None else end
        if not 0 <= start < end < float("inf"):
            raise InputError(f"a stretch from {start:g} to {end:g} s is not possible")
        with self._lock:
            before = self._own.get(item.key)
            row = Verdict(
                id=new_id(),
                replaces="" if before is None else before.id,
                recording=item.recording,
                channel=item.channel,
                start=start,
                end=end,
                detection_start=item.start,
                detection_end=item.end,
                name=item.name,
                verdict=verdict,
                others=tuple(dict.fromkeys(others)),
                score=item.score,
                model=self.model,
                queue=self.queue,
                stratum=item.stratum,
                share=item.share,
                reviewer=self.reviewer,
                time=now(),
                note=" ".join(note.split())[:_MOST_NOTE],
            )
            self._append(row)
            self._given.append(row.id)
        return row

    def undo(self) -> int | None:
        """Take back the last verdict of this session; return its item, or None if there is none.

        Raises `InputError` if the file cannot be written.
        """
        with self._lock:
            while self._given:
                last = self._given[-1]
                row = next((row for row in self._own.values() if row.id == last), None)
                if row is None:  # corrected meanwhile
                    self._given.pop()
                    continue
                empty = replace(row, id=new_id(), replaces=row.id, verdict="", others=(), time=now(), note="")
                self._append(empty)
                self._given.pop()
                return next(item.number for item in self.items if item.key == key_of(row))
        return None

    def progress(self) -> dict[str, Any]:
        """Return how far the review is, and precision per class so far."""
        with self._lock:
            self._read()
        done = [item for item in self.items if item.key in self._own]
        confirmed = self._confirmed()
        passed_over = sum(item.key not in self._own and (item.name, item.stratum) in confirmed for item in self.items)
        left = len(self.items) - len(done) - passed_over
        answers = [self._own[item.key].verdict for item in done]
        return {
            "items": len(self.items),
            "done": len(done),
            "passed_over": passed_over,
            "left": left,
            "minutes_left": round(left * SECONDS_PER_ITEM / 60, 1),
            **{word: answers.count(word) for word in VERDICTS},
            "precision": self._precision(done),
        }

    def _precision(self, done: Sequence[Item]) -> list[dict[str, Any]]:
        """Estimate each class by the shares of the sample; a class that was chosen, not drawn, has none."""
        found = []
        for name in sorted({item.name for item in self.items}):
            sample = [
                (item, self._own[item.key].verdict == "yes")
                for item in done
                if item.name == name and item.share is not None and self._own[item.key].verdict != "unsure"
            ]
            if sample:
                found.append({"name": name, **_rounded(_estimate(sample, self.items, name))})
        return found

    def _confirmed(self) -> set[tuple[str, str]]:
        if not self.until_confirmed:
            return set()
        answers = {key_of(row.verdict): row.answer for row in combine(self._counted)}
        return {(item.name, item.stratum) for item in self.items if answers.get(item.key) == "yes"}

    @property
    def _counted(self) -> list[Verdict]:
        rows = current_verdicts(self._rows)
        return [row for row in rows if not self.blind or row.reviewer == self.reviewer]

    def _append(self, row: Verdict) -> None:
        """Store a row; the file is read again only if another process has written to it."""
        size = append_verdict(self.path, row)
        status = self.path.stat()
        if status.st_size != self._seen[0] + size:
            self._read()
            return
        self._seen = (status.st_size, status.st_mtime_ns)
        self._rows.append(row)
        if row.verdict:
            self._own[key_of(row)] = row
        else:
            self._own.pop(key_of(row), None)

    def _read(self) -> None:
        """Read the file again if anybody has written to it."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return
        seen = (status.st_size, status.st_mtime_ns)
        if seen == self._seen or not status.st_size:
            return
        self._rows = read_verdicts(self.path)
        self._seen = seen
        own = [row for row in current_verdicts(self._rows) if row.reviewer == self.reviewer]
        self._own = {key_of(row): row for row in own}


def key_of(row: Verdict) -> ItemKey:
    """Return the key of the item that a verdict is about."""
    return row.recording, row.channel, round(row.detection_start, 3), round(row.detection_end, 3), row.name


def _estimate(sample: list[tuple[Item, bool]], items: Sequence[Item], name: str) -> Estimate:
    """Estimate the precision of a class from the part of its queue that was heard so far.

    Items come in random order, so those heard of a stratum are a sample of those drawn from it.
    """
    drawn: dict[str, list[Item]] = {}
    for item in items:
        if item.name == name and item.share is not None:
            drawn.setdefault(item.stratum, []).append(item)
    strata = sorted(drawn)
    # Each stratum stands for as many detections as it was drawn from; its number serves as its score.
    sizes = [round(len(drawn[stratum]) / (drawn[stratum][0].share or 1)) for stratum in strata]
    scores = np.repeat(np.arange(len(strata), dtype=float), sizes)
    first = dict(zip(strata, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    places, answers = [], []
    for item, yes in sample:
        places.append(first[item.stratum])
        first[item.stratum] += 1
        answers.append(yes)
    edges = np.arange(1, len(strata)) - 0.5
    estimate = SampledDetections(scores, places, answers, edges=edges).precision()
    assert estimate is not None
    return estimate


def _rounded(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": round(estimate.value, 4),
        "low": round(estimate.low, 4),
        "high": round(estimate.high, 4),
        "verdicts": estimate.verdicts,
    }
