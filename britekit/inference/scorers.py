"""What scores many recordings for `analyze`: the engine in this process, or something that stands for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from britekit.formats import Facts, Sink
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble
from britekit.inference.labelling import Labeller
from britekit.inference.output import as_text
from britekit.inference.rendering import RenderedFacts, render
from britekit.inference.scores import RecordingScores
from britekit.inference.scoring import score_recordings

# Writes a scored recording into sinks.
Write = Callable[[Mapping[str, Sink]], RenderedFacts]


class Scorer(Protocol):
    """What scores many recordings: threads of this process, or actors of a cluster."""

    @property
    def scored_s(self) -> float:
        """Seconds scored so far."""

    def run(
        self, recordings: Iterator[tuple[str, Path]], on_tick: Callable[[], None]
    ) -> Iterator[tuple[str, Path, Write | BaseException]]:
        """Yield each recording, named in the output, with what writes it or with its error."""


class LocalScorer:
    """The engine in this process; a context manager.

    Parameters
    ----------
    ensemble, labeller
        Loaded models and what makes labels of their scores.
    start_seconds
        Seconds to skip at the start of each recording.
    folder
        Where the scores of long recordings may wait.
    recordings
        How many there will be, if known.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        labeller: Labeller,
        start_seconds: float,
        folder: str | os.PathLike[str],
        recordings: int | None = None,
    ) -> None:
        self._labeller = labeller
        self._start_seconds = start_seconds
        self._facts = facts_of_run(ensemble, labeller)
        threads = ensemble.cfg.infer.num_threads
        if recordings is not None:
            threads = max(1, min(threads, recordings))
        self._engine = Engine(ensemble, threads=threads, folder=folder)

    def __enter__(self) -> LocalScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    @property
    def scored_s(self) -> float:
        """Seconds scored so far."""
        return self._engine.scored_s

    def run(
        self, recordings: Iterator[tuple[str, Path]], on_tick: Callable[[], None]
    ) -> Iterator[tuple[str, Path, Write | BaseException]]:
        """Yield each recording with what writes it, or with its error."""
        for name, path, result in score_recordings(self._engine, recordings, self._start_seconds, on_tick):
            if isinstance(result, BaseException):
                yield name, path, result
                continue
            with contextlib.closing(result):
                yield name, path, self._writer(name, path, result)

    def score(self, name: str, path: Path, sinks: Mapping[str, Sink]) -> RenderedFacts:
        """Score one recording into sinks; several threads may do so at once."""
        with contextlib.closing(self._engine.score(path, self._start_seconds)) as result:
            return self._writer(name, path, result)(sinks)

    def _writer(self, name: str, path: Path, result: RecordingScores) -> Write:
        return lambda sinks: render(
            self._labeller, name, as_text(os.path.abspath(path)), result, sinks, self._facts
        )


def facts_of_run(ensemble: Ensemble, labeller: Labeller) -> Facts:
    """Return what formats show of the models and rules."""
    low, high = float(ensemble.audio.min_freq), float(ensemble.audio.max_freq)
    return Facts(low, high, labeller.rules.second_pass)
