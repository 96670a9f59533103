"""A tiny exported model whose answers can be foreseen: it hears tones by the rows they fill."""

from pathlib import Path

import numpy as np
import soundfile
import yaml

from britekit.annotations.classes import ClassInfo
from britekit.config import AudioConfig
from tests.inference.fakes import make_fake_member

SECONDS, FPS = 2.0, 4
AUDIO = AudioConfig(
    spec_duration=SECONDS,
    spec_height=64,
    spec_width=96,
    sampling_rate=8000,
    min_freq=100,
    max_freq=3800,
    freq_scale="linear",
    win_length=0.032,
)
CLASSES = [ClassInfo("Low Tone", "LOWT"), ClassInfo("High Tone", "HIGT"), ClassInfo("Noise", "NOIS")]
LOW_HZ, HIGH_HZ = 600.0, 3000.0


def write_project(
    folder: Path, frames: bool = False, members: int = 2, any_width: bool = False, **infer: object
) -> Path:
    """Write exports to ``folder/models/ckpt`` and a file for ``-c`` that finds them; return that file.

    A logit is a factor times (brightness of a class's rows - that of all rows - 0.15); noise is never heard.
    """
    height = AUDIO.spec_height
    weights_CH = np.zeros((len(CLASSES), height))
    for row, hz in zip(weights_CH, (LOW_HZ, HIGH_HZ), strict=False):
        row -= 1 / height
        center = round((hz - AUDIO.min_freq) / (AUDIO.max_freq - AUDIO.min_freq) * height)
        row[center - 1 : center + 2] += 1 / 3
    ckpt = folder / "models" / "ckpt"
    for seed in range(1, members + 1):
        factor = 35.0 + 5 * seed
        make_fake_member(
            ckpt,
            CLASSES,
            AUDIO,
            name=f"seed-{seed}",
            seed=seed,
            frames=round(FPS * SECONDS) if frames else None,
            sed_fps=FPS,
            any_width=any_width,
            weights_CH=factor * weights_CH,
            bias_C=np.array([-0.15 * factor, -0.15 * factor, -20.0]),
        )
    path = folder / "settings.yaml"
    content = {"misc": {"ckpt_folder": str(ckpt)}, "infer": {"min_score": 0.5, **infer}}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def tones(seconds: float = 8.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Return noise with the low tone from 2 s to 4 s and the high tone from 4 s to 6 s, float32 (n,)."""
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.003 * np.random.default_rng(seed).standard_normal(len(time))
    for hz, first in ((LOW_HZ, 2.0), (HIGH_HZ, 4.0)):
        sound += 0.4 * np.sin(2 * np.pi * hz * time) * ((time >= first) & (time < first + 2.0))
    return sound.astype(np.float32)


def write_tones(path: Path, seconds: float = 8.0, rate: int = 16000, seed: int = 0) -> Path:
    """Write ``tones`` as a sound file; the suffix chooses the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tones(seconds, rate, seed), rate)
    return path
