"""Small recordings and settings, so that a whole extraction takes milliseconds."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from britekit.config import from_dict

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
            write_recording(
                Path(f"data/recordings/{name}/{name[0]}{take}-1.wav"), 4.2, seed=10 * number + take
            )
    Path("data/classes.csv").write_text("Name,Code\nWren,WREN\nRobin,ROB\nOwl,OWL\n")
    return tmp_path


def compressed(image) -> bytes:
    return zlib.compress(np.asarray(image, dtype=np.uint8).tobytes())
