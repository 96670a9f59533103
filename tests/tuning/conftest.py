"""An empty project with fake members, short recordings and annotations of what the first member hears."""

from __future__ import annotations

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from tests.inference.conftest import write_recording
from tests.inference.fakes import make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL"), ClassInfo("Jay", "JAY")]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def project(place):
    """models/ckpt with four members, test/ with eight recordings of 15 s."""
    rng = np.random.default_rng(0)
    for seed in range(1, 5):
        make_fake_member(place / "models" / "ckpt", CLASSES, name=f"seed-{seed}", seed=seed)
    rows = ["recording,class,start_time,end_time"]
    for number in range(8):
        write_recording(place / "test" / f"rec{number}.wav", 15, seed=number)
        for window in range(5):
            name = CLASSES[int(rng.integers(3))].code
            rows.append(f"rec{number},{name},{3 * window + 0.5},{3 * window + 2}")
    (place / "test" / "annotations.csv").write_text("\n".join(rows) + "\n")
    return place
