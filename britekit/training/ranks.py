"""The processes of a run: rank of this one, communication, and how they are started.

With ``train.devices`` N, the called process is the first and starts N - 1 companions; under torchrun, the environment
gives every process its rank. Lightning's DDP then averages gradients.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, TypeVar

import torch
import torch.distributed as dist

from britekit.errors import TrainingError

_TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# The longest wait of one process for another is the reading of a large training file.
_PATIENCE = timedelta(hours=1)
# Limit for companions to start, in case one died.
_JOIN_PATIENCE = timedelta(minutes=5)
_T = TypeVar("_T")


@dataclass(frozen=True)
class ProcessGroup:
    """Rank of this process among those of a run."""

    rank: int = 0
    size: int = 1
    """Rank of this process, and number of processes."""
    local_rank: int = 0
    local_size: int = 1
    node: int = 0
    """Rank and number on this machine, and the rank of the machine."""

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Return the part of ``count`` items of this process; parts are disjoint, complete and nearly equal."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def from_leader(self, value: _T) -> _T:
        """Return the value of the first process, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def from_all(self, value: _T) -> list[_T]:
        """Return the values of all processes, in order of rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over the processes in place; return the sum."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def lightning_strategy(self, some_unused: bool) -> Any:
        """Return Lightning's DDP over these processes; ``some_unused`` if weights get no gradient."""
        from lightning.fabric.plugins.environments import TorchElasticEnvironment
        from lightning.fabric.strategies import DDPStrategy

        return DDPStrategy(
            cluster_environment=TorchElasticEnvironment(),
            find_unused_parameters=some_unused,
            broadcast_buffers=False,  # statistics are already equal in all processes
        )


def told_world(environment: Mapping[str, str] = os.environ) -> ProcessGroup | None:
    """Return the rank given by torchrun or the parent process, or None.

    Raises `TrainingError` if the numbers are inconsistent.
    """
    if not all(name in environment for name in _TOLD):
        return None
    try:
        rank, size, local_rank = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
        node = int(environment.get("GROUP_RANK", rank // max(1, local_size)))
    except ValueError as error:
        raise TrainingError(
            f"RANK, WORLD_SIZE and LOCAL_RANK must be numbers as torchrun sets them: {error}"
        ) from error
    if not 0 <= rank < size or local_size < 1 or size % local_size:
        raise TrainingError(
            f"invalid RANK {rank} of WORLD_SIZE {size} with {local_size} processes per machine; start all "
            "machines with the same --nproc-per-node"
        )
    return ProcessGroup(rank, size, local_rank, local_size, node) if size > 1 else None


def wanted_processes(devices: int, force_cpu: bool) -> int:
    """Return the number of processes for ``train.devices`` on this machine; 0 means one per GPU.

    Raises `TrainingError` if there are fewer GPUs, or the device cannot be shared (MPS).
    """
    gpus = 0 if force_cpu or not torch.cuda.is_available() else torch.cuda.device_count()
    if devices == 0:
        return max(1, gpus)
    if gpus and devices > gpus:
        raise TrainingError(f"train.devices is {devices}, but this machine has {gpus} GPUs; set it to {gpus}")
    if devices > 1 and not gpus and not force_cpu and torch.backends.mps.is_available():
        raise TrainingError("train.devices: this machine's GPU cannot be shared; set it to 1")
    cores = os.cpu_count() or 1
    if not gpus and devices > cores:
        raise TrainingError(
            f"train.devices is {devices}, but this machine has {cores} cores; set it to at most {cores}"
        )
    return devices


@contextlib.contextmanager
def open_world(devices: int, force_cpu: bool, call: Mapping[str, Any]) -> Iterator[ProcessGroup]:
    """Return the process group of a run; start its processes if ``devices`` asks for several.

    Raises `TrainingError` if there are too few devices, or a companion failed (with its reason).

    Parameters
    ----------
    call
        Work of companions: arguments of `britekit.training.rank_process.work`, as plain values.
    """
    world = told_world()
    if world is not None:
        with _joined(world, force_cpu):
            yield world
        return
    count = wanted_processes(devices, force_cpu)
    if count == 1:
        yield ProcessGroup()
        return
    threads = torch.get_num_threads()
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    with _Companions(count, address, max(1, threads // count), call) as companions:
        world = ProcessGroup(0, count, 0, count)
        torch.set_num_threads(max(1, threads // count))
        try:
            with _environment({**address, **_place(0, count)}), _joined(world, force_cpu, int(address["MASTER_PORT"])):
                yield world
        except RuntimeError as error:
            reason = companions.failure()
            if reason is None:
                raise
            raise TrainingError(reason) from error
        finally:
            torch.set_num_threads(threads)
        companions.wait()


@contextlib.contextmanager
def _joined(world: ProcessGroup, force_cpu: bool, own_port: int | None = None) -> Iterator[None]:
    """Join the other processes; ``own_port`` if this process started them and is the rendezvous."""
    gpus = not force_cpu and torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(world.local_rank)
    if dist.is_initialized():
        yield
        return
    # Both backends, so that plain values are exchanged without a detour over the GPU.
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    if own_port is None:
        dist.init_process_group(backend, timeout=_PATIENCE)
    else:
        store = dist.TCPStore("127.0.0.1", own_port, world.size, is_master=True, timeout=_JOIN_PATIENCE)
        store.set_timeout(_PATIENCE)
        # Prefix of the store, under which companions find each other; they only get the address.
        met = dist.PrefixStore("default_pg", store)
        dist.init_process_group(backend, timeout=_PATIENCE, store=met, rank=world.rank, world_size=world.size)
    try:
        yield
    finally:
        # Lightning may have destroyed it already.
        if dist.is_initialized():
            dist.destroy_process_group()


def _place(rank: int, count: int) -> dict[str, str]:
    """Return the environment of a process as torchrun would set it on a single machine."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
    }


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class _Companions:
    """Processes 1 to N - 1. They exit when this process dies, since their stdin closes."""

    def __init__(self, count: int, address: Mapping[str, str], threads: int, call: Mapping[str, Any]):
        self._count, self._address, self._threads, self._call = count, address, threads, call
        self._running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []

    def __enter__(self) -> "_Companions":
        line = json.dumps(self._call).encode() + b"\n"
        for rank in range(1, self._count):
            told = {**self._address, **_place(rank, self._count), "OMP_NUM_THREADS": str(self._threads)}
            spoken = tempfile.TemporaryFile()
            process = subprocess.Popen(
                [sys.executable, "-m", "britekit.training.rank_process"],
                env={**os.environ, **told, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                stdin=subprocess.PIPE,
                stdout=spoken,
                stderr=spoken,
            )
            self._running.append((process, spoken))
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()
        return self

    def __exit__(self, *error: object) -> None:
        for process, spoken in self._running:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            spoken.close()

    def failure(self) -> str | None:
        """Return why a companion exited prematurely, if one did."""
        for number, (process, spoken) in enumerate(self._running, 1):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.returncode:
                spoken.seek(0)
                lines = spoken.read().decode(errors="replace").strip().splitlines()
                told = lines[-1] if lines else f"it exited with status {process.returncode}"
                return f"process {number + 1} of {self._count} (train.devices) failed: {told}"
        return None

    def wait(self) -> None:
        """Wait until all have exited successfully; raises `TrainingError` if one failed."""
        for process, _ in self._running:
            process.wait(_PATIENCE.total_seconds())
        reason = self.failure()
        if reason is not None:
            raise TrainingError(reason)
