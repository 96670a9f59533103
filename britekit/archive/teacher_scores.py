"""The teacher's scores of unlabeled recordings, in a journal that a killed run continues.

Legend: N windows of a recording, C classes, T frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import britekit
from britekit.audio.files import shown
from britekit.inference.cluster import RayScorer
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble
from britekit.inference.journal import Done, Journal
from britekit.inference.manifest import runtime_version
from britekit.inference.recording_names import identity_of
from britekit.inference.score_tables import LABEL_SETTINGS
from britekit.inference.scores import RecordingScores
from britekit.inference.scoring import Scorer, reason_of, run_metered, score_recordings

log = logging.getLogger(__name__)

_AHEAD = 64


def facts_of(ensemble: Ensemble) -> dict[str, Any]:
    """Return what scores depend on besides the recordings."""
    infer = dataclasses.asdict(ensemble.cfg.infer)
    return {
        "britekit_version": britekit.__version__,
        "members": [member.sha256 for member in ensemble.members],
        "backend": runtime_version(ensemble.backend),
        "device": ensemble.device,
        "audio": dataclasses.asdict(ensemble.audio),
        "infer": {name: value for name, value in infer.items() if name not in LABEL_SETTINGS},
        "sed_fps": ensemble.sed_fps,
    }


class _Engine:
    """The engine, as `run_metered` takes it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def scored_s(self) -> float:
        return self._engine.scored_s

    def run(self, recordings: Any, on_tick: Any) -> Iterator[tuple[str, Path, RecordingScores | BaseException]]:
        yield from score_recordings(self._engine, recordings, 0.0, on_tick, _AHEAD)


def score_into(
    ensemble: Ensemble,
    todo: Mapping[str, Path],
    journal: Journal,
    failed: dict[Path, str],
    cluster: RayScorer | None = None,
) -> None:
    """Score recordings into the journal, here or on a cluster; add those that fail to ``failed``."""
    identities: dict[str, tuple[int, int]] = {}

    def begin(name: str) -> None:
        identities[name] = identity_of(todo[name])

    with contextlib.ExitStack() as stack:
        scorer: Scorer[Any]
        if cluster is None:
            threads = max(1, min(ensemble.cfg.infer.num_threads, len(todo)))
            scorer = _Engine(stack.enter_context(Engine(ensemble, threads=threads, folder=journal.path.parent)))
        else:
            scorer = cluster
        for name, path, found in run_metered(scorer, todo, begin):
            identity = identities.pop(name)
            if isinstance(found, BaseException):
                failed[path] = reason_of(found, path)
                log.warning("%s is left out: %s", shown(path), failed[path])
                continue
            with contextlib.closing(found), journal.adding(name) as add:
                add("starts", found.starts.astype("<f8").tobytes())
                add("scores", found.scores.astype("<f4").tobytes())
                if found.frames is not None:
                    add("frames", found.frames.astype("<f4").tobytes())
                journal.finish(Done(name, *identity, found.seconds, 0, len(found.starts), found.damaged_at, ""))
    journal.commit()


@dataclass(frozen=True)
class TeacherScores:
    """The scores in the journal, in the student's order of classes and sharpened."""

    journal: Journal
    width: int
    order: np.ndarray
    fps: int | None
    duration: float
    power: float

    def starts(self, name: str) -> np.ndarray:
        """Return the starts of the windows (N,), in seconds."""
        return np.frombuffer(b"".join(self.journal.pieces(name, "starts")), "<f8")

    def scores(self, name: str) -> np.ndarray:
        """Return the teacher's scores (N, C)."""
        return self._rows(name, "scores")

    def frames(self, name: str) -> np.ndarray | None:
        """Return scores per window and frame (N, C, T), zero beyond the end; None without frames."""
        if self.fps is None:
            return None
        rows_FC, count = self._rows(name, "frames"), max(1, round(self.fps * self.duration))
        first = np.rint(self.starts(name) * self.fps).astype(np.int64)
        places = first[:, None] + np.arange(count)
        inside = (places >= 0) & (places < len(rows_FC))
        taken = np.where(inside[..., None], rows_FC[np.clip(places, 0, len(rows_FC) - 1)], 0.0)
        return np.ascontiguousarray(taken.transpose(0, 2, 1), np.float32)

    def _rows(self, name: str, kind: str) -> np.ndarray:
        found = np.frombuffer(b"".join(self.journal.pieces(name, kind)), "<f4").reshape(-1, self.width)
        return found[:, self.order]
