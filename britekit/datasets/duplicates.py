"""Recordings and segments of one class that are the same: near by their embeddings, and of the same sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from britekit.database.embeddings import EmbeddedSegments
from britekit.datasets.similarity import EmbeddingMatrix
from britekit.datasets.sound_difference import SAME_SOUND, SoundComparison

_LEADING = 3
_SAME_LENGTH_S = 0.1
# Durations such as 5.1 and 5.0 differ by 0.09999999999999964.
_ROUNDING = 1e-9
_LINKS_HELD = 2_000_000


@dataclass(frozen=True)
class RecordingPair:
    """Two recordings, by ID, that are near each other by their embeddings."""

    first: int
    second: int
    distance: float
    """The largest 1 - cosine of their leading embeddings."""
    difference: float
    """The largest difference in sound of their segments (`sound_difference`); 2 where they do not match."""


@dataclass
class RecordingDuplicates:
    """Result of `find_duplicate_recordings`."""

    matches: list[RecordingPair] = field(default_factory=list)
    """Pairs of recordings that are near each other and sound the same, ascending."""
    others: list[RecordingPair] = field(default_factory=list)
    """Pairs that are near each other, but differ in sound, ascending."""
    groups: dict[int, list[int]] = field(default_factory=dict)
    """Recording to keep → those to remove, ascending; each of these sounds like the one that is kept."""
    without: list[int] = field(default_factory=list)
    """Recordings that could not be compared, as not all of their segments have embeddings."""

    def removed(self) -> list[int]:
        """Return the recordings to remove, ascending."""
        return sorted(recording for others in self.groups.values() for recording in others)


def find_duplicate_recordings(
    segments: EmbeddedSegments, sounds: SoundComparison, max_dist: float = 0.02
) -> RecordingDuplicates:
    """Find recordings of one class that are the same.

    Candidates are pairs whose lengths differ by less than 0.1 s, that have the same number (up to 3) of leading
    embeddings, by offset, none of which are further apart than ``max_dist`` (1 - cosine). They match if
    every segment of one is a segment of the other, at the same offset and with the same sound. Of recordings
    that match, the one with most segments is kept, the lowest ID among equals; what is removed matches one
    that is kept.
    """
    found = RecordingDuplicates()
    rows = segments.recordings
    found.without = [key for key, row in rows.items() if row.embedded < row.segments]
    left_out = set(found.without)
    near = [pair for pair in _candidates(segments, max_dist) if left_out.isdisjoint(pair[:2])]
    keys, starts = np.unique(segments.recording_ids, return_index=True)
    leading = dict(zip(keys.tolist(), segments.value_ids[starts].tolist()))
    ids = np.array([[leading[first], leading[second]] for first, second, _distance in near], np.int64)
    for (first, second, distance), difference in zip(near, sounds.differences(*ids.reshape(-1, 2).T).tolist()):
        if difference <= SAME_SOUND:  # few do: only their other segments are read
            difference = _difference(segments, sounds, first, second)
        pair = RecordingPair(first, second, distance, difference)
        (found.matches if difference <= SAME_SOUND else found.others).append(pair)
    partners: dict[int, set[int]] = {}
    for pair in found.matches:
        partners.setdefault(pair.first, set()).add(pair.second)
        partners.setdefault(pair.second, set()).add(pair.first)
    gone: set[int] = set()
    for key in sorted(partners, key=lambda key: (-rows[key].segments, key)):
        if key not in gone and (like := sorted(partners[key] - gone - found.groups.keys())):
            found.groups[key] = like
            gone.update(like)
    return found


def _candidates(segments: EmbeddedSegments, max_dist: float) -> list[tuple[int, int, float]]:
    """Return pairs of recordings, ascending, with the largest distance of their leading embeddings."""
    keys, starts, counts = np.unique(segments.recording_ids, return_index=True, return_counts=True)
    if not len(keys):
        return []
    leading = np.minimum(counts, _LEADING)
    seconds = np.array([segments.recordings[key].seconds for key in keys.tolist()])
    pairs: list[tuple[int, int, float]] = []
    for number in np.unique(leading).tolist():
        # Ascending by length, so that those of like length are neighbors.
        chosen = np.flatnonzero(leading == number)
        chosen = chosen[np.argsort(seconds[chosen], kind="stable")]
        lengths = seconds[chosen]
        reach = np.searchsorted(lengths, lengths + _SAME_LENGTH_S - _ROUNDING, side="left")
        matrices = [EmbeddingMatrix(segments.vectors[starts[chosen] + place]) for place in range(number)]
        for first, second, lowest in matrices[0].pairs(1.0 - max_dist, reach):
            for matrix in matrices[1:]:
                lowest = np.minimum(lowest, matrix.cosines(first, second))
            alike = lowest >= 1.0 - max_dist
            both = np.sort(np.stack([keys[chosen[first[alike]]], keys[chosen[second[alike]]]]), axis=0)
            pairs += zip(*both.tolist(), (1.0 - lowest[alike]).tolist())
    return sorted(pairs)


def _difference(segments: EmbeddedSegments, sounds: SoundComparison, first: int, second: int) -> float:
    """Return the largest difference in sound of two recordings' segments at like offsets."""
    few, many = sorted((np.flatnonzero(segments.recording_ids == key) for key in (first, second)), key=len)
    apart = np.abs(segments.offsets[few][:, None] - segments.offsets[many])
    if (apart.min(axis=1) > _SAME_LENGTH_S).any():
        return 2.0
    partners = many[apart.argmin(axis=1)]
    return float(sounds.differences(segments.value_ids[few], segments.value_ids[partners]).max())


