"""One recording's labels and scores as the bytes of its files, written piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from britekit import formats
from britekit.formats import Facts, Recording, Sink
from britekit.inference.labelling import Labeller
from britekit.inference.scores import RecordingScores

LABELS, SCORES = "(labels)", "(scores)"
"""Sinks beside those of formats: labels as `Rows.to_bytes` gives them, from which tables are written; and
starts (N,), float64, then scores (N, C), float32, for ``scores.npz``."""


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
    labeller: Labeller, name: str, path: str, result: RecordingScores, sinks: Mapping[str, Sink], facts: Facts
) -> RenderedFacts:
    """Write a recording's labels and scores.

    Parameters
    ----------
    name, path
        What it is called in the output, and where it lies.
    sinks
        By name of format, `LABELS` or `SCORES`.
    """
    count = 0
    recording = Recording(name, path, result.seconds, result.damaged_at)
    writers = []
    for key, sink in sinks.items():
        if key not in (LABELS, SCORES):
            make = formats.get(key).writer
            assert make is not None
            writers.append(make(sink, facts))
    classes = {info.label(labeller.label_field): info for info in reversed(labeller.classes)}
    for label, found in labeller.intervals(result):
        count += len(found)
        info = classes[label]
        columns = (found.starts, found.ends, found.scores, found.confirmed)
        for rows in formats.in_pieces(label, info.name, info.code, *columns):
            for writer in writers:
                writer.add(recording, rows)
            if LABELS in sinks:
                sinks[LABELS].write(rows.to_bytes())
    for writer in writers:
        writer.end(recording)
        writer.close()
    rows_written = 0
    if SCORES in sinks:
        starts = labeller.raw_starts(result)
        rows_written = len(starts)
        sinks[SCORES].write(starts.astype("<f8").tobytes())
        for block in labeller.raw_blocks(result):
            sinks[SCORES].write(block.astype("<f4").tobytes())
    return RenderedFacts(result.seconds, count, rows_written, result.damaged_at)


def wanted_sinks(kinds: list[str], keep_scores: bool) -> list[str]:
    """Return the sinks that the formats of a run need."""
    tables = [kind for kind in kinds if formats.get(kind).table]
    files = [kind for kind in kinds if kind not in tables]
    return files + ([LABELS] if tables else []) + ([SCORES] if keep_scores else [])
