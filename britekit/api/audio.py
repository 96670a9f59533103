"""`Audio`: one recording in memory, for notebooks and scripts."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from britekit.api.compat.settings import as_settings
from britekit.audio.decoding import Waveform, read_audio
from britekit.audio.files import shown
from britekit.audio.signal import to_mono
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.spectrogram_torch import checked_device, compute_spectrograms_on
from britekit.config import BaseConfig, get_config
from britekit.config.audio import AudioConfig
from britekit.errors import InputError, counted, some
from britekit.plots.axis_ticks import row_centers_hz
from britekit.plots.picture import Picture, draw_picture

log = logging.getLogger(__name__)


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
        self._signal: np.ndarray | None = None
        self.path: str | None = None
        self.load_error: str | None = None
        self.set_config(cfg)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], cfg: BaseConfig | AudioConfig | None = None, device: str | None = None
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

    def set_config(self, cfg: BaseConfig | AudioConfig | None = None, resample: bool = True) -> None:
        """Use other settings from now on.

        The loaded recording is mixed and resampled again when it is next used. ``resample`` is accepted for scripts
        of public britekit, where that happened at once and could be left out.
        """
        audio = cfg if isinstance(cfg, AudioConfig) else (as_settings(cfg) or get_config()).audio
        self._cfg = replace(audio)  # so that changes stay in this object
        self._signal = None

    def load(self, path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
        """Read a recording; return it as one channel, float32 (n,), and the sampling rate.

        Raises
        ------
        InputError
            The file cannot be decoded; nothing is loaded then, and ``load_error`` says why.
        """
        self._waveform = self._signal = None
        self.path, self.load_error = os.fspath(path), None
        try:
            self._set(read_audio(path), shown(os.path.basename(path)))
        except InputError as error:
            self.load_error = str(error)
            raise
        return self.signal, self._cfg.sampling_rate

    def _set(self, waveform: Waveform, name: str) -> None:
        self._waveform, self._signal, self._name = waveform, None, name

    @property
    def signal(self) -> np.ndarray:
        """The recording as one channel at the working rate, float32 (n,)."""
        if self._signal is None:
            empty = np.empty(0, np.float32)
            self._signal = empty if self._waveform is None else to_mono(self._waveform, self._cfg)
        return self._signal

    @property
    def sampling_rate(self) -> int:
        """Samples per second of ``signal``."""
        return self._cfg.sampling_rate

    def plot(
        self, start_s: float = 0.0, seconds: float | None = None, path: str | os.PathLike[str] | None = None
    ) -> Picture:
        """Draw a spectrogram of a stretch, to the end by default; also write it to `path` if given.

        Raises
        ------
        InputError
            Nothing is loaded, or the stretch lies outside the recording.
        """
        from britekit.plots.spectrogram import plot_spectrogram  # brings matplotlib, half a second

        length = self.seconds() - start_s if seconds is None else seconds
        images, _ = self.get_spectrograms([start_s], spec_duration=max(length, 0.01))
        if not len(images):
            raise InputError(f"no audio at {start_s:g} s; the recording has {self.seconds():.2f} s")
        image = images[0]
        hz = row_centers_hz(self._cfg)
        return draw_picture(lambda file: plot_spectrogram(file, image, hz, length, start_s, self._name), path)

    def get_spectrograms(
        self,
        start_times: Sequence[float],
        spec_duration: float | None = None,
        freq_scale: str | None = None,
        decibels: bool | None = None,
        top_db: float | None = None,
        db_power: float | None = None,
        skip_cache: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the spectrograms that start at these seconds; settings that are left out are as configured.

        Parameters
        ----------
        skip_cache
            Accepted for scripts of public britekit; there is no cache.

        Returns
        -------
        normalized, raw : float32 (N, H, W)
            For each start time at which there is audio; a warning names the others, and (0,) means none.
        """
        if self._waveform is None:
            raise InputError("no recording is loaded; call load(path) first")
        given: dict[str, Any] = {"freq_scale": freq_scale, "decibels": decibels, "top_db": top_db, "db_power": db_power}
        cfg = replace(self._cfg, **{name: value for name, value in given.items() if value is not None})
        if self._device == "cpu":
            normalized, raw, present = compute_spectrograms(self.signal, start_times, cfg, spec_duration)
        else:
            computed = compute_spectrograms_on(self._device, self.signal, start_times, cfg, spec_duration)
            normalized, raw, present = computed
        if not present.all():
            absent = [f"{start:g}" for start, there in zip(start_times, present, strict=True) if not there]
            log.warning("%s: too little audio at %s s; no spectrograms there", self._name, some(absent, 6))
            normalized, raw = normalized[present], raw[present]
        return (normalized, raw) if len(normalized) else (np.empty(0, np.float32), np.empty(0, np.float32))

    def seconds(self) -> float:
        """Length of the loaded recording in seconds; 0 if there is none."""
        return self._waveform.seconds if self._waveform else 0.0

    def signal_len(self) -> int:
        """Length of the loaded signal in samples at the working rate; 0 if there is none."""
        return len(self.signal)
