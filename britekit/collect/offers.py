"""What a source is asked for, and what it offers in return.

A source is a module in ``sources/`` with one function, ``find(row, context)``, that returns `Offer` objects
without fetching any audio, and a docstring whose first line says what it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from britekit.annotations.classes import ClassInfo
from britekit.annotations.segments import Annotation
from britekit.annotations.verdicts import Verdict
from britekit.collect.recordings_table import Details
from britekit.config.misc import MiscConfig
from britekit.errors import InputError

if TYPE_CHECKING:
    from britekit.collect.download_cache import Downloads
    from britekit.collect.other_species import OtherSpecies
    from britekit.collect.test_recordings import TestRecordings

ANY_CLASS = "*"


@dataclass(frozen=True)
class SourceRow:
    """One row of ``sources.csv``."""

    row: int
    class_name: str
    """Name in the class list, or `ANY_CLASS` where the source itself knows the classes."""
    source: str
    query: str
    limit: int | None
    split: str
    """``train`` or ``test``."""


@dataclass(frozen=True)
class Context:
    """What every source may want to know."""

    classes: Sequence[ClassInfo]
    project: Path
    """Relative paths in queries begin here."""
    species: "OtherSpecies"
    """Decides about names in annotations that are not in the class list."""
    misc: MiscConfig = field(default_factory=MiscConfig)
    downloads: "Downloads | None" = None
    window_s: float = 5.0
    """Length of a spectrogram, in seconds."""
    test: "TestRecordings | None" = None
    """The recordings that are tested; known to sources that are asked after all others."""

    def network(self, row: "SourceRow") -> "Downloads":
        """Return what sources on the network need.

        Raises
        ------
        InputError
            The list is read by somebody who brought none.
        """
        if self.downloads is None:
            raise InputError(f'source "{row.source}" needs the network, which was not offered here')
        return self.downloads


@dataclass(frozen=True)
class Offer:
    """A recording that a source can give."""

    file_name: str
    """Name to store it under, with extension."""
    class_name: str
    """Its class; ``""`` for a test recording that brings annotations."""
    origin: str
    """Where it comes from, for messages and to recognise the same recording offered twice."""
    fetch: Callable[[Path], Sequence[Annotation] | None]
    """Writes the audio to a path; returns the recording's annotations, or None if it has none."""
    seconds: float | None = None
    details: Details = field(default_factory=Details)
    late_details: Callable[[], Details] | None = None
    """For a recording of the network: gives all details once it was fetched. What bears its name already is
    it, and is not fetched again."""
    verdicts: tuple[Verdict, ...] = ()
    """What is known of a training recording of which only stretches were judged; times are its own."""
