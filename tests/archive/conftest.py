"""An archive of short recordings by a fake model, whose vector is the mean of each row of the spectrogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.audio.decoding import read_audio
from britekit.audio.spectrogram import compute_spectrograms
from britekit.commands.embed import embed
from tests.inference.conftest import place, write_recording  # noqa: F401
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL")]
LENGTHS = {"a/one": 10.0, "a/two": 3.0, "b/three": 7.4, "b/four": 61.0, "five": 2.0, "six": 0.4}
POWER = 0.7


def make_recordings(root: Path = Path("recordings")) -> Path:
    for number, (name, seconds) in enumerate(LENGTHS.items()):
        write_recording(root / f"{name}.wav", seconds, seed=number)
    return root


def expected_vector(path: Path, start: float) -> np.ndarray:
    """Compute the vector of a window from its samples, as the fake model defines it."""
    image = compute_spectrograms(read_audio(path).samples[0], [start], SMALL_AUDIO)[0][0]
    return (image.astype(np.float64) ** POWER).mean(axis=1)


@pytest.fixture
def recordings(place: Path) -> Path:  # noqa: F811
    make_fake_member(Path("models"), CLASSES)
    return make_recordings()


@pytest.fixture
def archive(recordings: Path) -> Path:
    embed(input_path="recordings", archive="archive", model="models/seed-1.onnx", overlap=1.0)
    return Path("archive")


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
