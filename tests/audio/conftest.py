"""Sounds and settings that the tests of this room share."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real recordings beside the repository, or a skip."""
    place = Path(os.environ.get("BRITEKIT_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (place / "field").is_dir():
        pytest.skip("the folder of real recordings is not there")
    return place


@pytest.fixture(scope="session")
def song() -> np.ndarray:
    """Eight seconds at 44.1 kHz, float32: whistles that rise and fall over soft noise."""
    rate, seconds = 44100, 8.0
    time = np.arange(int(rate * seconds)) / rate
    whistle = np.sin(2 * np.pi * (3000 * time + 180 * np.sin(2 * np.pi * 3 * time))) * (
        np.sin(np.pi * time) ** 2
    )
    noise = np.random.default_rng(7).standard_normal(len(time))
    return (0.3 * whistle + 0.02 * noise).astype(np.float32)


@pytest.fixture
def song_file(tmp_path: Path, song: np.ndarray) -> Path:
    """The song as a WAV file."""
    path = tmp_path / "song.wav"
    soundfile.write(path, song, 44100, subtype="FLOAT")
    return path
