"""Run trials on the nodes of a Ray cluster: one at a time on each GPU, or on each node without GPUs.

A node trains and tests one run of a trial, in the project's folder under the same path as here, on a shared file
system. Only this process keeps the study, writes the results and records the runs. A run whose node is lost goes to
another, and continues after the last epoch that was finished.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import britekit
from britekit.config import BaseConfig
from britekit.errors import BriteKitError, InferenceError, TrainingError
from britekit.inference.cluster import connect, last_line, node_places
from britekit.tuning.trial import Evaluator, OnEpoch

log = logging.getLogger(__name__)

# Builds the evaluator on a node; what it opens stays open as long as the node's process.
MakeEvaluator = Callable[[contextlib.ExitStack], Evaluator]
_FACTS, _EPOCH, _WARNING, _FIGURES, _ERROR = "facts", "epoch", "warning", "figures", "error"
_PACKAGES = ("torch", "lightning", "openvino", "onnxruntime")
_TICK_SECONDS = 0.5
_LOOK_SECONDS = 5.0  # between looks for nodes
_PATIENCE_SECONDS = 120.0
# A run that loses its process this often is the cause itself.
_MOST_LOSSES = 3


class ClusterError(InferenceError):
    """The cluster cannot run any trial; those that it had in hand are put back."""


class RayTrials:
    """An `Evaluator` for several threads; a context manager that disconnects.

    Raises `InferenceError` if Ray is not installed, or there is no cluster at the address.

    Parameters
    ----------
    make
        Builds the evaluator on a node; pickled.
    force_cpu
        Leave GPUs alone.
    address
        Address of the cluster; None connects to an existing one, else starts one on this machine.
    """

    def __init__(self, make: MakeEvaluator, force_cpu: bool, address: str | None) -> None:
        self._ray, self._began = connect(address)
        self._make = pickle.dumps(make)
        self._on_gpu = not force_cpu and any(node["Resources"].get("GPU", 0) >= 1 for node in self._ray.nodes())
        self._busy: set[tuple[str, int]] = set()
        self._turn = threading.Condition()
        self._stopped = False

    def __enter__(self) -> RayTrials:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._began:
            self._ray.shutdown()

    def share(self, take_trials: Callable[[], None]) -> None:
        """Call what takes trials until none is left, in one thread per place, also for nodes that join later.

        The first error, or an interrupt, ends all of them; raises it.
        """
        errors: list[BaseException] = []
        threads: list[threading.Thread] = []
        none_left = threading.Event()

        def take() -> None:
            try:
                take_trials()
            except BaseException as error:
                errors.append(error)
                self.stop()
            none_left.set()

        try:
            while not none_left.is_set():
                places = sum(1 for _ in node_places(self._ray, self._on_gpu))
                for _ in range(max(1, places) - sum(thread.is_alive() for thread in threads)):
                    threads.append(threading.Thread(target=take, name="britekit-trial"))
                    threads[-1].start()
                none_left.wait(_LOOK_SECONDS)
        except BaseException:
            self.stop()
            raise
        finally:
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]

    def stop(self) -> None:
        """End all runs; the threads that wait for them get `KeyboardInterrupt`, so that their trials are put back."""
        with self._turn:
            self._stopped = True
            self._turn.notify_all()

    def run(self, cfg: BaseConfig, seed: int, on_epoch: OnEpoch) -> dict[str, float]:
        """Return `FIGURES` of one run with these settings, from any node.

        Raises
        ------
        ClusterError
            No node is left, or a node has other versions or does not see the project.
        TrainingError
            The run ended its process again and again.
        """
        for _ in range(_MOST_LOSSES):
            place, options = self._take()
            try:
                return self._run_at(place[0], options, cfg, seed, on_epoch)
            except self._ray.exceptions.RayTaskError as error:
                raise TrainingError(last_line(error)) from error
            except self._ray.exceptions.RayError as error:
                what = "a run on node %s was lost (%s); it goes to another"
                log.warning(what, place[0][:8], type(error).__name__)
            finally:
                with self._turn:
                    self._busy.discard(place)
                    self._turn.notify()
        raise TrainingError(f"the process that ran it was lost {_MOST_LOSSES} times")

    def _take(self) -> tuple[tuple[str, int], dict[str, Any]]:
        """Wait for a free place, and return it with its options of Ray."""
        began = time.monotonic()
        while True:
            found = list(node_places(self._ray, self._on_gpu))
            with self._turn:
                if self._stopped:
                    raise KeyboardInterrupt
                for node, number, options in found:
                    if (node, number) not in self._busy:
                        self._busy.add((node, number))
                        return (node, number), options
                if not found and time.monotonic() - began > _PATIENCE_SECONDS:
                    raise ClusterError(
                        f"the Ray cluster had no node for {_PATIENCE_SECONDS:g} s; finished runs are kept, and the "
                        "same command continues with the others"
                    )
                self._turn.wait(_TICK_SECONDS)

    def _run_at(
        self, node: str, options: dict[str, Any], cfg: BaseConfig, seed: int, on_epoch: OnEpoch
    ) -> dict[str, float]:
        task = self._ray.remote(run_here).options(**options, max_retries=0)
        stream = task.remote(os.getcwd(), self._make, cfg, seed)
        warned, began = False, time.monotonic()
        try:
            while True:
                if self._stopped:
                    raise KeyboardInterrupt
                if not self._ray.wait([stream], timeout=_TICK_SECONDS)[0]:
                    if not warned and time.monotonic() - began > _PATIENCE_SECONDS:
                        log.warning("a run waits for all CPUs, or for a GPU, of node %s", node[:8])
                        warned = True
                    continue
                kind, value = self._ray.get(next(stream))
                warned = True  # it has begun
                if kind == _FACTS and value != _facts():
                    raise ClusterError(
                        f"node {node[:8]} has {', '.join(value)}; here it is {', '.join(_facts())}: all nodes need "
                        "the same packages"
                    )
                if kind == _WARNING:
                    log.warning("%s", value)
                elif kind == _EPOCH:
                    on_epoch(value)
                elif kind == _ERROR:
                    if isinstance(value, ClusterError):
                        raise ClusterError(f"node {node[:8]}: {value}")
                    raise value
                elif kind == _FIGURES:
                    figures: dict[str, float] = value
                    return figures
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to report
                self._ray.cancel(stream, force=True)
            raise


def run_here(folder: str, make: bytes, cfg: BaseConfig, seed: int) -> Iterator[tuple[str, Any]]:
    """Run on a node: yield its facts, then warnings and metrics of epochs, then the figures or an error."""
    yield _FACTS, _facts()
    items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            try:
                os.chdir(folder)
            except OSError as error:
                raise ClusterError(
                    f"{folder} cannot be entered ({error.strerror}); all nodes need the project under the same path"
                ) from None
            evaluator = _evaluator(make)
            items.put((_FIGURES, evaluator.run(cfg, seed, lambda row: items.put((_EPOCH, row)))))
        except BriteKitError as error:
            items.put((_ERROR, error))
        except BaseException as error:  # Ray may be unable to send others
            log.exception("a run failed")
            items.put((_ERROR, TrainingError(" ".join(str(error).split()) or type(error).__name__)))

    handler = _Sender(items)
    logging.getLogger("britekit").addHandler(handler)
    try:
        # Training has a thread of its own, so that its epochs are sent while it runs.
        threading.Thread(target=work, daemon=True).start()
        kind = ""
        while kind not in (_FIGURES, _ERROR):
            kind, value = items.get()
            yield kind, value
    finally:
        logging.getLogger("britekit").removeHandler(handler)


class _Sender(logging.Handler):
    """Sends warnings, which would stay in a log file of the node."""

    def __init__(self, items: queue.SimpleQueue[tuple[str, Any]]) -> None:
        super().__init__(logging.WARNING)
        self._items = items

    def emit(self, record: logging.LogRecord) -> None:
        self._items.put((_WARNING, record.getMessage()))


_kept: dict[bytes, Evaluator] = {}


def _evaluator(make: bytes) -> Evaluator:
    """Return the evaluator of a search, which keeps extracted spectrograms for the next run."""
    if make not in _kept:
        stack = contextlib.ExitStack()
        atexit.register(stack.close)
        _kept[make] = pickle.loads(make)(stack)  # noqa: S301 from the process that started this one
    return _kept[make]


def _facts() -> list[str]:
    """Return the packages that must be equal on all nodes."""
    found = [f"britekit {britekit.__version__}"]
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found
