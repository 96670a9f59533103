"""One recording through the engine, then calibration and labels; recent scores are kept.

A person who moves a threshold or asks for another format names the recording by its key: the scores are found
again, and only the labels are made once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import functools
import itertools
import threading
from collections import Counter, OrderedDict
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import britekit
from britekit.annotations.classes import ClassInfo
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.config.audio import AudioConfig
from britekit.errors import InferenceError
from britekit.inference.drift_log import configured_drift_log
from britekit.inference.engine import Engine, Progress, RecordingScores
from britekit.inference.ensemble import load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.screening import open_screen
from britekit.occurrence.prior import RecordingPrior
from britekit.plots.axis_ticks import frequency_ticks, row_centers_hz
from britekit.service import tracing
from britekit.service.contents import Contents
from britekit.service.limits import Limits

# Enough for people who still look at a recording; both are full within minutes of load.
KEPT_RECORDINGS = 1000
KEPT_BYTES = 64 << 20
# Settings that name files, which no client needs.
_PATHS = ("calibration", "occurrence", "screen")


@dataclass(frozen=True, slots=True)
class Found:
    """A class heard from ``start`` to ``end``, in seconds; ``confirmed`` as in `Label`."""

    info: ClassInfo
    start: float
    end: float
    score: float
    confirmed: bool = False


class Analyst:
    """The ensemble of a model folder, ready to score many recordings at once.

    Parameters
    ----------
    contents
        The model folder.
    limits
        Length of a recording, and how many are worked on side by side.
    jobs
        Jobs that are worked on beside the requests.

    Attributes
    ----------
    calibration
        What is applied to the scores of detections.
    """

    def __init__(self, contents: Contents, limits: Limits, jobs: int = 0) -> None:
        self._contents = contents
        self._cfg = contents.cfg
        self._max_seconds = limits.max_seconds
        self._ensemble = load_ensemble(contents.cfg, contents.exports)
        self.classes: list[ClassInfo] = list(self._ensemble.classes)
        # Reads files now, so that an unusable one ends the start; settings alone name the calibration.
        self._labeler = Labeler(contents.cfg, self._ensemble)
        self.calibration = self._labeler.calibration
        self._ensemble.screen = open_screen(contents.cfg, self._ensemble, self._labeler)
        self._labeler.prior  # noqa: B018 reads occurrence data now, for the same reason
        # By threshold and whether each class has its own; most requests ask for the same. Labels show names of classes.
        self.labeler_at = functools.lru_cache(32)(self._make_labeler)
        # All requests share the engine, so windows share its batches and short recordings overtake long ones.
        self._drift = configured_drift_log(contents.cfg, self._labeler, limits.drift_folder)
        self._drift_lock = threading.Lock()
        self._engine = Engine(
            self._ensemble, limits.threads, limits.max_requests + jobs, traits=self._drift is not None
        )
        self._kept: OrderedDict[str, RecordingScores] = OrderedDict()
        self._kept_bytes = 0
        self._metadata: OrderedDict[str, RecordingMetadata] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop the engine's threads."""
        self._engine.close()
        if self._drift is not None:
            with self._drift_lock:
                self._drift.close()

    @property
    def labeler(self) -> Labeler:
        """Labels scores by the model's own settings."""
        return self._labeler

    @property
    def found_classes(self) -> list[ClassInfo]:
        """The classes that detections can have: without the ignored ones."""
        return self._labeler.classes

    def kept(self, key: str) -> RecordingScores | None:
        """Return the scores that are kept under a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                self._metadata.move_to_end(key)  # so that it is known for as long as the scores are
            return self._kept.get(key)

    def metadata(self, key: str) -> RecordingMetadata:
        """Return what the file of that key says about itself; nothing if it was sent too long ago."""
        with self._lock:
            return self._metadata.get(key, RecordingMetadata())

    async def analyze(self, path: Path, key: str, channel: int | None = None) -> RecordingScores:
        """Score a recording; if the caller is cancelled, so is the work on it.

        Parameters
        ----------
        path
            The file; it must stay until this returns.
        key
            What the scores are kept under: all that they depend on, bytes, suffix and channel.
        channel
            In place of ``audio.channels``.

        Raises
        ------
        InputError
            It cannot be decoded as audio.
        TooLong
            It is longer than the limit, by its header or by what was decoded.
        InferenceError
            It is too short for a window.
        """
        progress = tracing.progress()
        waiting = self._engine.submit(path, max_seconds=self._max_seconds, progress=progress, channels=channel)
        try:
            result = await asyncio.wrap_future(waiting)
        except asyncio.CancelledError:
            give_up(waiting)
            raise
        finally:
            tracing.stage_spans(progress)
        refuse_short(result)
        metadata = await asyncio.to_thread(read_metadata, path)
        if self._drift is not None:
            await asyncio.to_thread(self.count_drift, key, result)
        with self._lock:
            self._metadata[key] = metadata
            if len(self._metadata) > KEPT_RECORDINGS:
                self._metadata.popitem(last=False)
        self._keep(key, result)
        return result

    def submit(
        self, path: Path, max_seconds: float, folder: Path, progress: Progress, channel: int | None = None
    ) -> Future[RecordingScores]:
        """Start scoring the recording of a job; see `Engine.submit`. Its scores are not kept."""
        return self._engine.submit(path, 0.0, max_seconds, folder, progress, channel)

    def count_drift(self, name: str, result: RecordingScores) -> None:
        """Add a scored recording to the statistics of ``BRITEKIT_DRIFT_FOLDER``, if they are kept."""
        if self._drift is not None:
            with self._drift_lock:
                self._drift.add(name, result)

    def label(
        self, result: RecordingScores, min_score: float, thresholds: bool = False, prior: RecordingPrior | None = None
    ) -> tuple[list[Found], Labeler]:
        """Return what is heard, by the rules of ``analyze``, and what labeled it.

        Raises `InputError` if ``thresholds`` is set, and the calibration holds none.

        Parameters
        ----------
        min_score
            Lowest score of a detection.
        thresholds
            Use the threshold of each class that the calibration holds; ``min_score`` is for those without.
        """
        labeler = self.labeler_at(min_score, thresholds)
        by_name = {info.name: info for info in labeler.classes}
        found: list[Found] = []
        for name, heard in labeler.intervals(result, prior):
            columns = (heard.starts, heard.ends, heard.scores, heard.confirmed)
            found += map(Found, itertools.repeat(by_name[name]), *(column.tolist() for column in columns))
        return found, labeler

    def _make_labeler(self, min_score: float, thresholds: bool) -> Labeler:
        cfg = copy.deepcopy(self._cfg)
        cfg.infer.min_score = min_score
        cfg.infer.label_field = "names"
        return Labeler(cfg, self._ensemble, self.calibration, thresholds, self._labeler.prior)

    def count(self, result: RecordingScores, prior: RecordingPrior | None = None) -> Counter[str]:
        """Return how many detections each class has at the model's own threshold."""
        labeler = self.labeler_at(self._cfg.infer.min_score, False)
        return Counter({name: len(heard.starts) for name, heard in labeler.intervals(result, prior)})

    def facts(self) -> dict[str, Any]:
        """Return what people want to know about the model, as plain values without paths."""
        members = [
            {
                "name": member.path.stem,
                "identifier": member.identifier,
                "sha256": member.sha256,
                "training_date": member.training_date,
                **({"licence": member.licence} if member.licence else {}),
            }
            for member in self._ensemble.members
        ]
        calibration = None
        applied = self.calibration
        if not applied.is_identity:
            calibration = {
                "coefficient": applied.coefficient,
                "intercept": applied.intercept,
                "classes": {name: list(pair) for name, pair in applied.per_class.items()},
                "precision": applied.precision,
                "thresholds": applied.thresholds,
            }
        return {
            "name": self._cfg.pipeline.bento_name,
            "version": britekit.__version__,
            "origin": {key: self._contents.facts.get(key) for key in ("version", "training", "data", "test")},
            "backend": self._ensemble.backend,
            "classes": [dataclasses.asdict(info) for info in self._labeler.classes],
            "members": members,
            "calibration": calibration,
            "frequency_marks": frequency_marks(self._cfg.audio),
            "sample": self._contents.sample.name if self._contents.sample else None,
            "occurrence": self._occurrence_facts(),
            "settings": {k: v for k, v in dataclasses.asdict(self._cfg.infer).items() if k not in _PATHS},
            "audio": dataclasses.asdict(self._cfg.audio),
        }

    def _occurrence_facts(self) -> dict[str, Any] | None:
        prior = self._labeler.prior
        return None if prior is None else {"areas": len(prior.table.areas), "sha256": prior.table.sha256}

    def _keep(self, key: str, result: RecordingScores) -> None:
        size = _bytes_of(result)
        with self._lock:
            if key in self._kept or size > KEPT_BYTES:
                return
            self._kept[key] = result
            self._kept_bytes += size
            while self._kept_bytes > KEPT_BYTES or len(self._kept) > KEPT_RECORDINGS:
                self._kept_bytes -= _bytes_of(self._kept.popitem(last=False)[1])


def frequency_marks(cfg: AudioConfig) -> list[dict[str, Any]]:
    """Return round frequencies with their places on the picture, from 0 at its lower edge to 1."""
    ticks = frequency_ticks(row_centers_hz(cfg), most=9)
    unit = "kHz" if "kHz" in ticks.name else "Hz"
    return [
        {"at": (place + 0.5) / cfg.spec_height, "label": f"{label} {unit}"}
        for place, label in zip(ticks.places, ticks.labels, strict=True)
    ]


def refuse_short(result: RecordingScores) -> None:
    """Raise `InferenceError` for a recording without a window."""
    if not len(result.starts):
        raise InferenceError(f"the recording is {result.seconds:.3g} s long, too short to be analyzed")


def give_up(waiting: Future[RecordingScores]) -> None:
    """Let the engine leave a recording at its next chunk; it leaves those that have an answer."""
    if not waiting.cancel():
        with contextlib.suppress(InvalidStateError):
            waiting.set_exception(InferenceError("the request for the recording was cancelled"))


def _bytes_of(result: RecordingScores) -> int:
    frames = 0 if result.frames is None else result.frames.nbytes
    return 1024 + result.starts.nbytes + result.scores.nbytes + frames
