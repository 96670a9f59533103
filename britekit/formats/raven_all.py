"""Raven selection tables for all recordings at once, as Raven shows a list of sound files.

``Begin Time (s)`` counts from the start of the first recording through all of them, by name, as if they
followed each other; ``File Offset (s)`` counts within ``Begin File``. It is read as other Raven tables are.
"""

from __future__ import annotations

from pathlib import PurePath

from britekit.formats._base import Format, Recording, one_line
from britekit.formats.raven import BEGIN, END, MARKED, OFFSET, RavenWriter
from britekit.formats.raven import COLUMNS as RAVEN_COLUMNS

COLUMNS = {
    **{name: RAVEN_COLUMNS[name] for name in ("Selection", "View", "Channel")},
    BEGIN: "from the start of the first recording, six decimals",
    END: "from the start of the first recording, six decimals",
    **{name: RAVEN_COLUMNS[name] for name in ("Low Freq (Hz)", "High Freq (Hz)")},
    "Begin Path": "path of the recording",
    "Begin File": "its file name",
    OFFSET: "begin in that file, six decimals",
    **{name: RAVEN_COLUMNS[name] for name in ("Annotation", "Score")},
}


class RavenAllWriter(RavenWriter):
    """Writes one row per label, in the order in which they are heard; recordings follow each other."""

    columns = COLUMNS

    def begin(self) -> None:
        """Write the header."""
        super().begin()
        self._elapsed_s = 0.0

    def place(self, recording: Recording) -> tuple[float, str]:
        """Return the seconds before a recording, and the cells that name its file."""
        path = one_line(recording.path or recording.name)
        return self._elapsed_s, f"{path}\t{PurePath(path).name}"

    def end(self, recording: Recording) -> None:
        """Write the rows of a recording."""
        super().end(recording)
        self._elapsed_s += recording.seconds


FORMAT = Format(
    name="raven-all",
    title="Raven table for all recordings",
    media_type="text/tab-separated-values; charset=utf-8",
    ending=".all.selections.txt",
    table="scores.selections.txt",
    columns=COLUMNS,
    marked=MARKED,
    writer=RavenAllWriter,
)
