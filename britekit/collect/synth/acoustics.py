"""Simulate the acoustics between a call and the microphone: distance, echo, wind, rain, insects."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from britekit.collect.synth.calls import RATE, Generator, Samples


def background(rng: Generator, size: int) -> Samples:
    """Return (size,) samples of hiss with random wind, rain and insects, with an RMS of 1."""
    padded = fft.next_fast_len(size, real=True)
    frequency_hz = np.fft.rfftfreq(padded, 1 / RATE)
    power = 0.09 * _unit(np.exp(-frequency_hz / rng.uniform(3000, 9000)))
    insects, rain = rng.uniform() < 0.45, rng.uniform() < 0.35
    if insects:
        power += rng.uniform(0.1, 0.5) ** 2 * _unit(_insect_band(rng, frequency_hz))
    if rain:
        power += rng.uniform(0.2, 0.6) ** 2 * _unit(1 / (1 + np.exp((2200 - frequency_hz) / 500)))
    mix = _noise(rng, power, padded)[:size]
    if rain:
        mix += _drops(rng, size)
    wind = _unit(1 / (1 + (frequency_hz / rng.uniform(150, 400)) ** 3))
    mix += rng.uniform(0.1, 0.9) * _noise(rng, wind, padded)[:size] * _gusts(rng, size)
    return mix / np.float32(np.sqrt(np.mean(np.square(mix))))


def through_the_air(rng: Generator, dry: Samples, distance: float) -> Samples:
    """Return calls as received: duller with distance, with echoes up to 0.25 s after the end.

    Parameters
    ----------
    rng
        Generator for the echoes.
    dry
        (n,) samples.
    distance
        From 0 (near) to 1 (far).
    """
    time = np.arange(round(0.25 * RATE)) / RATE
    response = rng.normal(size=time.size) * np.exp(-time / rng.uniform(0.02, 0.08))
    # there are no echoes from less than two meters
    response[: round(0.012 * RATE)] = 0
    response *= rng.uniform(0.2, 0.6) * (0.3 + distance) / np.sqrt(np.sum(np.square(response)))
    response[0] = 1.0
    cutoff_hz = 8000 * 2 ** (-1.8 * distance)
    response = signal.lfilter(*signal.butter(1, cutoff_hz / (RATE / 2)), response)
    return np.asarray(signal.oaconvolve(dry, response.astype(np.float32)), np.float32)


def _noise(rng: Generator, power: NDArray[np.floating], size: int) -> Samples:
    """Return (size,) Gaussian noise of a power spectrum (size // 2 + 1,) whose mean is the variance."""
    white = fft.rfft(rng.standard_normal(size, np.float32))
    return np.asarray(fft.irfft(white * np.sqrt(power).astype(np.float32), size), np.float32)


def _unit(power: NDArray[np.floating]) -> NDArray[np.floating]:
    return power / np.mean(power)


def _insect_band(rng: Generator, frequency_hz: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the spectrum of a chorus of crickets: one to three narrow bands."""
    power = np.zeros_like(frequency_hz)
    for _ in range(int(rng.integers(1, 4))):
        center_hz, width_hz = rng.uniform(3000, 7500), rng.uniform(40, 350)
        power += rng.uniform(0.3, 1) * np.exp(-(((frequency_hz - center_hz) / width_hz) ** 2)) / width_hz
    return power


def _drops(rng: Generator, size: int) -> Samples:
    """Return (size,) samples of single drops, each a short ringing click."""
    drops = np.zeros(size, np.float32)
    time = np.arange(round(0.012 * RATE)) / RATE
    for start in rng.integers(0, max(1, size - time.size), rng.poisson(size / RATE * rng.uniform(3, 15))):
        ring = np.exp(-time / rng.uniform(0.001, 0.003)) * np.sin(2 * np.pi * rng.uniform(900, 6000) * time)
        piece = drops[start : start + time.size]
        piece += (rng.exponential(0.8) * ring[: piece.size]).astype(np.float32)
    return drops


def _gusts(rng: Generator, size: int) -> Samples:
    """Return a random loudness around 1 that varies like wind."""
    knots = np.exp(rng.normal(0, 0.5, size // RATE + 3))
    return np.interp(np.arange(size) / RATE, np.arange(knots.size), knots).astype(np.float32)
