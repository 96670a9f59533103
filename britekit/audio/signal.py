"""Load a whole recording as one channel."""

from __future__ import annotations

import os

import numpy as np

from britekit.audio.channels import mono_signal
from britekit.audio.decoding import Waveform, read_audio
from britekit.config.audio import AudioConfig


def load_signal(path: str | os.PathLike[str], cfg: AudioConfig) -> tuple[np.ndarray, float]:
    """Return a recording as one channel at ``cfg.sampling_rate``, float32 (n,), and its length in seconds."""
    waveform = read_audio(path)
    return to_mono(waveform, cfg), waveform.seconds


def to_mono(waveform: Waveform, cfg: AudioConfig) -> np.ndarray:
    """Mix and resample a decoded recording as the settings say; float32 (n,)."""
    return mono_signal([waveform.samples], waveform.samples.shape[0], waveform.rate, cfg)
