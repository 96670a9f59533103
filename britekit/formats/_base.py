"""Building blocks of text formats: rows of labels, facts about a run, and a writer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import Annotation
from britekit.annotations.text_files import TextFile

if TYPE_CHECKING:
    import numpy as np

    from britekit.annotations.recording_info import RecordingInfo

# Rows are handed on in pieces, so that memory does not grow with their number.
_MOST_ROWS = 1 << 16
_KINDS = ("<f8", "<f8", "<f4", "?")
_LINE_BREAKS = dict.fromkeys((*range(32), 0x7F, 0x85, 0x2028, 0x2029), " ")


class Sink(Protocol):
    """A target for bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them."""


@dataclass(frozen=True)
class Recording:
    """A recording that labels are about."""

    name: str
    """Name in the output: its path below the input folder, without extension."""
    path: str = ""
    """Where it lies; its file name alone, or nothing, where that is not known."""
    seconds: float = 0.0
    """Its length."""
    damaged_at: float | None = None
    """Second at which a damaged recording ends; None if it is whole."""
    info: RecordingInfo | None = None
    """Time and place; None if not requested."""
    channel: int | None = None
    """Which channel the labels are about, from 1; None: channels were mixed, or one was chosen."""


@dataclass(frozen=True)
class Facts:
    """Facts about all labels of a run."""

    low_hz: float = 0.0
    high_hz: float = 0.0
    """Lowest and highest frequency that the models see, since labels name none."""
    marks: bool = False
    """Whether labels below the threshold may be there (`Rows.confirmed`), so that tables have a column."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further facts that a format shows: ``model``, ``calibrated``, ``threshold``, and ``thresholds`` by class name."""


@dataclass(frozen=True)
class Rows:
    """Labels of one class in one recording, by columns, in ascending order of start, then end."""

    label: str
    """Name of a class that labels show (`infer.label_field`)."""
    class_name: str
    class_code: str
    starts: Sequence[float]
    ends: Sequence[float]
    """Seconds."""
    scores: Sequence[float]
    """0 to 1."""
    confirmed: Sequence[bool]
    """Below the threshold, and kept because the class is confirmed elsewhere in the recording."""
    more: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Further columns of plain values, by name, which a format may show."""
    arrays: Sequence[Any] = field(default=(), repr=False, compare=False)
    """Starts, ends, scores and confirmed as arrays, where they came so: `to_bytes` takes them as they are."""

    def __len__(self) -> int:
        return len(self.starts)

    def to_bytes(self) -> bytes:
        """Return the rows as `read_rows` reads them: numbers as they are in memory, the rest as JSON."""
        import numpy as np

        head = [self.label, self.class_name, self.class_code, len(self), {k: list(v) for k, v in self.more.items()}]
        columns = self.arrays or (self.starts, self.ends, self.scores, self.confirmed)
        arrays = [np.asarray(column, kind) for column, kind in zip(columns, _KINDS, strict=True)]
        return json.dumps(head).encode() + b"\n" + b"".join(array.tobytes() for array in arrays)


def read_rows(stream: BinaryIO, end: int) -> Iterator[Rows]:
    """Yield what `Rows.to_bytes` gave, from where a stream stands up to a position."""
    import numpy as np

    while stream.tell() < end:
        label, class_name, class_code, count, more = json.loads(stream.readline())
        starts, ends, scores, confirmed = (
            np.frombuffer(stream.read(np.dtype(kind).itemsize * count), kind).tolist() for kind in _KINDS
        )
        yield Rows(label, class_name, class_code, starts, ends, scores, confirmed, more)


def in_pieces(label: str, class_name: str, class_code: str, *columns: np.ndarray) -> Iterator[Rows]:
    """Yield rows of one class in pieces of bounded size; columns: starts, ends, scores, confirmed."""
    for at in range(0, len(columns[0]), _MOST_ROWS):
        arrays = [column[at : at + _MOST_ROWS] for column in columns]
        starts, ends, scores, confirmed = (array.tolist() for array in arrays)
        yield Rows(label, class_name, class_code, starts, ends, scores, confirmed, arrays=arrays)


def grouped(labels: Iterable[tuple[str, str, str, float, float, float, bool]]) -> Iterator[Rows]:
    """Yield labels in the order of label files.

    Each is label, class name, class code, start, end, score, confirmed.
    """
    ordered = sorted(labels, key=lambda row: (row[0], row[3], row[4]))
    for label, group in itertools.groupby(ordered, key=lambda row: row[0]):
        _, names, codes, starts, ends, scores, confirmed = zip(*group, strict=True)
        yield Rows(label, names[0], codes[0], starts, ends, scores, confirmed)


class Writer:
    """Writes labels in one format; the base class writes each piece of rows as lines of text.

    Parameters
    ----------
    out
        Takes the bytes.
    facts
        What is the same for all labels.
    """

    def __init__(self, out: Sink, facts: Facts) -> None:
        self.out = out
        self.facts = facts
        self.begin()

    def begin(self) -> None:
        """Write what stands above all rows."""

    def lines(self, recording: Recording, rows: Rows) -> Iterable[str]:
        """Return the rows as lines of text, each with its line end."""
        raise NotImplementedError

    def add(self, recording: Recording, rows: Rows) -> None:
        """Write labels of a recording; classes come in the order of their labels."""
        if len(rows):
            self.out.write("".join(self.lines(recording, rows)).encode())

    def end(self, recording: Recording) -> None:
        """Finish a recording, which may have had no rows."""

    def close(self) -> None:
        """Finish the file."""


@dataclass(frozen=True)
class Format:
    """A format of text files (or of tables)."""

    name: str
    """Name for `--rtype` and the service's `format`."""
    title: str
    """Name for users."""
    media_type: str
    ending: str
    """Behind the name of a recording, for its file."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns in order, with what they hold."""
    marked: Mapping[str, str] = field(default_factory=dict)
    """Further columns where labels below the threshold may be there."""
    version: int = 1
    """Changes with the columns."""
    writer: Callable[[Sink, Facts], Writer] | None = None
    """None for a format that is only read."""
    table: str = ""
    """Name of the one file for all recordings; empty for a format with a file per recording."""
    own_name: bool = True
    """Whether the name alone tells that a file holds detections; otherwise its first line must, too."""
    sniff: Callable[[Sequence[str]], bool] | None = None
    """Tells from the first lines of a file whether it holds annotations of this format."""
    sniff_last: bool = False
    """Whether others are asked first, since this one takes almost anything."""
    read: Callable[[TextFile, RecordingNames, str], list[Annotation]] | None = None
    """Reads annotations: the text, the recordings that may be meant, what an unnamed label means."""
    lists_all: bool = False
    """Whether annotations say which recordings belong to a set."""

    def render(self, recording: Recording, rows: Iterable[Rows], facts: Facts) -> bytes:
        """Return the file of one recording."""
        import io

        assert self.writer is not None
        out = io.BytesIO()
        writer = self.writer(out, facts)
        for piece in rows:
            writer.add(recording, piece)
        writer.end(recording)
        writer.close()
        return out.getvalue()


def one_line(text: str) -> str:
    """Return a text with blanks for line breaks, tabs and other characters of control."""
    return text if text.isprintable() else text.translate(_LINE_BREAKS)


def format_time(seconds: float) -> str:
    """Write a time with as many decimals as it needs, at least one and at most six."""
    text = f"{seconds:.6f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
