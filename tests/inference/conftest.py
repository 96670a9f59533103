"""A folder with two fake members and a few short recordings; the working directory is empty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit.annotations.classes import ClassInfo
from tests.inference.fakes import SMALL_AUDIO

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL"), ClassInfo("Noise", "NOIS")]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, outside any DVC stage."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_recording(path: Path, seconds: float, seed: int = 0) -> Path:
    """Write noise whose colour changes, so that windows differ."""
    rate = SMALL_AUDIO.sampling_rate
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    signal = 0.1 * rng.normal(size=len(time)) + 0.3 * np.sin(2 * np.pi * (300 + 40 * time) * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (signal * (0.5 + 0.5 * np.sin(time))).astype(np.float32), rate, subtype="FLOAT")
    return path
