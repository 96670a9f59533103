"""Queries to sources, and their offers.

A source is a module in ``sources/`` with one function, ``find(row, context)``, that returns `Offer` objects without
fetching audio, and a docstring whose first line describes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from britekit.annotations.segments import Annotation
from britekit.annotations.verdicts import Verdict
from britekit.collect.recordings_table import Details
from britekit.errors import InputError

ANY_CLASS = "*"


@dataclass(frozen=True)
class SourceRow:
    """One row of ``sources.csv``."""

    row: int
    class_name: str
    """Name in the class list, or `ANY_CLASS` if the source provides the classes."""
    source: str
    query: str
    limit: int | None
    split: str
    """``train``, ``test`` or ``unlabelled``."""


@dataclass(frozen=True)
class Offer:
    """A recording that a source can provide."""

    file_name: str
    """File name to store it under."""
    class_name: str
    """Class; ``""`` for a test recording with annotations, and for unlabeled ones."""
    origin: str
    """Origin, for messages and to recognize duplicate offers."""
    fetch: Callable[[Path], Sequence[Annotation] | None]
    """Writes the audio to a path; returns the annotations of the recording, or None."""
    seconds: float | None = None
    details: Details = field(default_factory=Details)
    late_details: Callable[[], Details] | None = None
    """For recordings from the network: returns all details after the download. An existing file of that name is not
    downloaded again."""
    verdicts: tuple[Verdict, ...] = ()
    """Verdicts about parts of a training recording; times are relative to its start."""


def refused(offer: Offer, reason: str) -> Offer:
    """Return an offer that fails with a reason when it is fetched, so that the others are collected."""

    def fetch(target: Path) -> None:
        raise InputError(reason)

    return replace(offer, fetch=fetch, late_details=None)
