"""Synthesize imaginary calls: one call of one individual, as samples.

Every function takes a generator and an `Individual` and returns (n,) float32 samples at `RATE` with an RMS of 1. An
individual keeps its pitch and tempo over a recording; the rest varies from call to call.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATE = 22050
"""Sampling rate of synthesized sound in Hz."""

Samples = NDArray[np.float32]
Generator = np.random.Generator


@dataclass(frozen=True)
class Individual:
    """Individual variation within a species."""

    pitch: float
    """Factor on all frequencies."""
    tempo: float
    """Factor on all rates."""
    color: float
    """Strength of overtones, 0 to 1."""


def draw_individual(rng: Generator) -> Individual:
    """Draw an individual; tempo varies by up to 12 %, so that species with different rates stay distinguishable."""
    return Individual(float(2 ** rng.normal(0, 0.09)), float(rng.uniform(0.88, 1.12)), float(rng.uniform()))


def trill(rng: Generator, one: Individual, rate_hz: float) -> Samples:
    """Return equal short falling notes at a steady rate; two trills differ only in the rate."""
    note_s = 0.032
    top_hz = 4300 * one.pitch
    note = _tone(np.geomspace(top_hz * 1.15, top_hz * 0.87, _count(note_s)), one.color * 0.2)
    note *= _fade(note.size, 0.3, 0.5)
    count = max(4, round(rng.uniform(0.9, 1.7) * rate_hz * one.tempo))
    times = np.arange(count) / (rate_hz * one.tempo) + rng.normal(0, 0.0015, count).clip(-0.004, 0.004) + 0.004
    loudness = np.sqrt(np.linspace(0.35, 1.0, count))
    return _normalize(_place(note, times, loudness))


def sweep(rng: Generator, one: Individual, rising: bool) -> Samples:
    """Return one or two gliding whistles; rising and falling ones are mirror images in time."""
    parts = []
    for position in range(int(rng.integers(1, 3))):
        length_s = rng.uniform(0.36, 0.5) / one.tempo
        low_hz = 1900 * one.pitch * rng.uniform(0.96, 1.04)
        note = _tone(np.geomspace(low_hz, low_hz * 1.75, _count(length_s)), one.color * 0.3)
        parts += [np.zeros(_count(0.12) * bool(position), np.float32), note * _fade(note.size, 0.2, 0.2)]
    call = np.concatenate(parts)
    return _normalize(call if rising else call[::-1])


def stack(rng: Generator, one: Individual) -> Samples:
    """Return two to four hoarse calls rich in harmonics, each with an arched pitch."""
    parts = []
    for position in range(int(rng.integers(2, 5))):
        size = _count(rng.uniform(0.2, 0.32) / one.tempo)
        arch = 1 + 0.1 * np.sin(np.pi * np.linspace(0, 1, size))
        pitch_hz = 430 * one.pitch * arch * (1 + 0.012 * _slow_noise(rng, size, 60))
        note = np.zeros(size, np.float32)
        phase = _phase(pitch_hz)
        for harmonic in range(1, 13):
            formant = np.exp(-(((430 * harmonic - 1500) / (700 + 900 * one.color)) ** 2))
            note += (0.15 / harmonic + formant) * np.sin(harmonic * phase)
        gap = np.zeros(_count(rng.uniform(0.1, 0.18) / one.tempo) * bool(position), np.float32)
        parts += [gap, note * _fade(size, 0.15, 0.35)]
    return _normalize(np.concatenate(parts))


def drum(rng: Generator, one: Individual) -> Samples:
    """Return accelerating knocks on wood."""
    count = int(rng.integers(11, 18))
    gaps = np.linspace(0.12, 0.045, count) / one.tempo
    size = _count(0.06)
    time = np.arange(size) / RATE
    knock = np.zeros(size, np.float32)
    for resonance_hz, decay_s, weight in ((520, 0.012, 1.0), (980, 0.008, 0.8), (1900, 0.004, 0.5)):
        knock += weight * np.exp(-time / decay_s) * np.sin(2 * np.pi * resonance_hz * one.pitch * time)
    # smoothed, since wood does not ring above 8 kHz
    click = np.convolve(rng.normal(0, 0.5 + one.color, size), np.hanning(7)[1:-1] / 2, "same")
    knock += np.exp(-time / 0.002) * click
    loudness = np.linspace(1.0, 0.5, count) * rng.uniform(0.8, 1.0, count)
    return _normalize(_place(knock, np.cumsum(gaps) - gaps[0], loudness))


def buzz(rng: Generator, one: Individual) -> Samples:
    """Return a long insect-like note at a high pitch, chopped about a hundred times a second."""
    size = _count(rng.uniform(0.7, 1.2) / one.tempo)
    carrier_hz = 5300 * one.pitch * np.linspace(1.0, 1.06, size) * (1 + 0.02 * _slow_noise(rng, size, 400))
    chops = np.sin(_phase(np.full(size, 95 * one.tempo)))
    note = _tone(carrier_hz.clip(max=7200), 0.0) * (0.12 + np.maximum(chops, 0)) * _fade(size, 0.3, 0.1)
    return _normalize(note)


def two_note(rng: Generator, one: Individual) -> Samples:
    """Return two steady whistles, the second a third lower."""
    parts = []
    for frequency_hz in (2750, 2200):
        size = _count(rng.uniform(0.28, 0.36) / one.tempo)
        note = _tone(np.full(size, frequency_hz * one.pitch), one.color * 0.25)
        parts += [note * _fade(size, 0.1, 0.25), np.zeros(_count(0.05), np.float32)]
    return _normalize(np.concatenate(parts[:-1]))


def warble(rng: Generator, one: Individual) -> Samples:
    """Return a whistle whose pitch loops up and down seven times a second."""
    size = _count(rng.uniform(0.9, 1.4) / one.tempo)
    loops = np.sin(_phase(np.full(size, 7 * one.tempo)) + rng.uniform(0, 2 * np.pi))
    return _normalize(_tone(3200 * one.pitch * (1 + 0.16 * loops), one.color * 0.2) * _fade(size, 0.15, 0.2))


def croak(rng: Generator, one: Individual) -> Samples:
    """Return low pulses that merge into a croak."""
    count = int(rng.integers(14, 24))
    size = _count(0.024)
    pulse = _tone(np.full(size, 1050 * one.pitch), one.color * 0.6) * _fade(size, 0.1, 0.7)
    loudness = np.sin(np.pi * np.linspace(0.15, 0.95, count))
    return _normalize(_place(pulse, np.arange(count) / (27 * one.tempo), loudness))


def beep(rng: Generator, one: Individual) -> Samples:
    """Return a plain note or click of no species, which a good recognizer ignores."""
    if rng.uniform() < 0.4:
        size = _count(0.03)
        return _normalize(rng.normal(size=size).astype(np.float32) * np.exp(-np.arange(size) / (0.1 * size)))
    size = _count(rng.uniform(0.08, 0.6))
    note = _tone(np.full(size, 2 ** rng.uniform(9.2, 12.5)), one.color)
    return _normalize(note * _fade(size, 0.1, 0.1))


def _count(seconds: float) -> int:
    return round(seconds * RATE)


def _phase(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.cumsum(np.asarray(frequency_hz, np.float64)) * (2 * np.pi / RATE))


def _tone(frequency_hz: ArrayLike, overtone: float) -> Samples:
    """Return a sine of changing frequency with some of its first overtone."""
    phase = _phase(frequency_hz)
    note = np.sin(phase)
    if overtone:
        note = note + overtone * np.sin(2 * phase)
    return note.astype(np.float32)


def _fade(size: int, rise: float, fall: float) -> Samples:
    """Return an envelope that rises and falls over these fractions of its length, without clicks."""
    place = np.linspace(0, 1, size, dtype=np.float32)
    return np.asarray(np.sin(np.pi / 2 * np.minimum(1, np.minimum(place / rise, (1 - place) / fall))) ** 2, np.float32)


def _slow_noise(rng: Generator, size: int, rate_hz: float) -> NDArray[np.float64]:
    """Return noise of unit variance that changes about `rate_hz` times a second."""
    knots = rng.normal(size=int(size / RATE * rate_hz) + 2)
    return np.asarray(np.interp(np.linspace(0, knots.size - 1, size), np.arange(knots.size), knots))


def _place(note: Samples, times_s: ArrayLike, loudness: ArrayLike) -> Samples:
    """Return copies of a note at the given times, each with its loudness."""
    places = np.round(np.asarray(times_s) * RATE).astype(int)
    call = np.zeros(int(places.max()) + note.size, np.float32)
    for place, factor in zip(places, np.asarray(loudness), strict=True):
        call[place : place + note.size] += np.float32(factor) * note
    return call


def _normalize(call: NDArray[np.floating]) -> Samples:
    return np.asarray(call / np.sqrt(np.mean(np.square(call))), np.float32)
