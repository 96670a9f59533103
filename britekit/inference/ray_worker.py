"""Run on another node: the engine with the models, and labels of a recording as bytes, or its scores."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import britekit
from britekit.config import BaseConfig
from britekit.errors import BriteKitError
from britekit.formats import Rows, read_rows
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.occurrence_notes import OccurrenceNote
from britekit.inference.scoring import Labeled


@dataclasses.dataclass(frozen=True)
class Sent:
    """A scored recording as sent by an actor: labels and unrounded scores as bytes."""

    seconds: float
    damaged_at: float | None
    labels: list[bytes]
    scores: list[bytes]
    note: OccurrenceNote | None = None

    def rows(self) -> Iterator[Rows]:
        """Yield its labels."""
        for piece in self.labels:
            yield from read_rows(io.BytesIO(piece), len(piece))

    def raw(self) -> Iterator[bytes]:
        """Yield its unrounded scores: starts (N,), float64, then scores (N, C), float32."""
        return iter(self.scores)

    def occurrence(self) -> OccurrenceNote | None:
        """Return what occurrence data changed; None without such data."""
        return self.note


@dataclasses.dataclass(frozen=True)
class SentScores:
    """A scored recording as sent by an actor without a labeler; see `RecordingScores`."""

    seconds: float
    damaged_at: float | None
    starts: np.ndarray
    scores: np.ndarray
    frames: np.ndarray | None

    def close(self) -> None:
        """Do nothing: all is in memory."""


class Worker:
    """The actor: the engine with the models on one node.

    Parameters
    ----------
    members
        Models, as absolute paths.
    labeler
        Turns scores into labels; None to send the scores.
    """

    def __init__(self, cfg: BaseConfig, members: list[Path], labeler: Labeler | None, start_seconds: float) -> None:
        self._cfg, self._members = cfg, members
        self._labeler, self._start_seconds = labeler, start_seconds
        self._engine: Engine | None = None

    def load(self) -> tuple[str, ...]:
        """Load the models; return the facts that must be equal on all nodes."""
        ensemble = load_ensemble(self._cfg, self._members)
        self._engine = Engine(ensemble, folder=tempfile.gettempdir())
        return facts_of(ensemble)

    def score(self, name: str, path: str) -> Sent | SentScores | BriteKitError:
        """Score a recording; return its error, since Ray wraps raised ones."""
        assert self._engine is not None
        try:
            with contextlib.closing(self._engine.score(path, self._start_seconds)) as result:
                if self._labeler is None:
                    return SentScores(result.seconds, result.damaged_at, result.starts, result.scores, result.frames)
                found = Labeled(self._labeler, result, self._labeler.prior_of(Path(path)))
                scores = list(found.raw()) if self._cfg.infer.min_score == 0 else []
                labels = [rows.to_bytes() for rows in found.rows()]
                return Sent(found.seconds, found.damaged_at, labels, scores, found.occurrence())
        except BriteKitError as error:
            return error


def facts_of(ensemble: Ensemble) -> tuple[str, ...]:
    """Return the facts that must be equal on all nodes for equal scores."""
    from britekit.inference.manifest import runtime_version

    models = [f"{member.path.name} {member.sha256[:12]}" for member in ensemble.members]
    return (f"britekit {britekit.__version__}", runtime_version(ensemble.backend), ensemble.device, *models)
