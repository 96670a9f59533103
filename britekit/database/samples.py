"""Looking at some of a database's spectrograms where looking at all would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from britekit.database.embeddings import decode_embedding
from britekit.database.schema import Segment, SegmentClass, SpecValue
from britekit.database.spectrograms import inflated_size
from britekit.database.summary import ClassSummary, GroupSummary

_VALUES_PER_GROUP = 64
_EMBEDDINGS = 8_000
_CHUNK = 1_000
_BLOCK = 250
# Equal embeddings would give millions of pairs; this many of each block are examined.
_PAIRS_PER_BLOCK = 10_000
# Cosine similarity from which two segments look like one recording under two names.
NEAR = 0.98


@dataclass(frozen=True)
class NearPair:
    """Two classes that share segments which look alike, and the two most alike."""

    classes: tuple[str, str]
    count: int
    """Pairs of sampled segments as similar as `NEAR` or more."""
    similarity: float
    recordings: tuple[int, int]
    offsets: tuple[float, float]
    """IDs, and seconds, of the pair with the highest similarity."""


@dataclass(frozen=True)
class NearPairs:
    """Findings among ``sampled`` of ``all`` embedded segments; 0 without embeddings."""

    pairs: list[NearPair]
    sampled: int
    of: int


def stored_sizes(session: Session, group: GroupSummary) -> set[int]:
    """Return the sizes in bytes of some spectrograms of a group, evenly spread; damaged ones count as -1."""
    low, high = session.execute(
        select(func.min(SpecValue.id), func.max(SpecValue.id)).where(SpecValue.specgroup_id == group.group_id)
    ).one()
    if not group.spectrograms:
        return set()
    sizes = set()
    for start in np.unique(np.linspace(low, high, _VALUES_PER_GROUP).astype(np.int64)).tolist():
        value = session.scalar(
            select(SpecValue.value)
            .where(SpecValue.specgroup_id == group.group_id, SpecValue.id >= start)
            .order_by(SpecValue.id)
            .limit(1)
        )
        try:
            sizes.add(inflated_size(value or b""))
        except ValueError:
            sizes.add(-1)
    return sizes


def near_duplicates(
    session: Session, classes: Sequence[ClassSummary], group: GroupSummary, duration_s: float
) -> NearPairs:
    """Return pairs of classes with segments that look alike by their embeddings.

    Parameters
    ----------
    group
        Whose embeddings.
    duration_s
        Length of a segment: two that overlap in one recording are alike by nature.
    """
    total = sum(row.segments for row in classes)
    step = max(1, -(-total // _EMBEDDINGS))
    sampled: list[int] = []
    for row in classes:
        # Of every class some, however rare it is beside the others.
        every = max(1, min(step, row.segments // 20))
        sampled += session.scalars(
            select(SegmentClass.segment_id)
            .where(
                SegmentClass.class_id == row.class_id,
                SegmentClass.segment_id.is_not(None),
                SegmentClass.id % every == 0,
            )
            .limit(_EMBEDDINGS)
        ).all()  # type: ignore[arg-type]
    segments, places, matrix = _embeddings(session, sorted(set(sampled)), group.group_id)
    if len(segments) < 2:
        return NearPairs([], len(segments), total)
    of_segment = _classes_of(session, segments, {row.class_id: row.name for row in classes})
    best: dict[tuple[str, str], NearPair] = {}
    for start in range(0, len(segments), _BLOCK):
        rows = matrix[start : start + _BLOCK]
        similar = rows @ matrix[start:].T
        hits = np.argwhere(np.triu(similar >= NEAR, 1))
        for i, j in hits[:: -(-len(hits) // _PAIRS_PER_BLOCK) or 1].tolist():
            a, b = start + i, start + j
            mine, other = of_segment.get(segments[a], set()), of_segment.get(segments[b], set())
            same = places[a][0] == places[b][0] and abs(places[a][1] - places[b][1]) < duration_s
            if mine & other or same:
                continue
            for first in mine:
                for second in other:
                    _note(best, (first, a), (second, b), float(similar[i, j]), places)
    pairs = sorted(best.values(), key=lambda pair: (-pair.count, -pair.similarity, pair.classes))
    return NearPairs(pairs, len(segments), total)


def _note(
    best: dict[tuple[str, str], NearPair],
    first: tuple[str, int],
    second: tuple[str, int],
    similarity: float,
    places: Sequence[tuple[int, float]],
) -> None:
    (name_a, a), (name_b, b) = sorted((first, second))
    known = best.get((name_a, name_b))
    count = 1 if known is None else known.count + 1
    if known is not None and known.similarity >= similarity:
        similarity, recordings, offsets = known.similarity, known.recordings, known.offsets
    else:
        recordings, offsets = (places[a][0], places[b][0]), (places[a][1], places[b][1])
    best[name_a, name_b] = NearPair((name_a, name_b), count, min(similarity, 1.0), recordings, offsets)


def _embeddings(
    session: Session, wanted: Sequence[int], group_id: int
) -> tuple[list[int], list[tuple[int, float]], NDArray[np.float32]]:
    """Return segments that have an embedding, their recording and offset, and unit vectors (N, F)."""
    segments: list[int] = []
    places: list[tuple[int, float]] = []
    vectors: list[NDArray[np.float32]] = []
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(SpecValue.segment_id, Segment.recording_id, Segment.offset, SpecValue.embedding)
            .join(Segment, Segment.id == SpecValue.segment_id)
            .where(
                SpecValue.segment_id.in_(wanted[start : start + _CHUNK]),
                SpecValue.specgroup_id == group_id,
                SpecValue.embedding.is_not(None),
            )
            .order_by(SpecValue.segment_id)
        )
        for segment_id, recording_id, offset, embedding in session.execute(query):
            try:
                vector = decode_embedding(embedding or b"")
            except ValueError:
                continue  # searches report damaged embeddings
            length = float(np.linalg.norm(vector))
            if not np.isfinite(length) or length == 0 or (vectors and len(vector) != len(vectors[0])):
                continue
            segments.append(segment_id or 0)
            places.append((recording_id or 0, offset))
            vectors.append((vector / length).astype(np.float32))
    return segments, places, np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def _classes_of(session: Session, segments: Sequence[int], names: dict[int, str]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for start in range(0, len(segments), _CHUNK):
        query = select(SegmentClass.segment_id, SegmentClass.class_id).where(
            SegmentClass.segment_id.in_(segments[start : start + _CHUNK])
        )
        for segment_id, class_id in session.execute(query):
            if segment_id is not None and class_id in names:
                found.setdefault(segment_id, set()).add(names[class_id])
    return found
