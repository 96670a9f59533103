"""Two processes on the CPU compute what one does with the same batches."""

import json
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from britekit.config import to_dict
from britekit.errors import BriteKitError, TrainingError
from britekit.training.ranks import ProcessGroup, open_world, told_world, wanted_processes
from britekit.training.trainer import train

from .conftest import make_pickle

ROOT = Path(__file__).resolve().parents[2]


def losses(cfg, **more):
    rows = []
    result = train(cfg, seed=3, on_step=rows.append, **more)
    return np.array([row["loss"] for row in rows]), result


def test_two_processes_have_the_losses_of_one(project, cfg):
    # Steps of an odd number of spectrograms; the network has batch norm.
    cfg.train.val_portion, cfg.train.drop_rate, cfg.train.drop_path_rate = 0.2, 0.0, 0.0
    one, alone = losses(cfg)
    cfg.train.devices = 2
    two, together = losses(cfg)
    # Each step enlarges what 32 bits round.
    np.testing.assert_allclose(two[:4], one[:4], rtol=2e-5)
    np.testing.assert_allclose(two, one, rtol=1e-3)
    assert np.ptp(one) > 0.01
    for name in ("val_loss", "val_roc", "val_pr_macro"):
        assert together.epochs[-1][name] == pytest.approx(alone.epochs[-1][name], abs=2e-3)
    assert together.num_spectrograms == 48
    # Only the first process has written.
    assert sorted(p.name for p in (project / "logs").glob("version_*")) == ["version_0", "version_1"]
    assert not list(Path("/dev/shm").glob("britekit-*.u8")) if Path("/dev/shm").is_dir() else True
    assert "RANK" not in os.environ and not torch.distributed.is_initialized()


def test_a_batch_of_fewer_spectrograms_than_processes(project, cfg, monkeypatch):
    # 3, 3 and 2: whoever has none of the last goes along with one that must count nowhere.
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    make_pickle(project / "data" / "training.pkl", count=8)
    cfg.train.batch_size, cfg.train.drop_rate, cfg.train.drop_path_rate = 3, 0.0, 0.0
    one, _ = losses(cfg)
    cfg.train.devices = 3
    three, _ = losses(cfg)
    assert len(one) == 6 and np.ptp(one) > 0.01
    np.testing.assert_allclose(three, one, rtol=1e-4)


def test_what_is_wrong_is_said_once_and_nobody_waits(project, cfg):
    cfg.train.devices = 2
    cfg.train.train_pickle = "data/none.pkl"
    with pytest.raises(BriteKitError, match="data/none.pkl does not exist"):
        train(cfg, seed=1)
    cfg.train.train_pickle = "data/training.pkl"
    cfg.train.learning_rate, cfg.train.optimizer, cfg.train.num_epochs = 1e30, "sgd", 3
    with pytest.raises(TrainingError, match="training stopped at step"):
        train(cfg, seed=1)


def test_processes_told_by_torchrun_train_together(project, cfg):
    cfg.train.num_epochs = 1
    (project / "settings.yaml").write_text(yaml.safe_dump(to_dict(cfg)))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    running = []
    for rank in range(2):
        told = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
        told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        env = {**os.environ, "PYTHONPATH": path, "WANDB_MODE": "disabled"}
        env |= {name: str(value) for name, value in told.items()}
        command = [sys.executable, "-m", "britekit", "train", "-c", "settings.yaml", "--seed", "3"]
        running.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    spoken = [process.communicate(timeout=240) for process in running]
    assert [process.returncode for process in running] == [0, 0], spoken
    assert b"loss = " in spoken[0][0] and spoken[1][0] == b""
    assert len(list((project / "logs").glob("version_*"))) == 1
    alone, _ = losses(cfg)
    said = float(spoken[0][0].split(b"loss = ")[1].split()[0])
    assert said == pytest.approx(alone.mean(), rel=1e-3)


def test_shares_are_whole_disjoint_and_nearly_equal():
    for count in (0, 1, 7, 64):
        parts = [ProcessGroup(rank, 3).part(count) for rank in range(3)]
        assert [i for part in parts for i in range(count)[part]] == list(range(count))
        assert max(p.stop - p.start for p in parts) - min(p.stop - p.start for p in parts) <= 1


def test_what_the_environment_tells():
    told = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1"}
    told |= {"MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert told_world(told) == ProcessGroup(3, 4, 1, 2, 1)
    assert told_world({"RANK": "3"}) is None
    with pytest.raises(TrainingError, match="RANK 4 of WORLD_SIZE 4"):
        told_world({**told, "RANK": "4"})
    with pytest.raises(TrainingError, match="must be numbers"):
        told_world({**told, "RANK": "x"})


def test_more_processes_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert wanted_processes(2, force_cpu=True) == 2 and wanted_processes(0, force_cpu=True) == 1
    with pytest.raises(TrainingError, match="has 2 cores; set it to at most 2"):
        wanted_processes(3, force_cpu=True)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batch_norm_over_processes_is_batch_norm_over_the_whole_batch(tmp_path, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    generator = torch.Generator().manual_seed(0)
    given = {name: torch.randn(8, 4, 5, 6, generator=generator) * 2 + 3 for name in ("x", "weight")}
    plain = torch.nn.BatchNorm2d(4)
    x = given["x"].clone().requires_grad_()
    out = plain(x)
    (out * given["weight"]).sum().backward()
    expected = {"out": out.detach(), "grad": x.grad, "var": plain.running_var, "mean": plain.running_mean}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    torch.save({"given": given, "expected": expected}, tmp_path / "case.pt")
    script = Path(__file__).with_name("batch_norm_part.py")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    parts = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(port), str(tmp_path / "case.pt"), device],
            env={**os.environ, "PYTHONPATH": path},
        )
        for rank in range(2)
    ]
    assert [part.wait(timeout=120) for part in parts] == [0, 0]


def test_a_companion_ends_when_its_input_closes(project, cfg):
    line = json.dumps({"settings": to_dict(cfg), "seed": 1}).encode() + b"\n"
    told = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "britekit.training.rank_process"],
        env={**os.environ, **told, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
    )
    process.communicate(line, timeout=60)
    assert process.returncode == 1


def test_a_companion_that_dies_before_it_joins_is_named(monkeypatch):
    monkeypatch.setattr("britekit.training.ranks._JOIN_PATIENCE", timedelta(seconds=10))
    with (
        pytest.raises(TrainingError, match=r"process 2 of 2 \(train.devices\) failed: .*nonsense"),
        open_world(2, True, {"nonsense": 1}),
    ):
        pass
    assert not torch.distributed.is_initialized() and "RANK" not in os.environ


def test_the_array_is_read_once_and_mapped_by_the_others(project, tmp_path):
    from britekit.datasets.shared_array import SharedRows, map_rows
    from britekit.datasets.training_set import read_training_set

    make_pickle(project / "data/training.pkl", count=7)
    rows = SharedRows()
    shared = read_training_set("data/training.pkl", 2, None, rows)
    plain = read_training_set("data/training.pkl")
    mapped = map_rows(rows.path, shared.images.shape)
    rows.remove()
    np.testing.assert_array_equal(mapped, plain.images)
    shared.images[3, 2, 1] ^= 255
    assert mapped[3, 2, 1] == shared.images[3, 2, 1]  # the same memory
