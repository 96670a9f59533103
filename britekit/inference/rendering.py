"""One recording's scores as the bytes of its files, written piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from britekit.annotations.labels import format_time, text_line
from britekit.annotations.raven_output import raven_text
from britekit.errors import InputError
from britekit.files import csv_text
from britekit.inference.labelling import Labeller
from britekit.inference.scores import RecordingScores

RTYPES = ("audacity", "csv", "raven", "both")


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them."""


@dataclass(frozen=True)
class Sinks:
    """Where the parts of a recording's output go; None where nobody wants a part.

    Attributes
    ----------
    table
        Rows of ``scores.csv``, without its header.
    text
        The Audacity label file.
    raven
        The Raven selection table.
    scores
        Starts (N,), float64, then scores (N, C), float32, of ``scores.npz``.
    """

    table: Sink | None = None
    text: Sink | None = None
    raven: Sink | None = None
    scores: Sink | None = None


@dataclass(frozen=True)
class RenderedFacts:
    """What was written about a recording.

    Attributes
    ----------
    seconds
        Its length.
    labels
        Number of labels.
    rows
        N, rows of unrounded scores.
    damaged_at
        Second at which a damaged recording ends; None if it is whole.
    """

    seconds: float
    labels: int
    rows: int
    damaged_at: float | None


def render(
    labeller: Labeller,
    recording: str,
    result: RecordingScores,
    sinks: Sinks,
    hertz: tuple[float, float] = (0.0, 0.0),
) -> RenderedFacts:
    """Write a recording's labels and scores.

    Parameters
    ----------
    recording
        Its name in the table.
    hertz
        Lowest and highest frequency that the models see, for Raven's boxes.
    """
    count = 0
    marks = labeller.rules.second_pass
    boxes: list[tuple[float, float, str, float, bool]] = []
    for name, found in labeller.intervals(result):
        count += len(found)
        columns = (found.starts, found.ends, found.scores, found.confirmed)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        if sinks.text is not None and rows:
            sinks.text.write("".join(text_line(a, b, name, p, mark) for a, b, p, mark in rows).encode())
        if sinks.table is not None and rows:
            head = _cells(recording, name)
            ends = {True: ",1\n", False: ",0\n"} if marks else {False: "\n"}
            sinks.table.write(
                "".join(
                    f"{head},{format_time(a)},{format_time(b)},{p:.6f}{ends[mark]}" for a, b, p, mark in rows
                ).encode()
            )
        if sinks.raven is not None:
            boxes += [(a, b, name, p, mark) for a, b, p, mark in rows]
    if sinks.raven is not None:
        sinks.raven.write(raven_text(boxes, *hertz, marks).encode())
    rows_written = 0
    if sinks.scores is not None:
        starts = labeller.raw_starts(result)
        rows_written = len(starts)
        sinks.scores.write(starts.astype("<f8").tobytes())
        for block in labeller.raw_blocks(result):
            sinks.scores.write(block.astype("<f4").tobytes())
    return RenderedFacts(result.seconds, count, rows_written, result.damaged_at)


def _cells(recording: str, name: str) -> str:
    """Return the first two cells of a row, quoted where needed."""
    return csv_text([[recording, name]])[:-1]


def read_rtype(rtype: str) -> list[str]:
    """Return the sorts of files a person asked for: audacity, csv, raven; ``both`` is the first two.

    Several are separated by commas; an unambiguous beginning will do for each.

    Raises
    ------
    InputError
        One is unknown.
    """
    kinds: set[str] = set()
    for word in rtype.split(","):
        word = word.strip().lower()
        found = [known for known in RTYPES if word and known.startswith(word)]
        if len(found) != 1:
            raise InputError(f'--rtype "{rtype}": "{word}" is not one of {", ".join(RTYPES)}')
        kinds |= {"audacity", "csv"} if found[0] == "both" else {found[0]}
    return sorted(kinds)
