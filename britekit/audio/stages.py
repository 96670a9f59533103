"""Measure when the stages of reading and scoring a recording began and ended, and how long each was at work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

_Item = TypeVar("_Item")


@dataclass
class Stage:
    """One stage of one recording; times in nanoseconds since the epoch."""

    began_ns: int
    ended_ns: int = 0
    busy_ns: int = 0
    """Time at work, without waits for other recordings."""
    steps: int = 0


class Stages:
    """The stages of one recording by name; a stage is used by one thread at a time."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    def add(self, name: str, began_ns: int, ended_ns: int) -> None:
        """Add a step of a stage."""
        stage = self.stages.setdefault(name, Stage(began_ns))
        stage.ended_ns = ended_ns
        stage.busy_ns += ended_ns - began_ns
        stage.steps += 1

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block as a step of a stage."""
        began = time.time_ns()
        try:
            yield
        finally:
            self.add(name, began, time.time_ns())

    def timed(self, name: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the same items; the time spent on getting each is a step."""
        iterator = iter(items)
        while True:
            began = time.time_ns()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.add(name, began, time.time_ns())
            yield item
