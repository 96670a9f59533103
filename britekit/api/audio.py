"""`Audio`: one recording in memory, for notebooks and scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from britekit.audio.decoding import Waveform, read_audio
from britekit.audio.files import shown
from britekit.audio.signal import to_mono
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.spectrogram_torch import checked_device, compute_spectrograms_on
from britekit.config import BaseConfig, get_config
from britekit.config.audio import AudioConfig
from britekit.errors import InputError, counted
from britekit.plots.axis_ticks import row_centres_hz
from britekit.plots.picture import Picture, draw_picture
from britekit.plots.spectrogram import plot_spectrogram


class Audio:
    """A recording: load it once, then look at any part of it with any settings.

        audio = bk.Audio.from_file("recording.wav")
        audio.plot(start_s=12, seconds=10)

    Parameters
    ----------
    device
        Where spectrograms are computed: "cpu" (also None; needs no torch), "cuda", "cuda:N" or "mps". Reading
        and resampling are done on the CPU.
    cfg
        A whole configuration or its section ``audio``; the process-wide one if None.
    """

    def __init__(self, device: str | None = None, cfg: BaseConfig | AudioConfig | None = None) -> None:
        self._device = checked_device(device)
        self._waveform: Waveform | None = None
        self._signal = np.empty(0, np.float32)
        self.set_config(cfg)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        cfg: BaseConfig | AudioConfig | None = None,
        device: str | None = None,
    ) -> Audio:
        """Return a recording read from a file; raises `InputError` if it cannot be decoded."""
        audio = cls(device, cfg)
        audio.load(path)
        return audio

    @classmethod
    def from_array(
        cls,
        samples: ArrayLike,
        sampling_rate: int,
        cfg: BaseConfig | AudioConfig | None = None,
        device: str | None = None,
    ) -> Audio:
        """Return a recording made of samples.

        Parameters
        ----------
        samples
            (n,) or (channels, n), -1 to 1.
        sampling_rate
            Samples per second.
        cfg, device
            As of the class.
        """
        values = np.atleast_2d(np.asarray(samples, np.float32))
        if values.ndim != 2 or not np.isfinite(values).all() or sampling_rate <= 0:
            raise InputError(
                f"samples of shape {values.shape} at {sampling_rate} Hz; expected finite numbers (n,) or "
                "(channels, n) and a positive sampling rate"
            )
        audio = cls(device, cfg)
        audio._set(Waveform(values, int(sampling_rate)), f"array of {values.shape[-1]} samples")
        return audio

    def __repr__(self) -> str:
        if self._waveform is None:
            return "<Audio: nothing loaded>"
        channels = counted(len(self._waveform.samples), "channel")
        return f"<Audio {self._name}: {self.seconds():.1f} s, {channels} at {self._waveform.rate} Hz>"

    def set_config(self, cfg: BaseConfig | AudioConfig | None = None) -> None:
        """Use other settings from now on; the loaded recording is mixed and resampled again."""
        audio = cfg if isinstance(cfg, AudioConfig) else (cfg or get_config()).audio
        self._cfg = replace(audio)  # so that changes stay in this object
        if self._waveform is not None:
            self._signal = to_mono(self._waveform, self._cfg)

    def load(self, path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
        """Read a recording; return it as one channel, float32 (n,), and the sampling rate.

        Raises
        ------
        InputError
            The file cannot be decoded; nothing is loaded then.
        """
        self._waveform, self._signal = None, np.empty(0, np.float32)
        self._set(read_audio(path), shown(os.path.basename(path)))
        return self._signal, self._cfg.sampling_rate

    def _set(self, waveform: Waveform, name: str) -> None:
        self._signal = to_mono(waveform, self._cfg)
        self._waveform, self._name = waveform, name

    @property
    def signal(self) -> np.ndarray:
        """The recording as one channel at the working rate, float32 (n,)."""
        return self._signal

    def plot(
        self, start_s: float = 0.0, seconds: float | None = None, path: str | os.PathLike[str] | None = None
    ) -> Picture:
        """Draw a spectrogram of a stretch, to the end by default; also write it to `path` if given.

        Raises
        ------
        InputError
            Nothing is loaded, or the stretch lies outside the recording.
        """
        length = self.seconds() - start_s if seconds is None else seconds
        (image,), _ = self.get_spectrograms([start_s], spec_duration=max(length, 0.01))
        if image is None:
            raise InputError(f"no audio at {start_s:g} s; the recording has {self.seconds():.2f} s")
        hz = row_centres_hz(self._cfg)
        return draw_picture(lambda file: plot_spectrogram(file, image, hz, length, start_s, self._name), path)

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
