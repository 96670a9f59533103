"""Labels by columns: millions of them in seconds and in some 30 bytes each.

A test at min_score 0 has a label for every class in every window, tens of millions of rows. Tables and label files as
analyze writes them are parsed as arrays of bytes; whatever looks different (quotes, signs, other programs' forms,
mistakes) is left to the reader of `labels.py`, which takes any form and names what is wrong. M: labels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.detection_tables import find_detections, read_batches
from britekit.annotations.labels import (
    CSV_COLUMNS,
    Label,
    examined_recordings,
    find_label_table,
    label_texts,
    read_label_csv,
    read_label_text,
)
from britekit.audio.files import name_key
from britekit.config.yaml_reader import load_plain

_BLOCK_BYTES = 1 << 22
# Digits of a number must fit a double exactly, or its last bit could differ from what Python reads.
_MOST_DIGITS = 15
_COMMA, _TAB, _SEMICOLON, _DOT, _QUOTE, _NEWLINE = b',\t;."\n'


@dataclass(frozen=True)
class LabelTable:
    """Labels of any number of recordings, in the order of the files."""

    recordings: list[str]
    """Stems with accents composed, in order of appearance; a label file without labels counts too."""
    names: list[str]
    """Names of labels, in order of appearance."""
    recording_M: NDArray[np.int32]
    name_M: NDArray[np.int32]
    """(M,) indexes into both lists."""
    start_M: NDArray[np.floating]
    end_M: NDArray[np.floating]
    """(M,) seconds; in single precision where that holds all of them exactly."""
    score_M: NDArray[np.float32]
    """(M,) 0 to 1; 0 where a file gives none."""

    def __len__(self) -> int:
        return len(self.recording_M)


def read_label_table(directory: str | Path) -> LabelTable:
    """Read the labels of a directory, whatever program wrote them.

    Takes what `read_labels` takes, and the tables of ``analyze --rtype detections``; raises what it raises.
    """
    builder = _Builder()
    directory = Path(directory)
    detections = None if (directory / "scores.csv").is_file() else find_detections(directory)
    table = None if detections is not None else find_label_table(directory)
    if detections is not None:
        builder.add_detections(detections, _name_column(directory))
    elif table is not None:
        builder.add_file(table, None)
        if table.name == "scores.csv":  # which has no row of a recording in which nothing was detected
            for recording in examined_recordings(table.parent):
                builder.recordings.setdefault(recording, len(builder.recordings))
    else:
        for path, recording in label_texts(directory):
            builder.recordings.setdefault(recording, len(builder.recordings))
            builder.add_file(path, recording)
    return builder.finish()


class _NotPlain(Exception):
    """The file has a form that only the careful reader understands."""


class _Names(dict[str, int]):
    """Gives each new text the next number."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]


