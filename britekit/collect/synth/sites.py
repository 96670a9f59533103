"""Simulate recording sites: each has its own microphone, steady noise, echo, distances and mix of species.

Training recordings are made under one set of conditions; a site changes all of them at once, as moving a recorder
into another valley does. Nothing of a site depends on the species that are trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from britekit.collect.synth.calls import RATE, Generator, Samples

FIRST_UNSEEN = 101
"""Number of the first site of test recordings; those of the archive are numbered from 1."""


@dataclass(frozen=True)
class Site:
    """Conditions at one place; equal for all its recordings."""

    number: int
    gains_db: tuple[float, ...]
    """Response of microphone and housing at `RESPONSE_HZ`."""
    stream: float
    """RMS of running water, relative to the background."""
    stream_hz: tuple[float, float]
    insects: float
    """RMS of a steady chorus of insects, relative to the background."""
    insects_hz: tuple[float, ...]
    echo: float
    """RMS of the echo of a call, relative to the call."""
    echo_s: float
    """Time in which the echo falls to 1/e."""
    level_db: float
    """Change of the level of all calls, since animals are farther away."""
    weights: tuple[float, ...]
    """Share of each species in the animals that call."""

    @property
    def name(self) -> str:
        """Name, which is also the group of its recordings."""
        return f"site-{self.number:03d}"


RESPONSE_HZ = (150.0, 500.0, 1200.0, 2500.0, 5000.0, 10000.0)


def draw_site(seed: int, number: int, species: int) -> Site:
    """Return a site, which depends on the seed, its number and how many species there are."""
    rng = np.random.default_rng((seed, 3, number))
    low_hz = float(rng.uniform(250, 1200))
    center_hz = float(rng.uniform(2200, 7000))
    return Site(
        number,
        gains_db=tuple(rng.normal(0, 5, len(RESPONSE_HZ)).clip(-10, 10).tolist()),
        stream=float(rng.uniform(0.3, 1.2) * (rng.uniform() < 0.6)),
        stream_hz=(low_hz, low_hz * float(rng.uniform(2, 5))),
        insects=float(rng.uniform(0.2, 0.8) * (rng.uniform() < 0.6)),
        insects_hz=(center_hz, center_hz * float(rng.uniform(1.05, 1.3))),
        echo=float(rng.uniform(0.4, 1.5)),
        echo_s=float(rng.uniform(0.05, 0.25)),
        level_db=float(rng.uniform(-5, 2)),
        weights=tuple(rng.dirichlet(np.full(species, 0.8)).tolist()),
    )


def at_site(rng: Generator, site: Site, background: Samples, calls: Samples) -> Samples:
    """Return what the recorder at a site stores, from (n,) background and calls."""
    echoed = calls + site.echo * _echo(rng, site, calls)
    noise = np.zeros(calls.size, np.float32)
    if site.stream:
        noise += site.stream * _band(rng, calls.size, *site.stream_hz)
    for center_hz in site.insects_hz:
        if site.insects:
            chorus = _band(rng, calls.size, center_hz * 0.985, center_hz * 1.015)
            noise += site.insects / np.sqrt(len(site.insects_hz)) * chorus
    level = 10 ** (site.level_db / 20)
    return _respond(site, np.asarray(background + noise + level * echoed, np.float32))


def _echo(rng: Generator, site: Site, calls: Samples) -> Samples:
    """Return the echo of calls with about their RMS."""
    time = np.arange(round(4 * site.echo_s * RATE)) / RATE
    response = rng.normal(size=time.size) * np.exp(-time / site.echo_s)
    response[: round(0.02 * RATE)] = 0
    response /= np.sqrt(np.sum(np.square(response)))
    return np.asarray(signal.oaconvolve(calls, response.astype(np.float32))[: calls.size], np.float32)


def _band(rng: Generator, size: int, low_hz: float, high_hz: float) -> Samples:
    """Return (size,) noise of one band with an RMS of 1."""
    white, frequency_hz = _spectrum(rng.standard_normal(size, np.float32))
    inside = 1 / (1 + (low_hz / np.maximum(frequency_hz, 1.0)) ** 8) / (1 + (frequency_hz / high_hz) ** 8)
    band = fft.irfft(white * inside.astype(np.float32))[:size]
    return np.asarray(band / np.sqrt(np.mean(np.square(band))), np.float32)


def _respond(site: Site, mix: Samples) -> Samples:
    """Return sound through the microphone of a site."""
    found, frequency_hz = _spectrum(mix)
    gains_db = np.interp(np.log(np.maximum(frequency_hz, 1.0)), np.log(RESPONSE_HZ), site.gains_db)
    return np.asarray(fft.irfft(found * (10 ** (gains_db / 20)).astype(np.float32))[: mix.size], np.float32)


def _spectrum(samples: Samples) -> tuple[NDArray[np.complexfloating], NDArray[np.floating]]:
    """Return the spectrum of padded samples, of even length, and the frequency of its lines."""
    padded = fft.next_fast_len(samples.size, real=True)
    padded += padded % 2
    return fft.rfft(samples, padded), np.fft.rfftfreq(padded, 1 / RATE)
