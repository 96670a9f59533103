"""Sounds and settings that the tests of this room share."""

import os
from pathlib import Path

import av
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
    whistle = np.sin(2 * np.pi * (3000 * time + 180 * np.sin(2 * np.pi * 3 * time))) * (np.sin(np.pi * time) ** 2)
    noise = np.random.default_rng(7).standard_normal(len(time))
    return (0.3 * whistle + 0.02 * noise).astype(np.float32)


@pytest.fixture
def song_file(tmp_path: Path, song: np.ndarray) -> Path:
    """The song as a WAV file."""
    path = tmp_path / "song.wav"
    soundfile.write(path, song, 44100, subtype="FLOAT")
    return path


RATE = 32000
SOUNDFILE = {"wav": {}, "flac": {}, "ogg": {}, "mp3": {}, "aiff": {}, "au": {}, "w64": {}, "caf": {}, "opus": {}}
SOUNDFILE["opus"] = {"format": "OGG", "subtype": "OPUS"}
SOUNDFILE["rf64"] = {"format": "RF64"}
FFMPEG = {"m4a": ("aac", None), "aac": ("aac", "adts"), "wma": ("wmav2", "asf"), "webm": ("libopus", "webm")}
LOSSLESS = ("wav", "flac", "aiff", "au", "w64", "caf", "rf64")


@pytest.fixture(scope="module")
def sound():
    time = np.arange(6 * 48000) / 48000
    noise = np.random.default_rng(0).standard_normal(len(time))
    # A sweep fits itself at one place only, so that a codec's delay can be measured.
    return (0.4 * np.sin(2 * np.pi * (400 * time + 250 * time**2)) + 0.005 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory, sound):
    """Six seconds at 48 kHz in every format."""
    folder = tmp_path_factory.mktemp("formats")
    for suffix, options in SOUNDFILE.items():
        soundfile.write(folder / f"a.{suffix}", sound, 48000, **options)
    for suffix, (codec, container_format) in FFMPEG.items():
        with av.open(str(folder / f"a.{suffix}"), "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=48000, layout="mono", bit_rate=96000)
            frame = av.AudioFrame.from_ndarray((sound * 32767).astype("<i2")[None], format="s16", layout="mono")
            frame.sample_rate = 48000
            frame.pts = 0
            to_codec = av.AudioResampler(
                format=stream.codec_context.format.name, layout="mono", rate=48000, frame_size=stream.frame_size or 960
            )
            for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return folder
