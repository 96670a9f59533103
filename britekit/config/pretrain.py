"""Section `pretrain`: learning a backbone from recordings without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from britekit.config.fields import Section, setting


@dataclass
class PretrainConfig(Section):
    """Settings of `pretrain`; the network is that of `train.model_type`."""

    SECTION: ClassVar[str] = "pretrain"

    num_steps: int = setting(2000, "training steps, rounded up to whole 25", late=True, low=1)
    batch_size: int = setting(64, "spectrograms per step", late=True, low=2)
    learning_rate: float = setting(0.002, "peak learning rate", late=True, above=0)
    seed: int = setting(1, "seed of all generators", late=True, low=0)
    max_windows: int = setting(20000, "most windows, shared evenly among recordings; kept on disk", late=True, low=2)
    patch_size: int = setting(16, "side of the square patches that are hidden", "px", late=True, low=2)
    mask_share: float = setting(0.6, "share of patches that are hidden", late=True, above=0, below=1)
    min_crop_time: float = setting(0.6, "least share of a window's time that is shown", late=True, above=0, high=1)
    min_crop_freq: float = setting(0.8, "least share of its frequencies", late=True, above=0, high=1)
