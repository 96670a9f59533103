"""Raven selection tables: one row per box that a person drew, separated by tabs.

A table is about one recording, told by its name, or about several, told by the column ``Begin File``. With several,
``Begin Time (s)`` counts from the start of the first file, and ``File Offset (s)`` within each. Tables saved with
commas, semicolons or spaces, decimal commas and lines above the header are accepted, and reported.
"""

import csv
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PureWindowsPath

from britekit.annotations.labels import RAVEN_ENDING
from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import Annotation, parse_stretch, raise_for_rows, without_repeats
from britekit.annotations.tables import HEADING_LINES, parse_number, shown_line
from britekit.annotations.text_files import TextFile, with_points
from britekit.errors import InputError, suggest
from britekit.formats._base import Format, Recording, Rows, Writer, one_line

BEGIN, END = "Begin Time (s)", "End Time (s)"
OFFSET = "File Offset (s)"
# What people and programs call the column of classes, the likeliest first; compared without case and spaces.
CLASS_COLUMNS = (
    "Annotation", "Annotations", "Species", "Species Name", "Common Name", "Label", "Labels", "Class",
    "Class Name", "Tag", "Tags", "Sound Type", "Call Type", "Species Code", "Code", "ID",
    "Scientific Name", "Type", "Name",
)  # fmt: skip
_FILE_COLUMNS = ("Begin File", "Begin Path", "File", "Filename")
_SEPARATORS = {"tabs": "\t", "semicolons": ";", "commas": ",", "spaces": " "}

log = logging.getLogger(__name__)


def find_raven_header(lines: Sequence[str]) -> tuple[int, str] | None:
    """Return how many lines stand above the header of a selection table and what separates its columns."""
    for above, line in enumerate(lines[:HEADING_LINES]):
        for separator in _SEPARATORS:
            cells = {_plain(cell) for cell in _cells_of(line, separator)}
            if {_plain(BEGIN), _plain(END)} <= cells:
                return above, separator
    return None


def _cells_of(line: str, separator: str) -> list[str]:
    if separator == "tabs":
        cells = line.split("\t")
    elif separator == "spaces":  # names of columns hold single ones
        cells = re.split(r"\s{2,}", line.strip())
    else:
        try:
            cells = next(csv.reader([line], delimiter=_SEPARATORS[separator], strict=True), [])
        except csv.Error:
            cells = [line]
    return [cell.strip() for cell in cells]


def read_raven_table(
    file: TextFile, names: RecordingNames, default_label: str = "", class_column: str | None = None
) -> list[Annotation]:
    """Read a Raven selection table.

    Rows that repeat a selection in another view or channel count once. A box that ends in another file than
    it begins in says so (`Annotation.ends_in`), since only their lengths tell where to split it. A row
    without a class keeps its times, with an empty label: a sound without a name. An empty table
    gives one row without times, which says that the recording was listened to.

    Parameters
    ----------
    names
        Recordings, of which the file's name or its rows tell one.
    default_label
        What a row without a class means; with it the column of classes may be missing.
    class_column
        Column that holds the class; default: the first of `CLASS_COLUMNS` that the table has and fills.

    Raises
    ------
    InputError
        No times, no class column, several files without ``File Offset (s)``, or rows with impossible times;
        names the rows, counted from the top of the file.
    """
    path = file.path
    place = find_raven_header(file.lines)
    if place is None:
        raise InputError(
            f"{path} is not a Raven selection table; expected a first line with the columns {BEGIN} and "
            f"{END}, separated by tabs"
        )
    above, separator = place
    for number, line in enumerate(file.lines[:above], start=1):
        if line.strip():
            file.note(f"row {number} is a heading: {shown_line(line)}")
    if separator != "tabs":
        file.note(f"columns are separated by {separator}")
    header = _cells_of(file.lines[above], separator)
    rows = _rows(file, above + 1, len(header), separator)
    columns = _Columns(file, header, rows, class_column, not default_label)
    own = names.of_label_file(path)
    files = {columns.file_of(cells) for _, cells in rows} - {""}
    if len(files) == 1 and names.find(own) and not names.find(PureWindowsPath(*files).name):
        file.note(f'"Begin File" names {files.pop()}; read as {own}, as the table is called')
        files.clear()
    if not rows:
        file.report()
        return [Annotation(own, "", 0.0, 0.0, above + 1, str(path))]
    found: dict[tuple[str, str, str, float, float], Annotation] = {}
    problems, unnamed = [], []
    for number, cells in rows:
        name = columns.file_of(cells)
        recording = names.named(PureWindowsPath(name).name) if name and files else own
        label = columns.label_of(cells) or default_label
        try:
            start, end = columns.times_of(cells)
        except ValueError as error:
            problems.append(f"row {number}: {error}")
            continue
        if not label:
            unnamed.append(number)
        selection = columns.selection_of(cells) or f"row {number}"
        key = (recording, label, selection, start, end)
        last = columns.last_file_of(cells)
        ends_in = names.named(PureWindowsPath(last).name) if last and files else recording
        ends_in = "" if ends_in == recording else ends_in
        found.setdefault(key, Annotation(recording, label, start, end, number, str(path), ends_in))
    raise_for_rows(path, problems)
    file.report()
    if unnamed:
        listed = ", ".join(map(str, unnamed[:5])) + (", …" if unnamed[5:] else "")
        log.warning(
            "%s: %d of %d rows name no class in %s (row %s)",
            path, len(unnamed), len(rows), columns.label, listed,
        )  # fmt: skip
    return without_repeats(path, found.values())


