"""Score many recordings, yielding each as soon as it is complete.

``analyze`` labels and writes the yielded scores; tests of settings and ensembles take all of them as a `ScoreTable`
(`score_all`), which a `ScoreCache` keeps between runs.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from os.path import isfile
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

import britekit
from britekit.annotations.deployments import DEFAULT_PATH as DEPLOYMENTS
from britekit.annotations.scores import ScoreTable
from britekit.annotations.tracks import split_track
from britekit.audio.files import shown
from britekit.config import BaseConfig
from britekit.errors import BriteKitError, InferenceError, some
from britekit.files import sha256_of
from britekit.formats import Rows
from britekit.inference.backend import choose_backend
from britekit.inference.drift_log import DriftLog
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble
from britekit.inference.labeling import Labeler, ignored_classes
from britekit.inference.manifest import score_facts
from britekit.inference.meter import RecordingMeter
from britekit.inference.occurrence_notes import OccurrenceNote, note_of
from britekit.inference.platt import Calibration
from britekit.inference.recording_names import identity_of, recording_name, refuse_each
from britekit.inference.scores import RecordingScores
from britekit.inference.screening import left_out_as_0, open_screen
from britekit.occurrence.prior import RecordingPrior

log = logging.getLogger(__name__)

_Result = TypeVar("_Result", covariant=True)

_TICK_SECONDS = 0.5
# Settings of `infer` that affect only labels or speed, not scores.
LABEL_SETTINGS = frozenset(
    {
        "min_score", "lower_min_if_confirmed", "raise_min_to_confirm", "confirmed_if_seconds",
        "lower_min_factor", "scaling_coefficient", "scaling_intercept", "calibration", "label_field",
        "num_threads", "max_models",
    }
)  # fmt: skip


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
    ensemble, labeler
        Loaded models, and the labeler.
    start_seconds
        Seconds to skip at the start of each recording.
    folder
        Folder for scores of long recordings; None keeps them in memory.
    recordings
        Number of recordings.
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


def score_all(ensemble: Ensemble, paths: Sequence[Path], root: Path, start_seconds: float = 0.0) -> ScoreTable:
    """Return the uncalibrated scores of recordings, as ``analyze`` writes them to ``scores.npz``.

    Parameters
    ----------
    root
        Directory that names of recordings are relative to.
    start_seconds
        Seconds to skip at the start of each recording.

    Raises
    ------
    InferenceError
        A recording could not be scored.
    """
    refuse_each(ensemble.audio, "tests of scores")
    cfg = copy.deepcopy(ensemble.cfg)
    cfg.infer.min_score = 0.0
    labeler = Labeler(cfg, ensemble, Calibration())
    labeler.prior = labeler.load_prior(root=root)
    ensemble.screen = open_screen(cfg, ensemble, labeler) if cfg.infer.test_screened else None
    named = dict(sorted((recording_name(path, root), path) for path in paths))
    found: dict[str, tuple[float, np.ndarray, np.ndarray]] = {}
    failed: dict[Path, str] = {}
    width = len(labeler.classes)
    with LocalScorer(ensemble, labeler, start_seconds, None, len(named)) as scorer:
        for name, path, scored in run_metered(scorer, named):
            if isinstance(scored, BaseException):
                failed[path] = reason_of(scored, path)
                continue
            starts, *blocks = scored.raw()
            scores = np.frombuffer(b"".join(blocks), np.float32).reshape(-1, width)
            found[name] = (scored.seconds, np.frombuffer(starts, np.float64), scores)
    failure = failure_of(failed, len(named))
    if failure is not None:
        raise failure
    names = list(named)
    seconds, starts, scores_of = zip(*(found[name] for name in names), strict=True)
    scores = np.concatenate(scores_of)
    return ScoreTable(
        recordings=names,
        seconds=np.array(seconds, np.float64),
        row_recording=np.repeat(np.arange(len(names), dtype=np.int32), list(map(len, starts))),
        starts=np.concatenate(starts),
        duration=labeler.unit_s,
        classes=labeler.classes,
        scores=scores if ensemble.screen is None else left_out_as_0(scores, "the test"),
        meta=score_facts(ensemble, labeler),
    )


class ScoreCache:
    """A cache of score tables in a folder, keyed by everything they depend on; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(
        self,
        cfg: BaseConfig,
        members: Sequence[Path],
        recordings: Sequence[Path],
        root: Path,
        load: Callable[[], Ensemble],
    ) -> tuple[ScoreTable, bool]:
        """Return the scores of recordings, and whether they were cached; compute and cache them otherwise.

        Parameters
        ----------
        cfg, members
            Effective settings and checkpoints of the ensemble.
        recordings, root
            See `score_all`.
        load
            Loads the ensemble if scores must be computed.
        """
        facts = {
            "britekit_version": britekit.__version__,
            "members": [sha256_of(path) for path in members],
            "backend": choose_backend(cfg, members).name,
            "force_cpu": cfg.misc.force_cpu,
            "audio": asdict(cfg.audio),
            "infer": {k: v for k, v in asdict(cfg.infer).items() if k not in LABEL_SETTINGS},
            "sed_fps": cfg.train.sed_fps,
            "names": [cfg.misc.map_names, cfg.misc.map_codes],
            "ignored": sorted(ignored_classes(cfg)),
            "occurrence": [sha256_of(path) for path in (cfg.infer.occurrence, DEPLOYMENTS) if path and isfile(path)],
            "recordings": [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in recordings],
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        place = self._folder / f"{key}.npz"
        if place.is_file():
            return ScoreTable.load(place), True
        table = score_all(load(), recordings, root)
        table.save(place)
        return table, False


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


def failure_of(failed: dict[Path, str], total: int, done: str = "scored") -> InferenceError | None:
    """Return the error for a batch with failed recordings, or None."""
    if not failed:
        return None
    listed = some((f"{shown(path)}: {reason}" for path, reason in sorted(failed.items())), 3, "; ")
    return InferenceError(f"{len(failed)} of {total} recordings could not be {done} ({listed})")
