"""Recordings and segments of one class that look alike, told by their embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from britekit.database.embeddings import EmbeddedSegments
from britekit.datasets.similarity import EmbeddingMatrix

_LEADING = 3
_SAME_LENGTH_S = 0.1
# Durations such as 5.1 and 5.0 differ by 0.09999999999999964.
_ROUNDING = 1e-9
_LINKS_HELD = 2_000_000


@dataclass
class RecordingDuplicates:
    """What `find_duplicate_recordings` found.

    Attributes
    ----------
    matches
        Every pair of recording IDs that match, ascending.
    groups
        Recording to keep → those to remove, ascending.
    without
        Recordings that could not be compared, as they have no embeddings.
    """

    matches: list[tuple[int, int]] = field(default_factory=list)
    groups: dict[int, list[int]] = field(default_factory=dict)
    without: list[int] = field(default_factory=list)

    def removed(self) -> list[int]:
        """Return the recordings to remove, ascending."""
        return sorted(recording for others in self.groups.values() for recording in others)


def find_duplicate_recordings(segments: EmbeddedSegments, max_dist: float = 0.02) -> RecordingDuplicates:
    """Find recordings of one class that look identical.

    Two match if their lengths differ by less than 0.1 s, both have the same number (up to 3) of leading
    embeddings, by offset, and no pair of these is further apart than ``max_dist`` (1 - cosine). Groups are
    formed transitively; each keeps the recording with most segments, the lowest ID among equals.
    """
    found = RecordingDuplicates()
    found.without = [key for key, row in segments.recordings.items() if not row.embedded]
    keys, starts, counts = np.unique(segments.recording_ids, return_index=True, return_counts=True)
    if not len(keys):
        return found
    leading = np.minimum(counts, _LEADING)
    seconds = np.array([segments.recordings[key].seconds for key in keys.tolist()])
    links: list[tuple[int, int]] = []
    for number in np.unique(leading).tolist():
        # Ascending by length, so that those of like length are neighbours.
        chosen = np.flatnonzero(leading == number)
        chosen = chosen[np.argsort(seconds[chosen], kind="stable")]
        lengths = seconds[chosen]
        reach = np.searchsorted(lengths, lengths + _SAME_LENGTH_S - _ROUNDING, side="left")
        matrices = [EmbeddingMatrix(segments.vectors[starts[chosen] + place]) for place in range(number)]
        for first, second, _cosines in matrices[0].pairs(1.0 - max_dist, reach):
            alike = np.ones(len(first), bool)
            for matrix in matrices[1:]:
                alike[alike] = matrix.cosines(first[alike], second[alike]) >= 1.0 - max_dist
            links += zip(keys[chosen[first[alike]]].tolist(), keys[chosen[second[alike]]].tolist())
    found.matches = sorted((min(pair), max(pair)) for pair in links)
    members: dict[int, list[int]] = {}
    root = _roots(found.matches)
    for key, top in root.items():
        members.setdefault(top, []).append(key)
    for group in members.values():
        group.sort(key=lambda key: (-segments.recordings[key].segments, key))
        found.groups[group[0]] = sorted(group[1:])
    return found


@dataclass(frozen=True)
class SegmentPair:
    """Two rows of `EmbeddedSegments` that look alike; the second is the one to remove."""

    first: int
    second: int
    similarity: float


def find_duplicate_segments(segments: EmbeddedSegments, threshold: float = 0.99) -> list[SegmentPair]:
    """Find near-identical segments.

    Segments whose cosine is at least ``threshold`` are linked; what is linked, directly or over others, is a
    group that keeps its first member, by recording and offset. Every other member is the second of one pair,
    with the most similar segment it is linked to (an earlier one, if it has any).
    """
    count = len(segments.value_ids)
    if not count:
        return []
    groups = _Groups(count)
    # The most similar linked row before each, and after it.
    best = {side: (np.full(count, -2.0), np.zeros(count, np.int64)) for side in ("before", "after")}
    for first, second, cosines in EmbeddingMatrix(segments.vectors).pairs(threshold):
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


def _roots(links: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return the group that each linked recording belongs to, by one of its members."""
    above: dict[int, int] = {}

    def top(key: int) -> int:
        while above.setdefault(key, key) != key:
            above[key] = above[above[key]]
            key = above[key]
        return key

    for first, second in links:
        above[top(second)] = top(first)
    return {key: top(key) for key in list(above)}


def describe_pairs(found: RecordingDuplicates, segments: EmbeddedSegments) -> Sequence[str]:
    """Return a line per matching pair: both file names with their numbers of segments."""

    def named(key: int) -> str:
        row = segments.recordings[key]
        return f"{row.filename} ({row.segments} segments)"

    return [f"{named(first)} = {named(second)}" for first, second in found.matches]
