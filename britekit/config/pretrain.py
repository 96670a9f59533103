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
    batch_size: int = setting(64, "pairs of views per step", late=True, low=2)
    learning_rate: float = setting(0.002, "peak learning rate", late=True, above=0)
    seed: int = setting(1, "seed of all generators", late=True, low=0)
    max_windows: int = setting(20000, "most windows, shared evenly among recordings; kept on disk", late=True, low=2)
    temperature: float = setting(0.1, "lower = the most similar other windows count more", late=True, above=0)
    prob_same_recording: float = setting(
        0.0, "share of pairs from two windows of a recording, not of one", late=True, low=0, high=1
    )
    min_crop_time: float = setting(0.6, "least share of time that a view shows", late=True, above=0, high=1)
    min_crop_freq: float = setting(0.8, "least share of the frequencies", late=True, above=0, high=1)
    max_background: float = setting(0.4, "most of another window in the background", late=True, low=0)
    max_power_change: float = setting(0.4, "spectrograms are raised to exp(-x) to exp(x)", late=True, low=0, high=3)
    max_blank: float = setting(0.2, "most of time, and of frequencies, that is blanked", late=True, low=0, high=0.9)
