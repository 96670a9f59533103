"""What scores many recordings for `analyze`: the engine in this process, or something that stands for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble
from britekit.inference.labelling import Labeller
from britekit.inference.rendering import RenderedFacts, Sinks, render
from britekit.inference.scores import RecordingScores
from britekit.inference.scoring import score_recordings

# Writes a scored recording into sinks.
Write = Callable[[Sinks], RenderedFacts]


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
        audio = ensemble.audio
        self._labeller = labeller
        self._start_seconds = start_seconds
        self._hertz = (float(audio.min_freq), float(audio.max_freq))
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
                yield name, path, self._writer(name, result)

    def score(self, name: str, path: Path, sinks: Sinks) -> RenderedFacts:
        """Score one recording into sinks; several threads may do so at once."""
        with contextlib.closing(self._engine.score(path, self._start_seconds)) as result:
            return self._writer(name, result)(sinks)

    def _writer(self, name: str, result: RecordingScores) -> Write:
        return lambda sinks: render(self._labeller, name, result, sinks, self._hertz)
