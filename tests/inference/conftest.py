"""A folder with two fake members and a few short recordings; the working directory is empty."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.classes import ClassInfo
from britekit.audio.files import find_recordings
from britekit.config import BaseConfig, to_dict
from britekit.database.session import open_database
from britekit.datasets.adding import extract_folder
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL"), ClassInfo("Noise", "NOIS")]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, outside any DVC stage."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_recording(path: Path, seconds: float, seed: int = 0) -> Path:
    """Write noise whose color changes, so that windows differ."""
    rate = SMALL_AUDIO.sampling_rate
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    signal = 0.1 * rng.normal(size=len(time)) + 0.3 * np.sin(2 * np.pi * (300 + 40 * time) * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (signal * (0.5 + 0.5 * np.sin(time))).astype(np.float32), rate, subtype="FLOAT")
    return path


def content(folder: str | Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


CFG = BaseConfig(audio=SMALL_AUDIO)


@pytest.fixture
def project(place):
    """Two classes of three recordings of two segments, and a search model: the mean of each row."""
    make_fake_member(place / "search", CLASSES)
    settings = {"audio": to_dict(CFG)["audio"], "misc": {"search_ckpt_path": "search"}, "train": {"train_db": "t.db"}}
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    for number in range(3):
        write_recording(Path(f"Wren/w{number}.wav"), 6.0, seed=number)
        write_recording(Path(f"Owl/o{number}.wav"), 6.0, seed=number + 10)
    with open_database("t.db", "create") as session:
        for name in ("Wren", "Owl"):
            extract_folder(session, CFG, find_recordings(name), name)
    return place


def stored(query, db="t.db"):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
