"""A cluster of two nodes on this machine: the bytes of a local run, also when a node dies in the middle."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from britekit.cli import main
from britekit.inference.journal import JOURNAL
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import make_fake_member

ray = pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
ARGUMENTS = ("-i", "rec", "-m", "0", "-r", "raven,both")


@pytest.fixture
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    found = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    found.second = found.add_node(**small)
    yield found
    if ray.is_initialized():
        ray.shutdown()
    found.shutdown()


@pytest.fixture
def recordings(place: Path) -> None:
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    for number in range(24):
        write_recording(Path(f"rec/r{number:02d}.wav"), 20.0 + 60 * (number % 5), number)


def content(folder: str) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_equal_bytes_with_a_node_killed_and_a_bad_recording(recordings, cluster, capsys):
    Path("rec/bad.wav").write_bytes(b"no sound")
    assert main(["analyze", *ARGUMENTS, "-o", "local"]) == 1
    killed = threading.Event()

    def kill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            # Both nodes are at work by the time that three recordings are finished.
            if len(list(Path("out").glob("*_scores.txt"))) >= 3:
                cluster.remove_node(cluster.second, allow_graceful=False)
                killed.set()
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    assert main(["analyze", *ARGUMENTS, "-o", "out", "--engine", "ray", "--address", cluster.address]) == 1
    killer.join()
    assert killed.is_set()
    assert "rec/bad.wav is left out" in capsys.readouterr().err
    local, out = content("local"), content("out")
    assert {name for name in local if JOURNAL not in name} == {name for name in out if JOURNAL not in name}
    assert all(data == out[name] for name, data in local.items() if JOURNAL not in name)
    assert not ray.is_initialized()
    # The journal is the same too: a run here goes on with what the cluster has done.
    Path("rec/bad.wav").unlink()
    capsys.readouterr()
    assert main(["analyze", *ARGUMENTS, "-o", "out"]) == 0
    assert " labels\n" not in capsys.readouterr().out.replace("\nlabels", "")


def test_no_cluster_at_the_address(recordings, capsys):
    arguments = [*ARGUMENTS, "-o", "out", "--engine", "ray", "--address", "127.0.0.1:1"]
    assert main(["analyze", *arguments]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error")]
    assert len(errors) == 1 and "127.0.0.1:1" in errors[0]


@pytest.mark.parametrize("arguments", [["--engine", "spark"], ["--address", "somewhere:1"]])
def test_wrong_engines(recordings, capsys, arguments: list[str]):
    assert main(["analyze", *ARGUMENTS, *arguments]) == 1
    assert capsys.readouterr().err.startswith("Error: --")
