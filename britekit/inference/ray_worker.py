"""What runs on another node: the engine with the models, and a recording's output as bytes."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import britekit
from britekit.config import BaseConfig
from britekit.errors import BriteKitError
from britekit.formats import Sink
from britekit.inference.ensemble import Ensemble
from britekit.inference.labelling import Labeller
from britekit.inference.rendering import RenderedFacts
from britekit.inference.scorers import LocalScorer


@dataclasses.dataclass(frozen=True)
class Rendered:
    """The parts of a recording's output as bytes, as an actor sends them."""

    facts: RenderedFacts
    parts: dict[str, bytes]

    def write(self, sinks: Mapping[str, Sink]) -> RenderedFacts:
        """Write them into sinks."""
        for name, content in self.parts.items():
            sinks[name].write(content)
        return self.facts


class Worker:
    """What an actor runs: the engine with the models, on one node.

    Parameters
    ----------
    cfg
        Settings in force.
    members
        Models, as absolute paths.
    labeller
        Makes labels of scores.
    start_seconds
        Seconds to skip at the start of each recording.
    parts
        Sinks that are wanted.
    """

    def __init__(
        self, cfg: BaseConfig, members: list[Path], labeller: Labeller, start_seconds: float, parts: list[str]
    ) -> None:
        self._given = (cfg, members, labeller, start_seconds)
        self._parts = parts
        self._local: LocalScorer | None = None

    def load(self) -> tuple[str, ...]:
        """Load the models, and return what must be the same on all nodes."""
        from britekit.inference.ensemble import load_ensemble

        cfg, members, labeller, start_seconds = self._given
        ensemble = load_ensemble(cfg, members)
        self._local = LocalScorer(ensemble, labeller, start_seconds, tempfile.gettempdir())
        return facts_of(ensemble)

    def score(self, name: str, path: str) -> Rendered | BriteKitError:
        """Score a recording; what is wrong with it is returned, since Ray wraps what is raised."""
        assert self._local is not None
        buffers = {part: io.BytesIO() for part in self._parts}
        try:
            facts = self._local.score(name, Path(path), buffers)
        except BriteKitError as error:
            return error
        return Rendered(facts, {part: buffer.getvalue() for part, buffer in buffers.items()})


def facts_of(ensemble: Ensemble) -> tuple[str, ...]:
    """Return what must be the same on all nodes, so that all give the same scores."""
    from britekit.inference.manifest import runtime_version

    models = [f"{member.path.name} {member.sha256[:12]}" for member in ensemble.members]
    return (f"britekit {britekit.__version__}", runtime_version(ensemble.backend), ensemble.device, *models)
