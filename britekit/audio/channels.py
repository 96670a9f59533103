"""Convert several channels at the file's rate to one channel at the working rate."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from britekit.audio.files import shown
from britekit.audio.resampling import Resampler
from britekit.config.audio import AudioConfig
from britekit.errors import InputError, counted

log = logging.getLogger(__name__)

# Search for sound up to here if neither channel has any so far; also bounds the memory.
_LONGEST_S, _LONGEST_FRAMES = 60.0, 1 << 22
# Short enough to distinguish a call from a click, long enough to distinguish it from mains hum.
_FRAME_S, _SMOOTHED, _BANDS, _LOUDEST = 0.02, 7, 32, 4
_HUM_HZ, _HUM_END_HZ, _HUM_WIDTH_HZ = (50.0, 60.0), 2000.0, 5.0
_NOISE_QUANTILE = 0.4
# In decibels: threshold above a band's noise; sum over frames from which sound is certain; level of full scale per band
# of 16-bit quantization and dither; margin of a steady sound.
_EXCESS_DB, _CERTAIN, _SILENT_DB, _STEADY_DB = 8.0, 60.0, -105.0, 6.0


class ChannelChoice:
    """Chooses the one of two channels that holds the sound, from consecutive pieces.

    Sound is what exceeds a band's own noise, its 0.4 quantile over time, by 8 dB for more than 20 ms, between
    ``min_freq`` and ``max_freq``: hum, hiss, offset, dither and single clicks do not. The channel with more sound wins.
    If neither has any, one with a steady sound wins (a line or band above its spectrum, except mains hum), then one
    that is not dead, then the one with less noise. For recordings under a second it is the left one, unless that is
    dead.

    Attributes
    ----------
    piece_frames : int
        Frames per piece: ``check_seconds``, at least one second.
    """

    def __init__(self, rate: int, cfg: AudioConfig) -> None:
        self._rate = rate
        self.piece_frames = min(max(round(cfg.check_seconds * rate), rate), _LONGEST_FRAMES)
        self._size = max(16, round(min(_FRAME_S, cfg.win_length) * rate))
        self._high = min(float(cfg.max_freq), rate / 2)
        # Below this, frames cannot separate sound from hum; use all bands if only low sounds are of interest.
        low = max(cfg.min_freq, 3.2 * rate / self._size)
        self._low = low if low < self._high / 4 else float(cfg.min_freq)
        self._sound = np.zeros(2)
        self._steady = np.full(2, -np.inf)
        self._level = np.full(2, -np.inf)
        self._seen = 0

    @property
    def certain(self) -> bool:
        """Whether sound was found."""
        return bool(self._sound.max() >= _CERTAIN)

    @property
    def done(self) -> bool:
        """Whether no further piece is needed or allowed."""
        longest = min(_LONGEST_S * self._rate, _LONGEST_FRAMES)
        return self.certain or self._seen + self.piece_frames > longest

    @property
    def dead(self) -> bool:
        """Whether both channels held only silence, offset, dither or mains hum."""
        return not self.certain and bool((self._level <= _SILENT_DB).all())

    @property
    def seconds(self) -> float:
        """Seconds examined so far."""
        return self._seen / self._rate

    def look(self, piece_Cn: np.ndarray) -> None:
        """Examine the next piece, float32 (2, n), of about `piece_frames`."""
        self._seen += piece_Cn.shape[1]
        if piece_Cn.shape[1] >= max(self._rate, self._size * _SMOOTHED):
            self._sound += self._standing_out(piece_Cn)
        if not self.certain:
            levels = self._steady_levels(piece_Cn)
            top = levels.max(axis=1)
            self._level = np.maximum(self._level, top)
            prominence = top - np.maximum(np.median(levels, axis=1), _SILENT_DB)
            self._steady = np.maximum(self._steady, np.where(top > _SILENT_DB, prominence, -np.inf))

    def channel(self) -> int:
        """Return the channel chosen so far, 0 or 1."""
        if self.certain:
            return int(self._sound[1] > self._sound[0])
        alive = self._level > _SILENT_DB
        if alive[0] != alive[1]:
            return int(alive[1])
        if not alive.all() or self._seen < self._rate:
            return 0
        if abs(self._steady[1] - self._steady[0]) >= _STEADY_DB:
            return int(self._steady[1] > self._steady[0])
        return int(self._level[1] < self._level[0])

    def _standing_out(self, piece_Cn: np.ndarray) -> np.ndarray:
        """Return the decibels above noise of the loudest bands per channel, summed over frames."""
        hop = max(1, self._size // 2)
        window = np.hanning(self._size + 2)[1:-1].astype(np.float32)
        frames = sliding_window_view(piece_Cn, self._size, axis=1)[:, ::hop]
        powers = np.square(np.abs(fft.rfft(frames * window, axis=2))) * (2.0 / window.sum()) ** 2
        # Average neighboring frames, since harmonics of hum beat between frames. A click then fills three.
        powers = powers[:, 1:] + powers[:, :-1]
        levels = _band_levels(powers, self._rate / self._size, self._low, self._high)
        levels = np.median(sliding_window_view(levels, _SMOOTHED, axis=1), axis=-1)
        noise = np.quantile(levels, _NOISE_QUANTILE, axis=1, keepdims=True)
        excess = np.maximum(levels - np.maximum(noise, _SILENT_DB) - _EXCESS_DB, 0.0)
        loudest = np.sort(excess, axis=2)[..., -_LOUDEST:].mean(axis=2)
        return np.asarray(loudest.sum(axis=1))

    def _steady_levels(self, piece_Cn: np.ndarray) -> np.ndarray:
        """Return the level of each band, (2, bands), in dB of full scale, without mains hum.

        It is the median over seconds, so that a click or a step of the offset in one of them does not count.
        """
        seconds = max(1, piece_Cn.shape[1] // self._rate)
        count = piece_Cn.shape[1] // seconds
        window = _blackman_harris(count)
        parts_CSn = piece_Cn[:, : seconds * count].reshape(2, seconds, count)
        powers = np.square(np.abs(fft.rfft(parts_CSn * window, axis=2))) * 2.0 / float(np.square(window).sum()) / count
        powers = np.median(powers, axis=1)
        hz = np.arange(powers.shape[1]) * self._rate / count
        width = max(_HUM_WIDTH_HZ, 5.0 * self._rate / count)
        hum = np.zeros(len(hz), bool)
        for mains in _HUM_HZ:
            hum |= np.abs((hz + mains / 2) % mains - mains / 2) <= width
        low = hum & (hz < _HUM_END_HZ)
        # Higher harmonics are weaker than the lower ones; a steady call at a multiple of 50 Hz is not.
        strongest = powers[:, low].max(axis=1, keepdims=True, initial=0.0)
        powers = np.where(low | (hum & (powers < strongest)), 0.0, powers)
        return _band_levels(powers, self._rate / count, self._low, self._high)


def _blackman_harris(count: int) -> np.ndarray:
    """Return the periodic window of F. J. Harris (Proc. IEEE 66, 1978), float32 (count,).

    ``scipy.signal`` has it too, but takes 0.7 s to import, in every command that reads sound.
    """
    phase = 2 * np.pi * np.arange(count) / count
    terms = 0.35875 - 0.48829 * np.cos(phase) + 0.14128 * np.cos(2 * phase) - 0.01168 * np.cos(3 * phase)
    return np.asarray(terms, np.float32)


def _band_levels(powers: np.ndarray, step_hz: float, low: float, high: float) -> np.ndarray:
    """Return the decibels of at most 32 equal bands, (..., bins) to (..., bands)."""
    first = min(max(1, math.ceil(low / step_hz)), powers.shape[-1] - 1)
    last = max(first + 1, min(powers.shape[-1], math.floor(high / step_hz) + 1))
    edges = np.unique(np.linspace(first, last, min(_BANDS, last - first) + 1).astype(int)[:-1])
    sums = np.add.reduceat(powers[..., :last], edges, axis=-1)
    return 10.0 * np.log10(sums + 1e-20)


def cleaner_channel(head_Cn: np.ndarray, rate: int, cfg: AudioConfig) -> int:
    """Return the index of the channel that holds the sound, 0 or 1.

    Parameters
    ----------
    head_Cn
        float32 (2, n), the beginning of the recording at its own rate. The first ``check_seconds`` are examined, and up
        to a minute more until one channel has clear sound.
    cfg
        ``check_seconds``, ``min_freq``, ``max_freq`` and ``win_length``.
    """
    mono = MonoSignal(2, rate, cfg)
    mono.push(head_Cn)
    mono.finish()
    return mono.channel or 0


class MonoSignal:
    """Converts blocks of a recording to one channel at ``cfg.sampling_rate``.

    With ``channels`` ``best``, two channels become the one with sound in it, see `ChannelChoice`; the beginning is
    buffered until it is known, up to a minute. Otherwise the result is the channel of that number, or the mean. Mixing
    precedes resampling, so only one channel is resampled. The result does not depend on the size of blocks.

    Raises `InputError` if the recording has fewer channels, or ``each`` is set, which only some commands can do.

    Parameters
    ----------
    channels, rate
        Number of channels and sampling rate of the recording.
    name
        The recording, for a warning if neither channel holds sound.

    Attributes
    ----------
    channel : int or None
        The chosen channel; None for the mean, or if not yet known.
    """

    def __init__(self, channels: int, rate: int, cfg: AudioConfig, name: str | os.PathLike[str] | None = None) -> None:
        self._name = name
        self._resampler = Resampler(rate, cfg.sampling_rate)
        self.channel = _fixed_channel(channels, cfg, name)
        examined = channels == 2 and cfg.channels == "best"
        if examined and cfg.check_seconds * rate < 1:
            self.channel, examined = 0, False
        self._choice = ChannelChoice(rate, cfg) if examined else None
        self._head: list[np.ndarray] = []
        # Index of the first block of the head that was not examined yet.
        self._fresh: list[np.ndarray] = []

    def push(self, block_Cn: np.ndarray) -> np.ndarray:
        """Add float32 (C, n); return the samples that are ready, float32 (m,)."""
        if self._choice is None:
            return self._resampler.push(self._mix(block_Cn))
        self._head.append(block_Cn)
        self._fresh.append(block_Cn)
        size = self._choice.piece_frames
        if sum(block.shape[1] for block in self._fresh) < size:
            return np.empty(0, np.float32)
        fresh = np.concatenate(self._fresh, axis=1)
        while fresh.shape[1] >= size and not self._choice.done:
            self._choice.look(fresh[:, :size])
            fresh = fresh[:, size:]
        self._fresh = [fresh]
        return self._decided() if self._choice.done else np.empty(0, np.float32)

    def finish(self) -> np.ndarray:
        """Return the remaining samples, float32 (m,)."""
        rest = np.empty(0, np.float32)
        if self._choice is not None and self._head:
            fresh = np.concatenate(self._fresh, axis=1)
            if fresh.shape[1]:
                self._choice.look(fresh)
            rest = self._decided()
        return np.concatenate([rest, self._resampler.finish()])

    def _decided(self) -> np.ndarray:
        """Choose the channel; return the buffered samples."""
        assert self._choice is not None
        self.channel = self._choice.channel()
        if self._choice.dead and self._name is not None:
            what = "%s: neither channel holds any sound in its first %.0f s; the left one is used"
            log.warning(what, shown(self._name), self._choice.seconds)
        parts = [block[self.channel] for block in self._head]
        self._choice, self._head, self._fresh = None, [], []
        return self._resampler.push(np.concatenate(parts))

    def _mix(self, block_Cn: np.ndarray) -> np.ndarray:
        return block_Cn.mean(axis=0) if self.channel is None else block_Cn[self.channel]


def _fixed_channel(channels: int, cfg: AudioConfig, name: str | os.PathLike[str] | None) -> int | None:
    """Return the index of the only channel or of the one that the settings name; None if there is a choice to make."""
    wanted = cfg.channels
    if isinstance(wanted, int) and wanted > channels:
        what = "the recording" if name is None else shown(name)
        raise InputError(f"{what} has {counted(channels, 'channel')}; channel {wanted} (audio.channels) does not exist")
    if wanted == "each" and channels > 1:
        what = "the recording" if name is None else shown(name)
        raise InputError(
            f"{what} has {channels} channels, and audio.channels is each, which analyze, extract and reextract can do; "
            "set it to best, mean or the number of a channel here"
        )
    return wanted - 1 if isinstance(wanted, int) else 0 if channels == 1 else None


def mono_signal(
    blocks: Iterable[np.ndarray], channels: int, rate: int, cfg: AudioConfig, name: str | os.PathLike[str] | None = None
) -> np.ndarray:
    """Return all blocks, each float32 (C, n), as one channel at ``cfg.sampling_rate``, float32 (m,)."""
    mono = MonoSignal(channels, rate, cfg, name)
    parts = [mono.push(block) for block in blocks]
    return np.concatenate([*parts, mono.finish()])
