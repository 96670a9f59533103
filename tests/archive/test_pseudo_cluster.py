"""`pseudo-label --engine ray`: the bytes of a local run, also when a node dies and a recording is no sound."""

import threading
import time
from pathlib import Path

import pytest

from britekit.commands.pseudo_label import pseudo_label
from britekit.errors import InferenceError
from tests.archive.conftest import CLASSES
from tests.archive.conftest import place as place  # noqa: PLC0414
from tests.archive.test_pseudo_labeling import BIAS, WEIGHTS, project  # noqa: F401 a fixture
from tests.inference.conftest import write_recording
from tests.inference.fakes import make_fake_member
from tests.inference.test_cluster import cluster  # noqa: F401 a fixture

pytest.importorskip("ray")
pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("ray")]


def test_equal_bytes_with_a_node_killed_and_a_bad_recording(project, cluster):  # noqa: F811
    make_fake_member(Path("models"), CLASSES, weights_CH=WEIGHTS, bias_C=BIAS, frames=12, name="seed-1")
    for number in range(24):
        write_recording(project / f"more{number:02d}.wav", 20.0 + 60 * (number % 5), number)
    (project / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(InferenceError, match=r"1 of 31 recordings .*bad\.wav"):
        pseudo_label(output_path="local.npz", num=200)
    killed = threading.Event()

    def kill():
        end = time.monotonic() + 500
        while time.monotonic() < end:
            # Both nodes are at work by the time that the journal has some scores.
            if sum(path.stat().st_size for path in Path(".out.npz.partial").glob("*") if path.is_file()) > 20_000:
                cluster.remove_node(cluster.second, allow_graceful=False)
                killed.set()
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(InferenceError, match=r"1 of 31 recordings .*bad\.wav"):
        pseudo_label(output_path="out.npz", num=200, engine="ray", address=cluster.address)
    killer.join()
    assert killed.is_set()
    assert Path("out.npz").read_bytes() == Path("local.npz").read_bytes()
