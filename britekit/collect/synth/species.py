"""The imaginary species.

The first six include two pairs that are easily confused: trills of different rates, and rising or falling whistles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from britekit.annotations.classes import ClassInfo
from britekit.collect.synth import calls
from britekit.errors import InputError, suggest

NOISE = ClassInfo("Noise", "NOIS")
"""The class of recordings in which no species calls."""


@dataclass(frozen=True)
class Species:
    """An imaginary species and its calls."""

    info: ClassInfo
    call: Callable[[calls.Generator, calls.Individual], calls.Samples]
    gap_s: tuple[float, float]
    """Shortest and longest silence between two calls of a bout, seconds."""


SPECIES = (
    Species(ClassInfo("Silver Triller", "SITR"), partial(calls.trill, rate_hz=20.0), (0.5, 2.0)),
    Species(ClassInfo("Rising Whistler", "RIWH"), partial(calls.sweep, rising=True), (0.6, 2.2)),
    Species(ClassInfo("Hollow Crow", "HOCR"), calls.stack, (0.6, 2.2)),
    Species(ClassInfo("Copper Triller", "COTR"), partial(calls.trill, rate_hz=11.5), (0.5, 2.0)),
    Species(ClassInfo("Falling Whistler", "FAWH"), partial(calls.sweep, rising=False), (0.6, 2.2)),
    Species(ClassInfo("Log Drummer", "LODR"), calls.drum, (0.8, 2.4)),
    Species(ClassInfo("Wire Buzzer", "WIBU"), calls.buzz, (0.6, 2.2)),
    Species(ClassInfo("Two-note Piper", "TNPI"), calls.two_note, (0.6, 2.2)),
    Species(ClassInfo("Looping Warbler", "LOWA"), calls.warble, (0.6, 2.2)),
    Species(ClassInfo("Pulse Frog", "PUFR"), calls.croak, (0.5, 2.0)),
)


def find_species(name: str) -> Species | None:
    """Find a species by name or code; None for the class Noise.

    Raises `InputError` if no species has that name.
    """
    if name in (NOISE.name, NOISE.code):
        return None
    for species in SPECIES:
        if name in (species.info.name, species.info.code):
            return species
    known = [species.info.name for species in SPECIES] + [NOISE.name]
    raise InputError(
        f'there is no imaginary species "{name}"; expected one of {", ".join(known)}{suggest(name, known)}'
    )


def first_species(count: int) -> Sequence[Species]:
    """Return the first species of the list; raise `InputError` if there are too few."""
    if not 1 <= count <= len(SPECIES):
        raise InputError(f"classes is {count}; expected 1 to {len(SPECIES)} imaginary species")
    return SPECIES[:count]
