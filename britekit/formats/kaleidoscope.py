"""CSV as Wildlife Acoustics' Kaleidoscope reads it: exactly its columns, since others would hide the rest.

Kaleidoscope opens it as results and shows each row in its recording. A smaller distance is a better match, so
TOP1DIST is 1 - score.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath

from britekit.files import csv_text
from britekit.formats._base import Format, Recording, Rows, Writer, format_time


class KaleidoscopeWriter(Writer):
    """Writes the columns of Kaleidoscope, quoted where needed."""

    def begin(self) -> None:
        """Write the header."""
        self.out.write(csv_text([COLUMNS]).encode())

    def lines(self, recording: Recording, rows: Rows) -> Iterable[str]:
        """Return the lines of one class."""
        folders = PurePosixPath(recording.name).parts[:-1]
        path = PurePath(recording.path or PurePosixPath(recording.name).name)
        above = path.parent.parts
        if folders and above[-len(folders) :] == folders:
            above = above[: -len(folders)]
        root = str(PurePath(*above)) if above else ""
        head = csv_text([[root, "/".join(folders), path.name]])[:-1]
        label = csv_text([["", rows.label]])[:-1]
        columns = zip(rows.starts, rows.ends, rows.scores, strict=True)
        return [
            f"{head},{format_time(start)},{format_time(end - start)}{label},{1.0 - score:.6f}\n"
            for start, end, score in columns
        ]


COLUMNS = {
    "INDIR": "the input folder",
    "FOLDER": "the recording's folder below it",
    "IN FILE": "the recording's file name",
    "OFFSET": "seconds, one to six decimals",
    "DURATION": "seconds, one to six decimals",
    "TOP1MATCH": "the label",
    "TOP1DIST": "1 - score, six decimals",
}
FORMAT = Format(
    name="kaleidoscope",
    title="Kaleidoscope CSV",
    media_type="text/csv; charset=utf-8",
    ending="_kaleidoscope.csv",
    table="kaleidoscope.csv",
    columns=COLUMNS,
    writer=KaleidoscopeWriter,
)