@dataclass(frozen=True)
class SegmentPair:
    """Two rows of `EmbeddedSegments` that look alike; the second is the one to remove."""

    first: int
    second: int
    similarity: float


def find_duplicate_segments(
    segments: EmbeddedSegments, threshold: float = 0.99, sounds: SoundComparison | None = None
) -> list[SegmentPair]:
    """Find near-identical segments.

    Segments whose cosine is at least ``threshold``, and which sound the same by ``sounds``, are linked. Segments
    linked directly or through others form a group, which keeps its first member by recording and offset. Every
    other member is the second of one pair, with the most similar segment linked to it (an earlier one, if any).
    """
    count = len(segments.value_ids)
    if not count:
        return []
    groups = _Groups(count)
    # The most similar linked row before each, and after it.
    best = {side: (np.full(count, -2.0), np.zeros(count, np.int64)) for side in ("before", "after")}
    for first, second, cosines in EmbeddingMatrix(segments.vectors).pairs(threshold):
        if sounds is not None:
            same = sounds.same(segments.value_ids[first], segments.value_ids[second])
            first, second, cosines = first[same], second[same], cosines[same]
        groups.link(first, second)
        _improve(*best["before"], second, first, cosines)
        _improve(*best["after"], first, second, cosines)
    heads = groups.heads()
    pairs = []
    for row in np.flatnonzero(heads != np.arange(count)).tolist():
        side = "before" if best["before"][0][row] > -2.0 else "after"
        cosine, other = best[side][0][row], best[side][1][row]
        pairs.append(SegmentPair(int(other), row, float(cosine)))
    return pairs


def _improve(
    best: NDArray[np.float64],
    partner: NDArray[np.int64],
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    cosines: NDArray[np.float64],
) -> None:
    """Note for each of ``rows`` the partner of highest cosine so far, the lowest among equals."""
    order = np.lexsort((others, -cosines, rows))
    rows, others, cosines = rows[order], others[order], cosines[order]
    leads = np.flatnonzero(np.diff(rows, prepend=-1))
    rows, others, cosines = rows[leads], others[leads], cosines[leads]
    better = (cosines > best[rows]) | ((cosines == best[rows]) & (others < partner[rows]))
    best[rows[better]], partner[rows[better]] = cosines[better], others[better]


class _Groups:
    """Groups of rows that are linked, in bounded memory."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._links: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._held = 0

    def link(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        self._links.append((first, second))
        self._held += len(first)
        if self._held > _LINKS_HELD + self._count:
            heads = self.heads()
            # A star says the same as all the links of a group.
            self._links = [(heads, np.arange(self._count))]
            self._held = self._count

    def heads(self) -> NDArray[np.int64]:
        """Return the first member of each row's group."""
        # Here, since a third of find-dup's time went into importing it.
        from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
        from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

        first = np.concatenate([np.empty(0, np.int64), *(link[0] for link in self._links)])
        second = np.concatenate([np.empty(0, np.int64), *(link[1] for link in self._links)])
        shape = (self._count, self._count)
        graph = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape)
        _number, label = connected_components(graph, directed=False)
        heads = np.full(label.max() + 1, self._count, np.int64)
        np.minimum.at(heads, label, np.arange(self._count))
        return heads[label]


def describe_pairs(pairs: Iterable[RecordingPair], segments: EmbeddedSegments) -> Sequence[str]:
    """Return a line per pair: both file names with their numbers of segments, and how far they are apart."""

    def named(key: int) -> str:
        row = segments.recordings[key]
        return f"{row.filename} ({row.segments} {'segment' if row.segments == 1 else 'segments'})"

    return [
        f"{named(pair.first)} {'=' if pair.difference <= SAME_SOUND else '~'} {named(pair.second)}, "
        f"distance {pair.distance:.4f}, sound {pair.difference:.2f}"
        for pair in pairs
    ]
