"""Detections in the formats people read; what a format says is what the files of ``analyze`` say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from britekit.annotations.labels import CONFIRMED_COLUMN, CSV_COLUMNS, Label, text_line
from britekit.annotations.raven_output import RAVEN_ENDING, raven_text
from britekit.files import csv_text

MEDIA_TYPES = {
    "json": "application/json",
    "audacity": "text/plain; charset=utf-8",
    "raven": "text/tab-separated-values; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
ENDINGS = {"json": ".json", "audacity": "_scores.txt", "raven": RAVEN_ENDING, "csv": "_scores.csv"}


def by_name(labels: Iterable[Label]) -> list[Label]:
    """Return labels in the order of label files: by name, then start."""
    return sorted(labels, key=lambda x: (x.name, x.start, x.end))


def as_audacity(labels: Sequence[Label], low_hz: float, high_hz: float) -> str:
    """Return an Audacity label track: start TAB end TAB ``name;score``."""
    return "".join(
        text_line(x.start, x.end, _one_line(x.name), x.score, x.confirmed) for x in by_name(labels)
    )


def as_raven(labels: Sequence[Label], low_hz: float, high_hz: float) -> str:
    """Return a Raven selection table; the frequency range is all that the model sees, since it names none."""
    rows = ((x.start, x.end, x.name, x.score, x.confirmed) for x in labels)
    return raven_text(rows, low_hz, high_hz, any(x.confirmed for x in labels))


def as_csv(labels: Sequence[Label], low_hz: float, high_hz: float) -> str:
    """Return the table ``scores.csv``: recording, name, start_time, end_time, score."""
    rows = (
        [x.recording, x.name, _seconds(x.start), _seconds(x.end), f"{x.score:.6f}"] for x in by_name(labels)
    )
    if not any(x.confirmed for x in labels):
        return csv_text([CSV_COLUMNS, *rows])
    marks = ([int(x.confirmed)] for x in by_name(labels))
    columns = [*CSV_COLUMNS, CONFIRMED_COLUMN]
    return csv_text([columns, *([*row, *mark] for row, mark in zip(rows, marks, strict=True))])


TEXT_FORMATS: dict[str, Callable[[Sequence[Label], float, float], str]] = {
    "audacity": as_audacity,
    "raven": as_raven,
    "csv": as_csv,
}


def _seconds(value: float) -> str:
    """Return a time as ``scores.csv`` shows it: one to six decimals."""
    text = f"{value:.6f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def _one_line(name: str) -> str:
    return " ".join(name.split())
