"""Variants of a segment, made from its waveform at extraction and stored beside it.

A variant is the segment through a random filter and a random room, louder or softer, and, where the user gives
recordings of background noise, with a stretch of them added. Training draws one of the segment and its variants each
time, so a step costs no more than without them.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import signal

from britekit.audio.files import Failures, find_recordings, shown
from britekit.audio.spectrogram import normalize, spectrogram_transform
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config import BaseConfig
from britekit.config.audio import AudioConfig
from britekit.database.spectrograms import encode
from britekit.datasets.window_streams import Starts, pick, spread
from britekit.errors import BriteKitError, InputError

log = logging.getLogger(__name__)

FILTER_DB = 4.0
"""Standard deviation of the gain at each octave, which is kept within twice this."""
ECHO_S = (0.1, 0.6)
"""Range of the time in which the echo falls by 60 dB."""
ECHO_DB = (-18.0, -3.0)
"""Range of the echo's energy relative to the direct sound."""
GAIN_DB = (-6.0, 6.0)
NOISE_DB = (-20.0, 0.0)
"""Range of the level of background noise relative to the segment before its gain."""
MOST_NOISE = 300
"""Stretches of background noise that are held in memory."""
_TAPS = 256
_QUIET_S = 0.005


class WaveformVariants:
    """Makes the stored variants of the segments of a recording.

    Parameters
    ----------
    cfg
        ``audio``, ``pipeline.extract_variants``, ``pipeline.variant_noise``.

    Attributes
    ----------
    count
        Variants of each segment, K.
    failures
        Recordings of background noise that could not be read.
    """

    def __init__(self, cfg: BaseConfig) -> None:
        self.count = cfg.pipeline.extract_variants
        self.failures = Failures()
        self._audio = cfg.audio
        self._transform = spectrogram_transform(cfg.audio)
        folder = cfg.pipeline.variant_noise
        self._noise = [] if folder is None else _read_noise(Path(folder), cfg.audio, self.failures)

    def of(self, path: Path, starts: WindowGrid | Sequence[float], audio: AudioConfig) -> Iterator[list[bytes]]:
        """Yield K stored spectrograms for each window of a recording that has enough sound, in ascending order.

        They depend on the file's name and channel, the window's start and the background noise alone.
        """
        channel = audio.channels if isinstance(audio.channels, int) else 0
        key = (zlib.crc32(path.name.encode()), channel)
        for batch in Windows(path, audio, starts, read_on=False).batches(32, sound=True):
            for start, waveform in zip(batch.starts, batch.spectrograms):
                place = (*key, round(1000 * max(start, 0.0)))
                yield [self._variant((*place, number), waveform) for number in range(self.count)]

    def _variant(self, key: tuple[int, ...], waveform: np.ndarray) -> bytes:
        rng = np.random.default_rng(key)
        noise = self._noise[rng.integers(len(self._noise))] if self._noise else None
        varied = vary(rng, waveform, self._audio.sampling_rate, noise)
        image = np.empty((1, self._transform.height, self._transform.width), np.float32)
        self._transform.raw(varied, image[0])
        normalize(image)
        return encode(image[0])


def vary(rng: np.random.Generator, waveform: np.ndarray, rate: int, noise: np.ndarray | None) -> np.ndarray:
    """Return a waveform, float32 (n,), filtered, in a room, with another level, and with noise (n,) if given."""
    filtered = convolve(waveform, filter_response(draw_gains(rng, rate), rate), delay=_TAPS // 2)
    varied = convolve(filtered, room_response(rng, rate)) * _factor(rng.uniform(*GAIN_DB))
    level = _factor(rng.uniform(*NOISE_DB))
    if noise is not None:
        loudness = np.sqrt(np.mean(np.square(noise), dtype=np.float64))
        varied += noise * (level * np.sqrt(np.mean(np.square(waveform), dtype=np.float64)) / loudness)
    return varied.astype(np.float32)


def convolve(waveform: np.ndarray, response: np.ndarray, delay: int = 0) -> np.ndarray:
    """Return the waveform (n,) convolved with a response that delays it by ``delay`` samples, (n,)."""
    return np.asarray(signal.oaconvolve(waveform, response)[delay : delay + len(waveform)])


def draw_gains(rng: np.random.Generator, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies an octave apart, up to half the sampling rate, in hertz, and a random gain of each in dB."""
    octaves = max(2, int(np.log2(rate / 2 / 100)) + 1)
    hertz = rate / 2 / 2.0 ** np.arange(octaves)[::-1]
    return hertz, np.clip(rng.normal(0, FILTER_DB, octaves), -2 * FILTER_DB, 2 * FILTER_DB)


def filter_response(gains: tuple[np.ndarray, np.ndarray], rate: int) -> np.ndarray:
    """Return the response of a filter with these gains, interpolated over octaves; it delays by half its length."""
    hertz, decibels = gains
    own = np.fft.rfftfreq(_TAPS, 1 / rate)
    wanted = _factor(np.interp(np.log2(np.maximum(own, hertz[0])), np.log2(hertz), decibels))
    return np.roll(np.fft.irfft(wanted, _TAPS), _TAPS // 2) * signal.windows.hann(_TAPS, sym=False)


def room_response(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Return the direct sound, 1, and an echo of decaying noise."""
    seconds = rng.uniform(*ECHO_S)
    time = np.arange(1, round(seconds * rate)) / rate
    echo = rng.normal(size=len(time)) * 10.0 ** (-3.0 * time / seconds)
    echo[time < _QUIET_S] = 0.0
    echo *= _factor(rng.uniform(*ECHO_DB)) / np.sqrt(np.sum(np.square(echo)))
    return np.concatenate([[1.0], echo])


def _factor(decibels: np.ndarray | float) -> np.ndarray:
    return np.asarray(10.0 ** (np.asarray(decibels) / 20.0))


def _read_noise(folder: Path, audio: AudioConfig, failures: Failures) -> list[np.ndarray]:
    """Return stretches as long as a segment, spread over the recordings of a folder and within each."""
    paths = find_recordings(folder, recursive=True)
    audio = replace(audio, channels="best")
    grid = WindowGrid.for_overlap(audio.spec_duration, 0.0)
    chosen = pick(paths, MOST_NOISE)
    starts: Starts = spread(grid, max(1, MOST_NOISE // len(chosen)), at_random=False)
    found: list[np.ndarray] = []
    silent = 0
    for path in chosen:
        try:
            for batch in Windows(path, audio, starts(path), read_on=False).batches(32, sound=True):
                found += [waveform for waveform in batch.spectrograms if waveform.any()]
                silent += sum(not waveform.any() for waveform in batch.spectrograms)
        except (BriteKitError, OSError) as error:
            failures.fail(path, error, "is not used as background noise")
    if not found:
        raise InputError(f"pipeline.variant_noise: no recording in {shown(folder)} gives background noise")
    log.info(
        "background noise: %d stretches of %d of %d recordings in %s; %d silent ones are left out",
        len(found), len(chosen) - len(failures.failures), len(paths), shown(folder), silent,
    )  # fmt: skip
    return found
