"""A tiny training pickle whose classes can be told apart, and settings that train on it in seconds."""

import pickle
import zlib

import numpy as np
import pytest
import torch

HEIGHT, WIDTH = 32, 64


def make_pickle(path, count=48, classes=("Noise", "Low", "High"), seed=0, size=(HEIGHT, WIDTH), labels=None):
    """Write a pickle: class i has a bright bar at a row of its own, at a random time."""
    rng = np.random.default_rng(seed)
    height, width = size
    values, indexes = [], []
    for i in range(count):
        label = i % len(classes) if labels is None else labels[i]
        image = rng.integers(0, 60, (height, width)).astype(np.uint8)
        row, column = 2 + label * (height // max(2, len(classes))), rng.integers(0, width - 20)
        image[row : row + 4, column : column + 20] = 250
        values.append(zlib.compress(image.tobytes()))
        indexes.append([label])
    content = {
        "class_names": list(classes),
        "class_codes": [name[:4].upper() for name in classes],
        "alt_names": [""] * len(classes),
        "alt_codes": [""] * len(classes),
        "spec_values": values,
        "spec_class_indexes": indexes,
        "spec_segment_ids": list(range(count)),
        "spec_recording_ids": [i // 2 for i in range(count)],
        "spec_group_ids": [i // 2 for i in range(count)],
        "spec_height": height,
        "spec_width": width,
        "audio": {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=4))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with data/training.pkl."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    make_pickle(tmp_path / "data" / "training.pkl")
    return tmp_path


@pytest.fixture
def cfg():
    """Settings of a run of a few seconds on the CPU."""
    from britekit.config import BaseConfig

    cfg = BaseConfig()
    cfg.audio.spec_height, cfg.audio.spec_width = HEIGHT, WIDTH
    cfg.train.model_type = "timm.test_efficientnet"
    cfg.train.num_epochs = 2
    cfg.train.min_steps = 3
    cfg.train.hidden_channels = 16
    cfg.misc.force_cpu = True
    return cfg


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other make short runs slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