class _Column:
    """A column that grows. Only what was written takes memory, so there is room for twice of it."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._values: NDArray = np.empty(0, kind)
        self.size = 0

    def extend(self, values: NDArray) -> None:
        kind = np.promote_types(self._values.dtype, values.dtype)
        if kind != self._values.dtype:  # times in single precision so far, until some needed more
            self._values = self._values.astype(kind)
        size = self.size + len(values)
        if size > len(self._values):
            larger = np.empty(max(size, 2 * len(self._values)), self._values.dtype)
            larger[: self.size] = self._values[: self.size]
            self._values = larger
        self._values[self.size : size] = values
        self.size = size

    def values(self) -> NDArray:
        return self._values[: self.size]


class _Builder:
    """Collects labels, the numbers already in their final types."""

    def __init__(self) -> None:
        self.recordings, self.names = _Names(), _Names()
        self._columns = [_Column(kind) for kind in (np.int32, np.int32, np.float32, np.float32, np.float32)]

    def add_file(self, path: Path, recording: str | None) -> None:
        """Add a table (no recording given) or the label file of a recording."""
        size, known = self._columns[0].size, (len(self.recordings), len(self.names))
        try:
            for block in _read_ahead(_plain_csv(path) if recording is None else _plain_text(path)):
                self._add_block(block, recording)
        except (_NotPlain, OSError):
            for column in self._columns:
                column.size = size
            for texts, count in zip((self.recordings, self.names), known, strict=True):
                for text in list(texts)[count:]:
                    del texts[text]
            self._add_labels(read_label_csv(path) if recording is None else read_label_text(path, recording))

    def add_detections(self, path: Path, name_column: str) -> None:
        """Add a table of detections."""
        for recordings, recording, names, name, start, end, score in read_batches(path, name_column):
            places = [
                np.array([known[text] for text in texts], np.int32)
                for known, texts in ((self.recordings, recordings), (self.names, names))
            ]
            columns = (_taken(places[0], recording), _taken(places[1], name), _short(start), _short(end), score)
            self._add(*columns)

    def _add_block(self, block: _Parsed, recording: str | None) -> None:
        if recording is None:
            recordings = block.recording.numbered(self.recordings)
        else:
            recordings = np.full(len(block.score), self.recordings[recording], dtype=np.int32)
        self._add(recordings, block.name.numbered(self.names), block.start, block.end, block.score)

    def _add_labels(self, labels: Iterable[Label]) -> None:
        found = list(labels)
        self._add(
            np.array([self.recordings[x.recording] for x in found], dtype=np.int32),
            np.array([self.names[x.name] for x in found], dtype=np.int32),
            _short(np.array([x.start for x in found], dtype=np.float64)),
            _short(np.array([x.end for x in found], dtype=np.float64)),
            np.array([x.score for x in found], dtype=np.float32),
        )

    def _add(self, *values: NDArray) -> None:
        for column, added in zip(self._columns, values, strict=True):
            column.extend(added)

    def finish(self) -> LabelTable:
        recordings, *rest = (column.values() for column in self._columns)
        composed_names = _Names()
        place = np.array([composed_names[name_key(name)] for name in self.recordings], dtype=np.int32)
        if list(composed_names) != list(self.recordings):
            recordings = place[recordings]
        return LabelTable(list(composed_names), list(self.names), recordings, *rest)


def _taken(places: NDArray[np.int32], rows: NDArray[np.integer]) -> NDArray[np.int32]:
    return places[rows] if len(places) else np.zeros(0, np.int32)


def _name_column(directory: Path) -> str:
    """Return what labels beside a table of detections call a class: its code if the manifest says so, else its name."""
    try:
        manifest = load_plain((directory / "manifest.yaml").read_text(encoding="utf-8"))
        field = manifest["inference"]["label_field"]
    except (OSError, ValueError, KeyError, TypeError):
        return "class"
    return "code" if field == "codes" else "class"


def _short(seconds: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return times in single precision if none changes by that, as starts of windows rarely do."""
    short = seconds.astype(np.float32)
    return short if np.array_equal(short, seconds) else seconds


@dataclass(frozen=True)
class _Runs:
    """A column of texts as runs of equal ones."""

    texts: list[str]
    lengths: NDArray[np.int64]

    def numbered(self, known: _Names) -> NDArray[np.int32]:
        """Return the number of each row's text, in order of first appearance."""
        return np.repeat(np.array([known[text] for text in self.texts], dtype=np.int32), self.lengths)


@dataclass(frozen=True)
class _Parsed:
    """Some rows."""

    recording: _Runs
    """No runs in a label file, whose name tells the recording."""
    name: _Runs
    start: NDArray[np.floating]
    end: NDArray[np.floating]
    score: NDArray[np.float32]


def _read_ahead(blocks: Iterator[tuple[bytes, Sequence[str], bytes]]) -> Iterator[_Parsed]:
    """Parse blocks on two threads, since numpy works without the interpreter; yields them in order."""
    with ThreadPoolExecutor(2) as pool:
        waiting: deque[Future[_Parsed]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(_parse, *block))
                if len(waiting) > 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _parse(data: bytes, columns: Sequence[str], separators: bytes) -> _Parsed:
    block = _Block(data, columns, separators)
    start, end, score = (block.numbers(key) for key in ("start_time", "end_time", "score"))
    if np.any(end < start) or np.any(score > 1):
        raise _NotPlain
    recording = block.texts("recording") if "recording" in columns else _Runs([], np.zeros(0, np.int64))
    return _Parsed(recording, block.texts("name"), _short(start), _short(end), score.astype(np.float32))


