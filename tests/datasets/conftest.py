"""Small recordings and settings, so that a whole extraction takes milliseconds."""

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit import commands
from britekit.config import from_dict
from tests.database.contents import contents

RATE = 8000


def write_recording(path: Path, seconds: float, seed: int = 0, hz: float = 1000.0) -> Path:
    """Write a tone over noise; equal arguments write equal bytes."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    samples = 0.3 * np.sin(2 * np.pi * (hz + 50 * seed) * times) + 0.05 * rng.standard_normal(len(times))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)
    return path


def small_config(**sections):
    """Return settings with 1 s spectrograms of 32 × 32."""
    audio = {
        "spec_duration": 1.0,
        "spec_height": 32,
        "spec_width": 32,
        "sampling_rate": RATE,
        "max_freq": 3600,
        "win_length": 0.03,
    }
    return from_dict({"audio": {**audio, **sections.pop("audio", {})}, **sections})


@pytest.fixture
def cfg():
    return small_config()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with three classes of two recordings; 4.2 s give four segments of 1 s."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["Robin", "Wren", "Owl"]):
        for take in range(2):
            write_recording(Path(f"data/recordings/{name}/{name[0]}{take}-1.wav"), 4.2, seed=10 * number + take)
    Path("data/classes.csv").write_text("Name,Code\nWren,WREN\nRobin,ROB\nOwl,OWL\n")
    return tmp_path


def compressed(image) -> bytes:
    return zlib.compress(np.asarray(image, dtype=np.uint8).tobytes())


DB, TABLE = Path("data/training.db"), Path("data/curation.csv")
HEADER = "recording,offset,class,decision,new_class\n"
LOCK = """schema: '2.0'
stages:
  extract:
    cmd: python -m britekit extract
    deps:
    - path: data/curation.csv
    outs:
    - path: data/training.db
"""
PARAMS = """audio:
  spec_duration: 1.0
  spec_height: 32
  spec_width: 32
  sampling_rate: 8000
  max_freq: 3600
  win_length: 0.03
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Three classes of two recordings, one recording of two classes, built once as the stage does."""
    root = tmp_path_factory.mktemp("built")
    for number, name in enumerate(["Robin", "Wren", "Owl"]):
        for take in range(2):
            path = root / f"data/recordings/{name}/{name[0]}{take}-1.wav"
            write_recording(path, 4.2, seed=10 * number + take)
    shutil.copy(root / "data/recordings/Owl/O0-1.wav", root / "data/recordings/Wren/O0-1.wav")
    (root / "data/classes.csv").write_text("Name,Code\nWren,WREN\nRobin,ROB\nOwl,OWL\n")
    (root / "data/recordings/recordings.csv").write_text(
        "recording,class,source,licence\nO1-1,Owl,Wood,CC0\nR0-1,Robin,Field,CC-BY\n"
    )
    (root / "params.yaml").write_text(PARAMS)
    (root / TABLE).write_text(HEADER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("WANDB_MODE", "disabled")
        commands.extract()
    (root / "dvc.lock").write_text(LOCK)
    return root


@pytest.fixture
def pipeline(built, tmp_path, monkeypatch):
    """A copy of the project, as working directory."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return tmp_path


def rebuilt(**options):
    """Build anew in another place and return what that holds."""
    commands.extract(db_path="again.db", **options)
    return contents("again.db")


def do(action, *arguments):
    command = getattr(commands, action)
    if action == "del_seg":
        folder = Path("images")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in arguments[1:]:
            (folder / f"{name}.jpeg").write_bytes(b"")
        command(class_name=arguments[0], dir_path=str(folder))
    elif action == "add_class":
        command(category=arguments[0], name=arguments[1], code=arguments[2], alt_name="Alt")
    else:
        command(None, arguments[0])