class _Columns:
    """Where in a row the values stand."""

    def __init__(
        self,
        file: TextFile,
        header: list[str],
        rows: Sequence[tuple[int, list[str]]],
        wanted: str | None,
        required: bool,
    ) -> None:
        path = file.path
        self._required = required
        self._header = header
        self._place = {_plain(name): place for place, name in reversed(list(enumerate(header)))}
        self.label = self._class_column(path, rows, wanted)
        self._with_points(file, rows)
        self._files = [name for name in _FILE_COLUMNS if _plain(name) in self._place]
        names = {self.file_of(cells) for _, cells in rows}
        self._in_file = _plain(OFFSET) in self._place
        if len(names) > 1 and not self._in_file:
            raise InputError(
                f"{path} is about {len(names)} recordings, but its times count from the start of the first; "
                f'add the column "{OFFSET}" in Raven and save the table again'
            )

    def _with_points(self, file: TextFile, rows: Sequence[tuple[int, list[str]]]) -> None:
        """Put points for decimal commas in the columns of times."""
        places = [self._place[_plain(name)] for name in (BEGIN, END, OFFSET) if _plain(name) in self._place]
        spots = [(cells, place) for _, cells in rows for place in places if place < len(cells)]
        texts, commas = with_points(cells[place] for cells, place in spots)
        if commas:
            file.note("numbers have decimal commas")
            for (cells, place), text in zip(spots, texts, strict=True):
                cells[place] = text

    def _class_column(self, path: object, rows: Sequence[tuple[int, list[str]]], wanted: str | None) -> str:
        if wanted is not None:
            if _plain(wanted) not in self._place:
                raise InputError(f'{path} has no column "{wanted}"{suggest(wanted, self._header)}')
            return wanted
        present = [name for name in CLASS_COLUMNS if _plain(name) in self._place]
        filled = [name for name in present if any(self._cell(cells, name) for _, cells in rows)]
        if not present and rows and self._required:
            found = ", ".join(name for name in self._header if name)
            raise InputError(
                f"{path} has no column of classes (it has {found}); expected one called {CLASS_COLUMNS[0]}, "
                f"{', '.join(CLASS_COLUMNS[2:9:2])} or the like"
            )
        return (filled or present or [CLASS_COLUMNS[0]])[0]

    def _cell(self, cells: list[str], name: str) -> str:
        place = self._place.get(_plain(name))
        return "" if place is None or place >= len(cells) else cells[place]

    def label_of(self, cells: list[str]) -> str:
        return self._cell(cells, self.label)

    def file_of(self, cells: list[str]) -> str:
        return next(filter(None, (self._cell(cells, name) for name in self._files)), "")

    def last_file_of(self, cells: list[str]) -> str:
        return self._cell(cells, "End File") or self._cell(cells, "End Path")

    def selection_of(self, cells: list[str]) -> str:
        return self._cell(cells, "Selection")

    def times_of(self, cells: list[str]) -> tuple[float, float]:
        start, end = parse_stretch(self._cell(cells, BEGIN), self._cell(cells, END), (BEGIN, END))
        if not self._in_file:
            return start, end
        text = self._cell(cells, OFFSET)
        try:
            offset = parse_number(text)
        except ValueError:
            offset = -1.0
        if offset < 0:
            raise ValueError(f'{OFFSET} is "{text}"; expected a number of seconds, 0 or more')
        return offset, offset + (end - start)


