"""Entries of the journal about a finished recording: its origin, scores, and what occurrence data did."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.audio.metadata import RecordingMetadata
from britekit.inference.journal import Done, Journal

# Kinds of pieces in the journal: labels as `Rows.to_bytes` gives them, `Scored.raw`, path and metadata, and
# `OccurrenceNote.to_bytes`.
LABELS, SCORES, SOURCE, NOTE = "labels", "scores", "source", "occurrence"


def source_text(path: Path, metadata: RecordingMetadata | None, root: Path | None) -> bytes:
    """Return path, relative to ``root`` where it lies below it, and metadata of a recording as bytes."""
    below = path.relative_to(root) if root and path.is_relative_to(root) else path
    known = None if metadata is None else {**asdict(metadata), "time": metadata.time and metadata.time.isoformat()}
    return json.dumps([os.fspath(below), known]).encode()


def read_source(journal: Journal, name: str, root: Path | None) -> tuple[Path | None, RecordingMetadata | None]:
    """Return path and metadata of a finished recording, whose file may be gone."""
    text = b"".join(journal.pieces(name, SOURCE))
    if not text:
        return None, None
    below, known = json.loads(text)
    path = Path(below) if root is None else root / below
    if known is None:
        return path, None
    when = datetime.fromisoformat(known["time"]) if known["time"] else None
    return path, RecordingMetadata(**{**known, "time": when})


def entries_of(journal: Journal, names: Iterable[str]) -> Iterator[Done]:
    """Yield the entries of finished recordings."""
    for name in names:
        entry = journal.entry(name)
        assert entry is not None
        yield entry


def score_table(
    journal: Journal, names: Sequence[str], classes: list[ClassInfo], duration: float, meta: dict[str, str]
) -> ScoreTable:
    """Return the unrounded scores of finished recordings, in the order of ``names``.

    Parameters
    ----------
    duration
        Seconds of a row.
    meta
        Origin of the scores.
    """
    counts = [entry.rows for entry in entries_of(journal, names)]
    total, width = sum(counts), len(classes)
    starts, scores = np.empty(total, np.float64), np.empty((total, width), np.float32)
    row = 0
    for name, count in zip(names, counts, strict=True):
        data = b"".join(journal.pieces(name, SCORES))
        starts[row : row + count] = np.frombuffer(data, "<f8", count)
        scores[row : row + count] = np.frombuffer(data, "<f4", offset=8 * count).reshape(count, width)
        row += count
    return ScoreTable(
        recordings=list(names),
        seconds=np.array([entry.seconds for entry in entries_of(journal, names)], np.float64),
        row_recording=np.repeat(np.arange(len(names), dtype=np.int32), counts),
        starts=starts,
        duration=duration,
        classes=classes,
        scores=scores,
        meta=meta,
    )
