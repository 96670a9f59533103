"""Run the engine as actors on the nodes of a Ray cluster: one per GPU, or one per CPU node.

An actor loads the models and scores recordings under the same path as here, on a shared file system. It also creates
the bytes of their files; only this process writes them and keeps the journal. If an actor is lost with its node, its
recordings go to the others. `tune` shares the nodes by `britekit.tuning.cluster`.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from britekit.audio.files import shown
from britekit.config import BaseConfig
from britekit.errors import BriteKitError, InferenceError
from britekit.inference.ensemble import Ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.ray_worker import Worker, facts_of

log = logging.getLogger(__name__)

# Recordings queued at an actor beyond those in progress, so that it does not wait for this process.
_AHEAD = 1
_TICK_SECONDS = 0.5
# Interval for discovering nodes, and how long to wait for a first one.
_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 120.0
_CONNECT_SECONDS = 5.0
# A recording that kills its actor this often is the cause itself.
_MOST_LOSSES = 3


@dataclasses.dataclass(eq=False)
class _Actor:
    """An actor, its node, and its pending recordings."""

    handle: Any
    node: str
    place: int
    loading: Any
    tasks: dict[Any, tuple[str, Path]] = dataclasses.field(default_factory=dict)


class RayScorer:
    """A scorer for `analyze_recordings` and `pseudo-label` on a cluster; a context manager that ends its actors.

    Raises `InferenceError` if Ray is not installed, or there is no cluster at the address.

    Parameters
    ----------
    cfg, members, start_seconds
        See `analyze_recordings` and `load_ensemble`.
    address
        Address of the cluster; None connects to an existing one, else starts one on this machine.
    ensemble, labeler
        Loaded models of this process, and the labeler; without one, results are `SentScores`.
    """

    def __init__(
        self,
        cfg: BaseConfig,
        members: Sequence[Path],
        start_seconds: float,
        address: str | None,
        ensemble: Ensemble,
        labeler: Labeler | None = None,
    ) -> None:
        self._ray, self._began = connect(address)
        # Nodes must not choose a backend: scores of two backends are never mixed.
        cfg = copy.deepcopy(cfg)
        cfg.infer.backend = ensemble.backend  # type: ignore[assignment]
        cfg.misc.force_cpu = ensemble.device == "cpu"
        self._arguments = (cfg, [path.resolve() for path in members], labeler, start_seconds)
        self._facts = facts_of(ensemble)
        self._on_gpu = ensemble.device != "cpu"
        self._capacity = cfg.infer.num_threads + _AHEAD
        self._actors: list[_Actor] = []
        self._waiting: collections.deque[tuple[str, Path]] = collections.deque()
        self._losses: collections.Counter[str] = collections.Counter()
        self._looked_at = self._alive_at = -1e9
        self._scored_s = 0.0

    def __enter__(self) -> RayScorer:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor.handle)
        if self._began:
            self._ray.shutdown()

    @property
    def scored_s(self) -> float:
        """Seconds of the completed recordings."""
        return self._scored_s

    def run(
        self, recordings: Iterator[tuple[str, Path]], on_tick: Callable[[], None]
    ) -> Iterator[tuple[str, Path, Any]]:
        """Yield each recording with its labels or scores, or its error."""
        self._alive_at = time.monotonic()
        while self._is_more(recordings) or any(actor.tasks for actor in self._actors):
            self._look_for_nodes()
            self._hand_out(recordings)
            owners = {actor.loading: actor for actor in self._actors if actor.loading is not None}
            owners |= {task: actor for actor in self._actors for task in actor.tasks}
            if not owners:
                time.sleep(_TICK_SECONDS)
            done = self._ray.wait(list(owners), timeout=_TICK_SECONDS)[0] if owners else []
            on_tick()
            for reference in done:
                actor = owners[reference]
                if actor not in self._actors:
                    continue  # lost in the meantime
                if reference is actor.loading:
                    self._finish_loading(actor)
                    continue
                name, path = actor.tasks[reference]
                answer = self._answer(actor, reference, name)
                if answer is not None:
                    yield name, path, answer

    def _hand_out(self, recordings: Iterator[tuple[str, Path]]) -> None:
        """Submit recordings to actors with free capacity, one at a time in turn."""
        for _ in range(self._capacity):
            for actor in self._actors:
                if actor.loading is None and self._is_more(recordings) and self._has_room(actor):
                    name, path = item = self._waiting.popleft()
                    actor.tasks[actor.handle.score.remote(name, os.path.abspath(path))] = item

    def _has_room(self, actor: _Actor) -> bool:
        """Return whether an actor takes the next recording; a recording that lost an actor then runs alone."""
        if any(self._losses[name] for name, _ in actor.tasks.values()):
            return False
        return len(actor.tasks) < (1 if self._losses[self._waiting[0][0]] else self._capacity)

    def _is_more(self, recordings: Iterator[tuple[str, Path]]) -> bool:
        if not self._waiting:
            self._waiting.extend(itertools.islice(recordings, 1))
        return bool(self._waiting)

    def _answer(self, actor: _Actor, reference: Any, name: str) -> Any:
        """Return the result of an actor for a recording; None if it was lost and will be retried."""
        exceptions = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except exceptions.RayTaskError as error:
            del actor.tasks[reference]
            return InferenceError(last_line(error))
        except exceptions.RayError as error:
            self._losses.update(other for other, _ in actor.tasks.values())
            at_fault = self._losses[name] >= _MOST_LOSSES
            if at_fault:
                del actor.tasks[reference]
            self._lose(actor, error)
            return InferenceError(f"the process that scored it was lost {_MOST_LOSSES} times") if at_fault else None
        _, path = actor.tasks.pop(reference)
        if isinstance(answer, BriteKitError):
            return answer
        if answer.damaged_at is not None:  # warnings of a worker are not visible here
            what = "%s is damaged at %.3f s; the part before it is used"
            log.warning(what, shown(path), answer.damaged_at)
        self._scored_s += answer.seconds
        return answer

    def _look_for_nodes(self) -> None:
        """Start actors on nodes without one, including nodes that joined later."""
        now = time.monotonic()
        if any(actor.loading is None for actor in self._actors):
            self._alive_at = now
        elif now - self._alive_at > _PATIENCE_SECONDS and self._actors:
            self._alive_at = now
            log.warning("no node has started scoring yet; each actor waits for all CPUs of a node, or for a GPU")
        elif now - self._alive_at > _PATIENCE_SECONDS:
            raise InferenceError(
                f"no node of the Ray cluster could score for {_PATIENCE_SECONDS:g} s; finished recordings "
                "are kept, and the same command continues with the others"
            )
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        taken = {(actor.node, actor.place) for actor in self._actors}
        for node, place, options in node_places(self._ray, self._on_gpu):
            if (node, place) not in taken:
                options |= {"max_concurrency": self._capacity + 1, "max_restarts": 0}
                handle = self._ray.remote(Worker).options(**options).remote(*self._arguments)
                self._actors.append(_Actor(handle, node, place, handle.load.remote()))

    def _finish_loading(self, actor: _Actor) -> None:
        exceptions = self._ray.exceptions
        try:
            facts = self._ray.get(actor.loading)
        except exceptions.RayTaskError as error:
            raise InferenceError(f"the models cannot be loaded on node {actor.node[:8]}: {last_line(error)}") from error
        except exceptions.RayError as error:
            self._lose(actor, error)
            return
        if facts != self._facts:
            raise InferenceError(
                f"node {actor.node[:8]} has {', '.join(facts)}; here it is {', '.join(self._facts)}: "
                "all nodes need the same version and models"
            )
        actor.loading = None

    def _lose(self, actor: _Actor, error: Exception) -> None:
        log.warning(
            "a worker on node %s was lost (%s); its %d recordings go to others",
            actor.node[:8],
            type(error).__name__,
            len(actor.tasks),
        )
        self._waiting.extend(actor.tasks.values())
        self._actors.remove(actor)
        self._looked_at = -1e9


def ray_scorers(
    cfg: BaseConfig, members: Sequence[Path], start_seconds: float, address: str | None
) -> Callable[[Ensemble, Labeler], RayScorer]:
    """Return a factory of `RayScorer` for `analyze_recordings`."""
    return lambda ensemble, labeler: RayScorer(cfg, members, start_seconds, address, ensemble, labeler)


def node_places(ray: Any, on_gpu: bool) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield node, number and options of Ray for each GPU of the cluster, or for each node with all of its CPUs."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for node in ray.nodes():
        resources = node["Resources"]
        if not node["Alive"] or resources.get("CPU", 0) < 1:
            continue
        for place in range(int(resources.get("GPU", 0)) if on_gpu else 1):
            yield (
                node["NodeID"],
                place,
                {
                    "num_cpus": 1 if on_gpu else resources["CPU"],
                    "num_gpus": 1 if on_gpu else 0,
                    "scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                },
            )


def connect(address: str | None) -> tuple[Any, bool]:
    """Return the connected Ray module, and whether this call connected it."""
    # Ray sends usage statistics by default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise InferenceError('--engine ray needs Ray; install it with pip install "britekit[ray]"') from None
    if ray.is_initialized():
        return ray, False
    if address is not None:
        _check_answers(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        ray.init(address=address or "auto", **quiet)
    except (ConnectionError, ValueError, RuntimeError, SystemExit) as error:  # Ray exits after a long wait
        if address is not None:
            raise InferenceError(
                f'no Ray cluster answers at "{address}" ({last_line(error)}); start one with "ray start --head"'
            ) from error
        ray.init(include_dashboard=False, **quiet)
    return ray, True


def _check_answers(address: str) -> None:
    """Raise unless a server listens at an address; Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # a keyword of Ray, such as "auto"
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InferenceError(
            f'no Ray cluster answers at "{address}" ({getattr(error, "strerror", None) or error}); '
            'start one with "ray start --head"'
        ) from error


def last_line(error: BaseException) -> str:
    """Return the last line of an error: the sentence of one that Ray wrapped."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
