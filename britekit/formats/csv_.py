"""CSV: labels of all recordings as ``scores.csv``; annotations as ``annotations.csv``."""

from __future__ import annotations

from collections.abc import Iterable

from britekit.annotations.labels import CSV_COLUMNS
from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import COLUMNS as ANNOTATION_COLUMNS
from britekit.annotations.segments import Annotation, read_annotations
from britekit.annotations.tables import find_header
from britekit.annotations.text_files import TextFile
from britekit.files import csv_text
from britekit.formats._base import Format, Recording, Rows, Writer, format_time


class CsvWriter(Writer):
    """Writes recording, name, start_time, end_time, score, quoted where needed."""

    def begin(self) -> None:
        """Write the header."""
        self.out.write(csv_text([[*COLUMNS, *(FORMAT.marked if self.facts.marks else ())]]).encode())

    def lines(self, recording: Recording, rows: Rows) -> Iterable[str]:
        """Return the lines of one class."""
        head = csv_text([[recording.name, rows.label]])[:-1]
        tails = {False: ",0\n", True: ",1\n"} if self.facts.marks else {False: "\n", True: "\n"}
        return [
            f"{head},{format_time(start)},{format_time(end)},{score:.6f}{tails[confirmed]}"
            for start, end, score, confirmed in zip(rows.starts, rows.ends, rows.scores, rows.confirmed, strict=True)
        ]


def _read(file: TextFile, names: RecordingNames, default_label: str) -> list[Annotation]:
    return read_annotations(file.path, names=names)


_MEANINGS = (
    "path below the input folder, without extension",
    "the label: name, code or an alternate of the class (`infer.label_field`)",
    "seconds, one to six decimals",
    "seconds, one to six decimals",
    "six decimals",
)
COLUMNS = dict(zip(CSV_COLUMNS, _MEANINGS, strict=True))
FORMAT = Format(
    name="csv",
    title="CSV",
    media_type="text/csv; charset=utf-8",
    ending="_scores.csv",
    table="scores.csv",
    columns=COLUMNS,
    marked={"confirmed": "1 for a label below the threshold whose class is confirmed elsewhere, else 0"},
    writer=CsvWriter,
    sniff=lambda lines: find_header(lines, ANNOTATION_COLUMNS) is not None,
    read=_read,
    lists_all=True,
)