def _rows(file: TextFile, first: int, width: int, separator: str) -> list[tuple[int, list[str]]]:
    rows = []
    for number, cells in _split_rows(file, first, separator):
        if not any(cells):
            continue
        if any(cells[width:]) or separator == "spaces" and len(cells) != width:
            raise InputError(
                f"{file.path}, row {number}: {len(cells)} cells, but the header names {width} columns; "
                f"a value may contain no {separator[:-1] if separator != 'spaces' else 'tab'}"
            )
        rows.append((number, cells))
    return rows


def _split_rows(file: TextFile, first: int, separator: str) -> Iterable[tuple[int, list[str]]]:
    if separator in ("tabs", "spaces"):
        for number, line in enumerate(file.lines[first:], start=first + 1):
            yield number, _cells_of(line, separator) if line.strip() else []
        return
    lines = (f"{line}\n" for line in file.lines[first:])
    reader = csv.reader(lines, delimiter=_SEPARATORS[separator], strict=True)
    number = first + 1
    try:
        for cells in reader:
            yield number, [cell.strip() for cell in cells]
            number = first + reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{file.path}, row {number}: not valid CSV ({error}); check the quotes there") from None


def _plain(name: str) -> str:
    return "".join(name.split()).casefold().replace("_", "")


COLUMNS = {
    "Selection": "number of the label in the file",
    "View": "Spectrogram 1",
    "Channel": "the channel that was analyzed by itself, else 1",
    BEGIN: "six decimals",
    END: "six decimals",
    "Low Freq (Hz)": "lowest frequency that the models see, one decimal",
    "High Freq (Hz)": "highest frequency that the models see, one decimal",
    "Annotation": "the label",
    "Score": "six decimals",
}
MARKED = {"Confirmed": "yes for a label below the threshold whose class is confirmed elsewhere, else no"}


class RavenWriter(Writer):
    """Writes one row per label, in the order in which they are heard."""

    columns: Mapping[str, str] = COLUMNS

    def begin(self) -> None:
        """Write the header."""
        self._number = 0
        self._boxes: list[tuple[float, float, str, float, bool]] = []
        columns = [*self.columns, *(MARKED if self.facts.marks else ())]
        self.out.write(("\t".join(columns) + "\n").encode())

    def add(self, recording: Recording, rows: Rows) -> None:
        """Keep the rows until all classes of a recording are there."""
        label = one_line(rows.label)
        columns = zip(rows.starts, rows.ends, rows.scores, rows.confirmed, strict=True)
        self._boxes += [(start, end, label, score, confirmed) for start, end, score, confirmed in columns]

    def end(self, recording: Recording) -> None:
        """Write the rows of a recording."""
        self._boxes.sort(key=lambda box: (box[0], box[2]))
        # With a decimal, as Raven writes them: crowsetta refuses whole numbers.
        band = f"{self.facts.low_hz:.1f}\t{self.facts.high_hz:.1f}"
        tails = {False: "\tno\n", True: "\tyes\n"} if self.facts.marks else {False: "\n", True: "\n"}
        before_s, file = self.place(recording)
        for start, end, label, score, confirmed in self._boxes:
            self._number += 1
            times = f"{before_s + start:.6f}\t{before_s + end:.6f}"
            where = f"\t{file}\t{start:.6f}" if file else ""
            view = f"{self._number}\tSpectrogram 1\t{recording.channel or 1}"
            row = f"{view}\t{times}\t{band}{where}\t{label}\t{score:.6f}"
            self.out.write((row + tails[confirmed]).encode())
        self._boxes.clear()

    def place(self, recording: Recording) -> tuple[float, str]:
        """Return the seconds before a recording, and the cells that name its file."""
        return 0.0, ""


FORMAT = Format(
    name="raven",
    title="Raven selection table",
    media_type="text/tab-separated-values; charset=utf-8",
    ending=RAVEN_ENDING,
    columns=COLUMNS,
    marked=MARKED,
    writer=RavenWriter,
    own_name=False,  # people's own tables are called so as well
    sniff=lambda lines: find_raven_header(lines) is not None,
    read=read_raven_table,
)
