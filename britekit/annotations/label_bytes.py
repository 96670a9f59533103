"""Plain tables and label files, as analyze writes them, parsed as arrays of bytes.

Whatever looks different (quotes, signs, other programs' forms, mistakes) raises `NotPlain`, for the careful readers of
`labels.py`. M: labels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.labels import CSV_COLUMNS

_BLOCK_BYTES = 1 << 22
# Digits of a number must fit a double exactly, or its last bit could differ from what Python reads.
_MOST_DIGITS = 15
_COMMA, _TAB, _SEMICOLON, _DOT, _QUOTE, _NEWLINE = b',\t;."\n'


class NotPlain(Exception):
    """The file has a form that only the careful reader understands."""


class Numbered(dict[str, int]):
    """Gives each new text the next number."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]


@dataclass(frozen=True)
class _Runs:
    """A column of texts as runs of equal ones."""

    texts: list[str]
    lengths: NDArray[np.int64]

    def numbered(self, known: Numbered) -> NDArray[np.int32]:
        """Return the number of each row's text, in order of first appearance."""
        return np.repeat(np.array([known[text] for text in self.texts], dtype=np.int32), self.lengths)


@dataclass(frozen=True)
class ParsedRows:
    """Some rows."""

    recording: _Runs
    """No runs in a label file, whose name tells the recording."""
    name: _Runs
    start: NDArray[np.floating]
    end: NDArray[np.floating]
    score: NDArray[np.float32]


def read_ahead(blocks: Iterator[tuple[bytes, Sequence[str], bytes]]) -> Iterator[ParsedRows]:
    """Parse blocks on two threads, since numpy works without the interpreter; yields them in order."""
    with ThreadPoolExecutor(2) as pool:
        waiting: deque[Future[ParsedRows]] = deque()
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


def _parse(data: bytes, columns: Sequence[str], separators: bytes) -> ParsedRows:
    block = _Block(data, columns, separators)
    start, end, score = (block.numbers(key) for key in ("start_time", "end_time", "score"))
    if np.any(end < start) or np.any(score > 1):
        raise NotPlain
    recording = block.texts("recording") if "recording" in columns else _Runs([], np.zeros(0, np.int64))
    return ParsedRows(recording, block.texts("name"), short_times(start), short_times(end), score.astype(np.float32))


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
            raise NotPlain
        places = found.reshape(len(ends), count)
        starts = np.concatenate([[0], ends[:-1] + 1])
        if np.any(places[:, 0] < starts) or np.any(places[:, -1] > ends):
            raise NotPlain
        if len(set(separators)) > 1 and np.any(content[places] != np.frombuffer(separators, np.uint8)):
            raise NotPlain
        self._begin = {name: starts if k == 0 else places[:, k - 1] + 1 for k, name in enumerate(columns)}
        self._end = {name: ends if k == count else places[:, k] for k, name in enumerate(columns)}

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Read plain decimal numbers, exactly as `float` would."""
        begin, width = self._field(column)
        if not len(width) or width.min() < 1 or width.max() > _MOST_DIGITS + 1:
            raise NotPlain
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
                raise NotPlain
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
            raise NotPlain
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
            raise NotPlain from None
        if any(text != text.strip() for text in texts):
            raise NotPlain
        return _Runs(texts, np.diff(np.append(firsts, len(width))))

    def _field(self, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._begin[column], self._end[column] - self._begin[column]


def plain_csv(path: Path) -> Iterator[tuple[bytes, Sequence[str], bytes]]:
    """Yield blocks of a plain table: bytes, columns and the separators between them."""
    with open(path, "rb") as file:
        header = file.readline().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
        try:
            columns = header.decode().split(",")
        except UnicodeDecodeError:
            raise NotPlain from None
        if any(columns.count(name) != 1 for name in CSV_COLUMNS):
            raise NotPlain
        for data in _lines(file):
            yield data, columns, b"," * (len(columns) - 1)


def plain_text(path: Path) -> Iterator[tuple[bytes, Sequence[str], bytes]]:
    """Yield blocks of a plain label file: bytes, columns and the separators between them."""
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


def short_times(seconds: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return times in single precision if none changes by that, as starts of windows rarely do."""
    short = seconds.astype(np.float32)
    return short if np.array_equal(short, seconds) else seconds