class _Block:
    """Some lines of a file as bytes, and where in them each field begins and ends."""

    def __init__(self, data: bytes, columns: Sequence[str], separators: bytes) -> None:
        # Fields are looked at byte by byte up to the longest: a little room behind the last line.
        self._bytes = np.frombuffer(data + b"\n" * 64, dtype=np.uint8)
        content = self._bytes[: len(data)]
        ends = np.flatnonzero(content == _NEWLINE)
        count = len(columns) - 1
        apart = content == separators[0]
        for other in set(separators[1:]) - {separators[0]}:
            apart |= content == other
        found = np.flatnonzero(apart)
        if len(found) != count * len(ends) or np.any(content == _QUOTE):
            raise _NotPlain
        places = found.reshape(len(ends), count)
        starts = np.concatenate([[0], ends[:-1] + 1])
        if np.any(places[:, 0] < starts) or np.any(places[:, -1] > ends):
            raise _NotPlain
        if len(set(separators)) > 1 and np.any(content[places] != np.frombuffer(separators, np.uint8)):
            raise _NotPlain
        self._begin = {name: starts if k == 0 else places[:, k - 1] + 1 for k, name in enumerate(columns)}
        self._end = {name: ends if k == count else places[:, k] for k, name in enumerate(columns)}

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Read plain decimal numbers, exactly as `float` would."""
        begin, width = self._field(column)
        if not len(width) or width.min() < 1 or width.max() > _MOST_DIGITS + 1:
            raise _NotPlain
        widths = np.flatnonzero(np.bincount(width))
        if len(widths) == 1:
            return self._numbers_of(begin, int(widths[0]))
        values = np.empty(len(width))
        for each in widths:
            rows = np.flatnonzero(width == each)
            values[rows] = self._numbers_of(begin[rows], int(each))
        return values

    def _numbers_of(self, begin: NDArray[np.int64], width: int) -> NDArray[np.float64]:
        """Read numbers of one width."""
        at = begin.copy()
        value = np.zeros(len(at), dtype=np.int64)
        decimals: int | NDArray[np.int64] = -1  # no point so far
        for _ in range(width):
            letter = self._bytes[at]
            at += 1
            digit = letter - np.uint8(48)  # wraps around below "0"
            if digit.max() < 10:
                value *= 10
                value += digit
                decimals = decimals + (decimals >= 0)
                continue
            point = letter == _DOT
            if np.any((digit > 9) & ~point) or np.any(point & (decimals >= 0)) or width == 1:
                raise _NotPlain
            if isinstance(decimals, int) and point.all():
                decimals = 0
                continue
            # Points in different places: 1.25 and 12.5
            value = np.where(point, value, value * 10 + digit)
            decimals = np.where(point, 0, decimals + (np.asarray(decimals) >= 0))
        # Both are exact, so their quotient is the nearest double.
        return value / 10.0 ** np.maximum(decimals, 0)

    def texts(self, column: str) -> _Runs:
        """Read texts."""
        begin, width = self._field(column)
        if not len(width) or width.min() < 1 or width.max() > 60:
            raise _NotPlain
        # In sorted tables long runs are equal: only their first is turned into text.
        same = width[1:] == width[:-1]
        for k in range(int(width.max())):
            letter = self._bytes[begin + k]
            same &= (letter[1:] == letter[:-1]) | (k >= width[1:])
        firsts = np.flatnonzero(np.concatenate([[True], ~same]))
        content = self._bytes.tobytes()
        places = zip(begin[firsts].tolist(), width[firsts].tolist(), strict=True)
        try:
            texts = [content[at : at + length].decode() for at, length in places]
        except UnicodeDecodeError:
            raise _NotPlain from None
        if any(text != text.strip() for text in texts):
            raise _NotPlain
        return _Runs(texts, np.diff(np.append(firsts, len(width))))

    def _field(self, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._begin[column], self._end[column] - self._begin[column]


def _plain_csv(path: Path) -> Iterator[tuple[bytes, Sequence[str], bytes]]:
    with open(path, "rb") as file:
        header = file.readline().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
        try:
            columns = header.decode().split(",")
        except UnicodeDecodeError:
            raise _NotPlain from None
        if any(columns.count(name) != 1 for name in CSV_COLUMNS):
            raise _NotPlain
        for data in _lines(file):
            yield data, columns, b"," * (len(columns) - 1)


def _plain_text(path: Path) -> Iterator[tuple[bytes, Sequence[str], bytes]]:
    with open(path, "rb") as file:
        for data in _lines(file):
            yield data, ("start_time", "end_time", "name", "score"), b"\t\t;"


def _lines(file) -> Iterator[bytes]:  # type: ignore[no-untyped-def]
    """Yield whole lines, some megabytes at a time, with plain line ends."""
    rest = b""
    while True:
        data = file.read(_BLOCK_BYTES)
        if not data:
            if rest.strip():
                yield rest + b"\n"
            return
        whole, newline, tail = (rest + data).rpartition(b"\n")
        rest = tail
        if newline:
            data = whole + newline
            yield data.replace(b"\r\n", b"\n") if b"\r" in data else data
