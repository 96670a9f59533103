"""Who is blamed when actors are lost, on a cluster that is only played."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from britekit.errors import InferenceError
from britekit.inference import cluster
from britekit.inference.cluster import RayScorer
from britekit.inference.ray_worker import Sent

pytest.importorskip("ray")


class _TaskError(Exception):
    pass


class _LostError(Exception):
    pass


class _Reference:
    def __init__(self, name: str, actor: Any) -> None:
        self.name, self.actor = name, actor


class PlayedRay:
    """Two nodes of two CPUs; an actor that has a recording named in ``deadly`` in hand is lost with all."""

    exceptions = SimpleNamespace(RayTaskError=_TaskError, RayError=_LostError)

    def __init__(self, deadly: set[str], damaged: set[str]) -> None:
        self.deadly, self.damaged = deadly, damaged
        self.most_in_hand = self.busy = 0

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": name, "Alive": True, "Resources": {"CPU": 2}} for name in ("a" * 56, "b" * 56)]

    def remote(self, _: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *_: self._actor()))

    def _actor(self) -> Any:
        actor = SimpleNamespace(left=[], lost=False)

        def task(name: str) -> Any:
            reference = _Reference(name, actor)
            actor.left.append(reference)
            self.most_in_hand = max(self.most_in_hand, len(actor.left))
            return reference

        actor.load = SimpleNamespace(remote=lambda: task(""))
        actor.score = SimpleNamespace(remote=lambda name, _: task(name))
        return actor

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        if self.busy:
            self.busy -= 1
            time.sleep(0.1)
            return [], references
        for reference in references:
            if self.deadly & {other.name for other in reference.actor.left}:
                reference.actor.lost = True
        lost = [reference for reference in references if reference.actor.lost]
        return lost or references[:1], []

    def get(self, reference: Any) -> Any:
        if reference.actor.lost:
            raise _LostError("gone")
        reference.actor.left.remove(reference)
        if not reference.name:
            return ("facts",)
        return Sent(1.0, 7.5 if reference.name in self.damaged else None, [], [])

    def kill(self, _: Any) -> None:
        pass


def play(
    monkeypatch: pytest.MonkeyPatch, deadly: set[str], damaged: frozenset[str] = frozenset(), busy: int = 0
) -> Any:
    played = PlayedRay(deadly, set(damaged))
    played.busy = busy
    monkeypatch.setattr(cluster, "connect", lambda _: (played, False))
    monkeypatch.setattr(cluster, "facts_of", lambda _: ("facts",))
    infer = SimpleNamespace(backend="openvino", min_score=0.5, num_threads=3)
    cfg: Any = SimpleNamespace(infer=infer, misc=SimpleNamespace(force_cpu=True))
    ensemble: Any = SimpleNamespace(backend="openvino", device="cpu")
    recordings = iter([(f"r{number:02d}", Path(f"r{number:02d}.wav")) for number in range(40)])
    with RayScorer(cfg, [], 0.0, None, ensemble, SimpleNamespace()) as scorer:  # type: ignore[arg-type]
        found = {name: answer for name, _, answer in scorer.run(recordings, lambda: None)}
    assert len(found) == 40
    return played, {name for name, answer in found.items() if isinstance(answer, BaseException)}, found


def test_only_the_recording_that_ends_its_actor_fails(monkeypatch: pytest.MonkeyPatch):
    played, failed, found = play(monkeypatch, {"r07", "r23"})
    assert failed == {"r07", "r23"}
    assert isinstance(found["r07"], InferenceError) and "lost" in str(found["r07"])
    assert played.most_in_hand == 4


def test_damage_is_told_here(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        assert play(monkeypatch, set(), frozenset({"r05"}))[1] == set()
    assert "r05.wav is damaged at 7.500 s; the part before it is used" in caplog.text


def test_waiting_for_a_busy_cluster_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(cluster, "_PATIENCE_SECONDS", 0.05)
    with caplog.at_level(logging.WARNING):
        assert play(monkeypatch, set(), busy=2)[1] == set()
    assert "waits for all CPUs of a node" in caplog.text
