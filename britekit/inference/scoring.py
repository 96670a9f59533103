"""Score many recordings, yielding each as soon as it is complete; ``analyze`` labels and writes what is yielded."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from britekit.annotations.tracks import split_track
from britekit.audio.files import shown
from britekit.errors import BriteKitError, InferenceError, some
from britekit.formats import Rows
from britekit.inference.drift_log import DriftLog
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.meter import RecordingMeter
from britekit.inference.occurrence_notes import OccurrenceNote, note_of
from britekit.inference.recording_names import identity_of
from britekit.inference.scores import RecordingScores
from britekit.occurrence.prior import RecordingPrior

log = logging.getLogger(__name__)

_Result = TypeVar("_Result", covariant=True)

_TICK_SECONDS = 0.5


def score_recordings(
    engine: Engine,
    recordings: Iterable[tuple[str, Path]],
    start_seconds: float = 0.0,
    on_tick: Callable[[], None] | None = None,
    ahead: int = 0,
    tracks: bool = False,
) -> Iterator[tuple[str, Path, RecordingScores | BaseException]]:
    """Score named recordings; yield each with its scores or its error as soon as it is complete.

    Only a few more recordings than the engine works on are queued at any time. The caller closes the scores.

    Parameters
    ----------
    on_tick
        Called about twice a second while recordings are scored.
    ahead
        Yield recordings in the order in which they come; up to so many may be complete before their turn.
    tracks
        Names are those of tracks: each is scored on its own channel.
    """
    source = iter(recordings)
    pending: dict[Future[RecordingScores], tuple[str, Path]] = {}
    limit = engine.open_recordings + 2 + ahead
    try:
        while True:
            while len(pending) < limit and (item := next(source, None)) is not None:
                channel = split_track(item[0])[1] if tracks else None
                pending[engine.submit(item[1], start_seconds, channels=channel)] = item
            if not pending:
                return
            done, _ = wait(
                [next(iter(pending))] if ahead else pending, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED
            )
            if not done and on_tick is not None:
                on_tick()
            for future in done:
                name, path = pending.pop(future)
                error = future.exception()
                yield name, path, future.result() if error is None else error
    finally:
        for future in pending:
            future.cancel()


class Scored(Protocol):
    """A scored recording, labeled when its rows are requested."""

    @property
    def seconds(self) -> float:
        """Length of the recording in seconds."""

    @property
    def damaged_at(self) -> float | None:
        """Second at which the damage begins; None if intact."""

    def rows(self) -> Iterator[Rows]:
        """Yield its labels."""

    def raw(self) -> Iterator[bytes]:
        """Yield its unrounded scores: starts (N,), float64, then scores (N, C), float32."""

    def occurrence(self) -> OccurrenceNote | None:
        """Return what occurrence data changed; None without such data."""


@dataclass(frozen=True)
class Labeled:
    """A recording scored in this process."""

    labeler: Labeler
    result: RecordingScores
    prior: RecordingPrior | None = None

    @property
    def seconds(self) -> float:
        """Length of the recording in seconds."""
        return self.result.seconds

    @property
    def damaged_at(self) -> float | None:
        """Second at which the damage begins; None if intact."""
        return self.result.damaged_at

    def rows(self) -> Iterator[Rows]:
        """Yield its labels."""
        return self.labeler.rows(self.result, self.prior)

    def raw(self) -> Iterator[bytes]:
        """Yield its unrounded scores: starts (N,), float64, then scores (N, C), float32."""
        yield self.labeler.raw_starts(self.result).astype("<f8").tobytes()
        for block in self.labeler.raw_blocks(self.result, self.prior):
            yield block.astype("<f4").tobytes()

    def occurrence(self) -> OccurrenceNote | None:
        """Return what occurrence data changed; None without such data."""
        return None if self.prior is None else note_of(self.labeler, self.result, self.prior)


class Scorer(Protocol[_Result]):
    """Scores many recordings for `analyze`: threads of this process, or actors of a cluster."""

    @property
    def scored_s(self) -> float:
        """Seconds scored so far."""

    def run(
        self, recordings: Iterator[tuple[str, Path]], on_tick: Callable[[], None]
    ) -> Iterator[tuple[str, Path, _Result | BaseException]]:
        """Yield each recording by name with its labels or its error."""


class LocalScorer:
    """The engine in this process; a context manager.

    Parameters
    ----------
    folder
        Folder for scores of long recordings; None keeps them in memory.
    drift
        Collects statistics of what is scored, and is closed with this object.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        labeler: Labeler,
        start_seconds: float,
        folder: Path | None,
        recordings: int,
        drift: DriftLog | None = None,
    ) -> None:
        self._labeler, self._start_seconds, self._drift = labeler, start_seconds, drift
        threads = max(1, min(ensemble.cfg.infer.num_threads, recordings))
        self._engine = Engine(ensemble, threads=threads, folder=folder, traits=drift is not None)
        self._tracks = ensemble.audio.channels == "each"

    def __enter__(self) -> LocalScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        if self._drift is not None:
            self._drift.close()

    @property
    def scored_s(self) -> float:
        """Seconds scored so far."""
        return self._engine.scored_s

    def run(
        self, recordings: Iterator[tuple[str, Path]], on_tick: Callable[[], None]
    ) -> Iterator[tuple[str, Path, Scored | BaseException]]:
        """Yield each recording with its labels or its error."""
        scored = score_recordings(self._engine, recordings, self._start_seconds, on_tick, tracks=self._tracks)
        for name, path, result in scored:
            if isinstance(result, BaseException):
                yield name, path, result
            else:
                with contextlib.closing(result):
                    prior = self._labeler.prior_of(path)
                    if self._drift is not None:
                        self._drift.add(name, result, prior)
                    yield name, path, Labeled(self._labeler, result, prior)


def run_metered(
    scorer: Scorer[_Result], recordings: Mapping[str, Path], on_begin: Callable[[str], None] | None = None
) -> Iterator[tuple[str, Path, _Result | BaseException]]:
    """Yield each recording with its labels or its error, and show progress.

    Parameters
    ----------
    on_begin
        Called with the name of each recording before it is read.
    """
    sizes = {name: max(0, identity_of(path)[0]) for name, path in recordings.items()}
    with contextlib.closing(RecordingMeter(len(recordings), sum(sizes.values()))) as meter:

        def begin() -> Iterator[tuple[str, Path]]:
            for name, path in recordings.items():
                if on_begin is not None:
                    on_begin(name)
                meter.begin_recording(path, sizes[name])
                yield name, path

        for item in scorer.run(begin(), lambda: meter.tick(scorer.scored_s)):
            yield item
            meter.finish_recording(scorer.scored_s)
        meter.finish()


def reason_of(error: BaseException, path: Path) -> str:
    """Return why a recording failed, without its path; raise anything that is not an `Exception`."""
    if isinstance(error, BriteKitError):
        text = " ".join(str(error).split())
        for named in (shown(path), shown(path.absolute())):  # workers on other nodes use the absolute path
            text = text.removeprefix(f"{named} ").removeprefix(f"{named}: ")
        return text
    if not isinstance(error, Exception):
        raise error
    log.debug("unexpected error", exc_info=error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def raise_failed(failed: dict[Path, str], total: int, done: str = "scored") -> None:
    """Raise `InferenceError` if recordings of a batch failed."""
    if failed:
        listed = some((f"{shown(path)}: {reason}" for path, reason in sorted(failed.items())), 3, "; ")
        raise InferenceError(f"{len(failed)} of {total} recordings could not be {done} ({listed})")
