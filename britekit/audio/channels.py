"""Several channels at the file's rate become one channel at the working rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from britekit.audio.resampling import Resampler, resample
from britekit.audio.spectrogram import normalise, spectrogram_transform
from britekit.config.audio import AudioConfig


def cleaner_channel(head_Cn: np.ndarray, rate: int, cfg: AudioConfig) -> int:
    """Return which of two channels is the cleaner one.

    The channel whose normalised log-frequency decibel spectrogram has the smaller sum has less noise between
    its sounds. A silent channel loses.

    Parameters
    ----------
    head_Cn
        float32 (2, n), the beginning of the recording at its own rate; the first
        min(check_seconds, whole seconds) are looked at.
    rate
        Of ``head_Cn``.
    cfg
        ``check_seconds``, ``sampling_rate`` and the shape of spectrograms.

    Returns
    -------
    int
        0 or 1; 0 for recordings under one second, unless it is silent.
    """
    silent = [not channel.any() for channel in head_Cn]
    if any(silent):
        return int(silent[0] and not silent[1])
    seconds = min(cfg.check_seconds, head_Cn.shape[1] // rate)
    if seconds <= 0:
        return 0
    settings = replace(
        cfg, freq_scale="log", decibels=True, top_db=80.0, db_power=1.0, min_freq=max(1, cfg.min_freq)
    )
    transform = spectrogram_transform(settings, float(seconds))
    sums = []
    for channel in head_Cn[:, : math.ceil(seconds * rate)]:
        signal = resample(channel, rate, cfg.sampling_rate)[: transform.count(seconds)]
        if not len(signal):
            return 0
        # Not `compute_spectrograms`, to which less than half a second is nothing.
        images = np.empty((1, transform.height, transform.width), np.float32)
        transform.raw(np.ascontiguousarray(signal, np.float32), images[0])
        normalise(images)
        sums.append(float(images.sum(dtype=np.float64)))
    return int(sums[1] < sums[0])


class MonoSignal:
    """Blocks of a recording in, one channel at ``cfg.sampling_rate`` out.

    Two channels with ``choose_channel``: the cleaner one, judged by the beginning, which is held back until
    it is complete. Otherwise the mean. Mixing comes before resampling, so only one channel is resampled. The
    result does not depend on how the recording is cut into blocks.
    """

    def __init__(self, channels: int, rate: int, cfg: AudioConfig) -> None:
        self._cfg = cfg
        self._rate = rate
        self._resampler = Resampler(rate, cfg.sampling_rate)
        self._channel: int | None = 0 if channels == 1 else None
        self._undecided = channels == 2 and cfg.choose_channel
        self._head: list[np.ndarray] = []
        # Whole seconds count, so the next whole second must be known too.
        self._head_frames = math.ceil(cfg.check_seconds) * rate

    def push(self, block_Cn: np.ndarray) -> np.ndarray:
        """Take float32 (C, n), return what is ready, float32 (m,)."""
        if self._undecided:
            self._head.append(block_Cn)
            if sum(block.shape[1] for block in self._head) < self._head_frames:
                return np.empty(0, np.float32)
            block_Cn = self._decide()
        return self._resampler.push(self._mix(block_Cn))

    def finish(self) -> np.ndarray:
        """Return the rest, float32 (m,)."""
        rest = np.empty(0, np.float32)
        if self._undecided and self._head:
            rest = self._resampler.push(self._mix(self._decide()))
        return np.concatenate([rest, self._resampler.finish()])

    def _decide(self) -> np.ndarray:
        head = np.concatenate(self._head, axis=1)
        self._channel = cleaner_channel(head[:, : self._head_frames], self._rate, self._cfg)
        self._undecided = False
        self._head = []
        return head

    def _mix(self, block_Cn: np.ndarray) -> np.ndarray:
        return block_Cn.mean(axis=0) if self._channel is None else block_Cn[self._channel]


def mono_signal(blocks: Iterable[np.ndarray], channels: int, rate: int, cfg: AudioConfig) -> np.ndarray:
    """Return all blocks, each float32 (C, n), as one channel at ``cfg.sampling_rate``, float32 (m,)."""
    mono = MonoSignal(channels, rate, cfg)
    parts = [mono.push(block) for block in blocks]
    return np.concatenate([*parts, mono.finish()])
