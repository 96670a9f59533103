"""The context of a query to a source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from britekit.annotations.classes import ClassInfo
from britekit.collect.download_cache import Downloads
from britekit.collect.offers import SourceRow
from britekit.collect.other_species import OtherSpecies
from britekit.collect.test_recordings import TestRecordings
from britekit.config.misc import MiscConfig
from britekit.errors import InputError


@dataclass(frozen=True)
class Context:
    """Context of a query."""

    classes: Sequence[ClassInfo]
    project: Path
    """Base folder of relative paths in queries."""
    species: OtherSpecies
    """Handles names in annotations that are not in the class list."""
    misc: MiscConfig = field(default_factory=MiscConfig)
    downloads: Downloads | None = None
    window_s: float = 5.0
    """Length of a spectrogram, in seconds."""
    test: TestRecordings | None = None
    """The recordings that are tested; known to sources that are asked after all others."""

    def network(self, row: SourceRow) -> Downloads:
        """Return the session and cache for sources on the network.

        Raises
        ------
        InputError
            The caller provided none.
        """
        if self.downloads is None:
            raise InputError(f'source "{row.source}" needs the network, which is not available here')
        return self.downloads
