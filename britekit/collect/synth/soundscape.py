"""Synthesize a recording: animals at distances over a background, with exact annotations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from britekit.collect.synth import calls
from britekit.collect.synth.acoustics import background, through_the_air
from britekit.collect.synth.calls import RATE, Generator, Samples
from britekit.collect.synth.sites import Site, at_site
from britekit.collect.synth.species import Species


@dataclass(frozen=True)
class Bout:
    """One animal that calls for a while."""

    species: Species
    start_s: float
    end_s: float
    snr_db: tuple[float, float]
    """Range of levels of calls relative to the background (RMS); near animals are loudest."""
    pause_factor: float = 1.0
    """Factor on the usual silence between calls of the species."""


@dataclass(frozen=True)
class Sounding:
    """Position of a call in a recording, without its echo."""

    species: Species
    start_s: float
    end_s: float


def synthesize(
    rng: Generator, seconds: float, bouts: Sequence[Bout], site: Site | None = None
) -> tuple[Samples, list[Sounding]]:
    """Return the samples of a recording at `RATE`, with a peak below 1, and every call in it.

    Besides the bouts, a plain beep or click of no species sounds about every eight seconds. With a site, all is heard
    as there; annotations are of the calls themselves, without echoes.
    """
    size = round(seconds * RATE)
    around = background(rng, size)
    mix = around if site is None else np.zeros_like(around)
    soundings: list[Sounding] = []
    for bout in bouts:
        soundings += _add_bout(rng, mix, bout)
    for _ in range(int(rng.poisson(seconds / 8))):
        level = np.float32(10 ** (rng.uniform(-8, 6) / 20))
        sound = through_the_air(rng, calls.beep(rng, calls.draw_individual(rng)), float(rng.uniform()))
        _add(mix, level * sound, int(rng.integers(0, size)))
    if site is not None:
        mix = at_site(rng, site, around, mix)
    peak = float(np.max(np.abs(mix)))
    mix *= np.float32(10 ** (rng.uniform(-16, -1) / 20) / peak)
    return mix, sorted(soundings, key=lambda item: (item.start_s, item.species.info.name))


def write_flac(path: Path, samples: Samples) -> None:
    """Write 16-bit FLAC at `RATE`; equal samples give equal bytes."""
    soundfile.write(path, samples, RATE, subtype="PCM_16", format="FLAC")


def _add_bout(rng: Generator, mix: Samples, bout: Bout) -> list[Sounding]:
    one = calls.draw_individual(rng)
    distance = float(rng.uniform())
    low_db, high_db = bout.snr_db
    level = np.float32(10 ** ((high_db - distance * (high_db - low_db)) / 20))
    first = round(bout.start_s * RATE)
    dry = np.zeros(min(mix.size, round(bout.end_s * RATE)) - first, np.float32)
    soundings = []
    place = 0
    while True:
        call = bout.species.call(rng, one)
        if place + call.size > dry.size:
            break
        dry[place : place + call.size] = call * np.float32(10 ** (rng.normal(0, 1.5) / 20))
        start_s = (first + place) / RATE
        soundings.append(Sounding(bout.species, start_s, start_s + call.size / RATE))
        pause_s = rng.uniform(*bout.species.gap_s) * bout.pause_factor
        place += call.size + round(pause_s * RATE)
    if soundings:
        _add(mix, level * through_the_air(rng, dry, distance), first)
    return soundings


def _add(mix: Samples, sound: Samples, place: int) -> None:
    """Add a sound to a recording at an offset; cut it off at the end of the recording."""
    piece = mix[place : place + sound.size]
    piece += sound[: piece.size]
