"""One recording in memory, for people at a prompt and for plots; ``windows`` serves the long runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from britekit.audio.channels import mono_signal
from britekit.audio.decoding import Waveform, read_audio
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.spectrogram_torch import checked_device, compute_spectrograms_on
from britekit.config.audio import AudioConfig
from britekit.errors import InputError


def load_signal(path: str | os.PathLike[str], cfg: AudioConfig) -> tuple[np.ndarray, float]:
    """Return a recording as one channel at ``cfg.sampling_rate``, float32 (n,), and its length in seconds."""
    waveform = read_audio(path)
    return _mono(waveform, cfg), waveform.seconds


class Audio:
    """Load a recording once, then look at any part of it with any settings.

    Parameters
    ----------
    device
        Where spectrograms are computed: "cpu" (also None; needs no torch), "cuda", "cuda:N" or "mps". Reading
        and resampling are done on the CPU.
    cfg
        A whole configuration or its section ``audio``; the process-wide one if None.
    """

    def __init__(self, device: str | None = None, cfg: Any = None) -> None:
        self._device = checked_device(device)
        self._waveform: Waveform | None = None
        self._signal = np.empty(0, np.float32)
        self.set_config(cfg)

    def set_config(self, cfg: Any = None) -> None:
        """Use other settings from now on; the recording in memory stays, and is mixed and resampled anew."""
        if cfg is None:
            from britekit.config import get_config

            cfg = get_config()
        # A copy, so that what this object does changes only here.
        self._cfg: AudioConfig = replace(getattr(cfg, "audio", cfg))
        if self._waveform is not None:
            self._signal = _mono(self._waveform, self._cfg)

    def load(self, path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
        """Read a recording; return it as one channel, float32 (n,), and the sampling rate.

        Raises
        ------
        InputError
            The file cannot be decoded; nothing is loaded then.
        """
        self._waveform, self._signal = None, np.empty(0, np.float32)
        waveform = read_audio(path)
        self._signal = _mono(waveform, self._cfg)
        self._waveform = waveform
        return self._signal, self._cfg.sampling_rate

    def get_spectrograms(
        self,
        start_times: Sequence[float],
        spec_duration: float | None = None,
        freq_scale: str | None = None,
        decibels: bool | None = None,
        top_db: float | None = None,
        db_power: float | None = None,
    ) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
        """Return the spectrograms that start at these seconds; what is left out is as configured.

        Returns
        -------
        normalised, raw : list
            float32 (H, W) for each start time, None where there is too little audio.
        """
        if self._waveform is None:
            raise InputError("no recording is loaded; call load(path) first")
        given: dict[str, Any] = {
            "freq_scale": freq_scale,
            "decibels": decibels,
            "top_db": top_db,
            "db_power": db_power,
        }
        cfg = replace(self._cfg, **{name: value for name, value in given.items() if value is not None})
        if self._device == "cpu":
            computed = compute_spectrograms(self._signal, start_times, cfg, spec_duration)
        else:
            computed = compute_spectrograms_on(self._device, self._signal, start_times, cfg, spec_duration)
        normalised, raw, present = computed
        return (
            [image if there else None for image, there in zip(normalised, present, strict=True)],
            [image if there else None for image, there in zip(raw, present, strict=True)],
        )

    def seconds(self) -> float:
        """Length of the loaded recording in seconds; 0 if there is none."""
        return self._waveform.seconds if self._waveform else 0.0

    def signal_len(self) -> int:
        """Length of the loaded signal in samples at the working rate; 0 if there is none."""
        return len(self._signal)


def _mono(waveform: Waveform, cfg: AudioConfig) -> np.ndarray:
    return mono_signal([waveform.samples], waveform.samples.shape[0], waveform.rate, cfg)
