"""Search and duplicates against a brute-force twin that compares every pair in double precision."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from britekit.database.embeddings import EmbeddedRecording, EmbeddedSegments
from britekit.datasets import similarity
from britekit.datasets.duplicates import find_duplicate_recordings, find_duplicate_segments
from britekit.datasets.similarity import EmbeddingMatrix


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few rows, so that small data cross their borders."""
    monkeypatch.setattr(similarity, "_BLOCK", 37)
    monkeypatch.setattr(similarity, "_REFINED_AT_ONCE", 11)


def clustered(seed, rows=300, width=40, centers=25):
    """Rows around some centers, so that many lie near each other, some of them twice."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(centers, width))[rng.integers(0, centers, rows)]
    points = points + rng.normal(size=points.shape) * rng.choice([0.0, 0.02, 0.1, 0.5], (rows, 1))
    return (points * rng.uniform(0.1, 30, (rows, 1))).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_dist, most", [(0.5, 20), (0.02, None), (2.0, 7), (0.3, 1000), (1e-3, 1)])
def test_search_equals_brute_force(seed, max_dist, most):
    vectors = clustered(seed)
    targets = np.vstack([vectors[:4], clustered(seed + 100, rows=3)])
    found = EmbeddingMatrix(vectors).search(targets, max_dist, most)
    distances = cdist(targets.astype(np.float64), vectors.astype(np.float64), "cosine")
    for neighbors, row in zip(found, distances, strict=True):
        expected = np.sort(row[row <= max_dist])[:most]
        np.testing.assert_allclose(neighbors.distances, expected, atol=1e-12)
        np.testing.assert_allclose(row[neighbors.rows], expected, atol=1e-12)
        assert len(set(neighbors.rows.tolist())) == len(neighbors.rows)


def test_memory_does_not_grow_with_the_pairs(monkeypatch):
    monkeypatch.undo()
    vectors = np.ones((300, 1000), np.float32)
    tracemalloc.start()
    found = sum(len(first) for first, _second, _cosines in EmbeddingMatrix(vectors).pairs(0.99))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 300 * 299 // 2
    # A block of pairs is held at a time, both sides in float64: not all, which would be 700 MB.
    assert peak < 120e6


def test_zero_vectors_are_near_nothing():
    vectors = np.zeros((3, 8), np.float32)
    vectors[1, 0] = 1
    (found,) = EmbeddingMatrix(vectors).search(vectors[:1], 1.0)
    np.testing.assert_array_equal(found.distances, [1.0, 1.0, 1.0])
    assert len(EmbeddingMatrix(vectors).search(vectors[1:2], 0.5)[0].rows) == 1


def test_nothing_stored():
    (found,) = EmbeddingMatrix(np.empty((0, 8), np.float32)).search(np.ones((1, 8)), 1.0, 5)
    assert len(found.rows) == 0


@pytest.mark.parametrize("seed", range(5))
def test_pairs_equal_brute_force(seed):
    vectors = clustered(seed)
    cosines = 1 - cdist(vectors.astype(np.float64), vectors.astype(np.float64), "cosine")
    expected = {(i, j) for i, j in np.argwhere(cosines >= 0.95).tolist() if i < j}
    found = {}
    for first, second, values in EmbeddingMatrix(vectors).pairs(0.95):
        found.update(zip(zip(first.tolist(), second.tolist()), values.tolist()))
    assert set(found) == expected
    for (i, j), value in found.items():
        assert value == pytest.approx(cosines[i, j], abs=1e-12)


def made(seed, recordings=160):
    """Recordings of one to five segments; some lie near others, over chains too."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(8, 5, 16))
    rows, vectors, about = [], [], {}
    for key in range(1, recordings + 1):
        count = int(rng.integers(0, 6))
        seconds = 20 + round(float(rng.choice([0, 0.05, 0.1, 0.15, 3])), 2)
        style = base[rng.integers(0, 8)][:count]
        noise = rng.choice([0.0, 0.05, 0.15])
        vectors += list(style + noise * rng.normal(size=style.shape))
        rows += [(key, 5.0 * place) for place in range(count)]
        about[key] = EmbeddedRecording(f"{key}.wav", "s", seconds, count + int(rng.integers(0, 2)), count)
    ids = np.arange(len(rows))
    return EmbeddedSegments(
        np.array(vectors, np.float32), ids, ids + 1000, np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]), about,
    )  # fmt: skip


class Told:
    """Sounds that are told: segments of recordings of equal parity are the same."""

    def __init__(self, segments):
        self.recording = dict(zip(segments.value_ids.tolist(), segments.recording_ids.tolist()))

    def differences(self, first, second):
        pairs = zip(first.tolist(), second.tolist())
        return np.array([(self.recording[a] - self.recording[b]) % 2 * 0.5 for a, b in pairs])


def brute_recordings(segments, max_dist):
    """Walk the definition: pairs, then what each that is kept takes with it."""
    of = {key: segments.vectors[segments.recording_ids == key].astype(np.float64) for key in segments.recordings}
    pairs = []
    for i, first in segments.recordings.items():
        for j, second in segments.recordings.items():
            if not (i < j and of[i].size and of[j].size):
                continue
            if not round(abs(first.seconds - second.seconds), 6) < 0.1:
                continue
            if (i - j) % 2 or first.embedded < first.segments or second.embedded < second.segments:
                continue
            times = [segments.offsets[segments.recording_ids == key] for key in (i, j)]
            few, many = sorted(times, key=len)
            if any(min(abs(many - time)) > 0.1 for time in few):
                continue
            lead = min(3, len(of[i]))
            if lead != min(3, len(of[j])):
                continue
            if all(
                1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) <= max_dist
                for a, b in zip(of[i][:lead], of[j][:lead])
            ):
                pairs.append((i, j))
    kept, gone = {}, set()
    for head in sorted(segments.recordings, key=lambda key: (-segments.recordings[key].segments, key)):
        like = {j for i, j in pairs if i == head} | {i for i, j in pairs if j == head}
        if head not in gone and (like := like - gone - kept.keys()):
            kept[head] = sorted(like)
            gone |= like
    return pairs, kept


@pytest.mark.parametrize("seed", range(8))
def test_duplicate_recordings_equal_brute_force(seed):
    segments = made(seed)
    found = find_duplicate_recordings(segments, Told(segments), 0.02)
    pairs, kept = brute_recordings(segments, 0.02)
    assert pairs, "the data must hold duplicates"
    assert [(pair.first, pair.second) for pair in found.matches] == pairs
    assert found.groups == kept
    assert found.without == [key for key, row in segments.recordings.items() if row.embedded < row.segments]
    assert found.removed() == sorted(key for others in kept.values() for key in others)


@pytest.mark.parametrize("seed", range(5))
def test_duplicate_segments_equal_brute_force(seed, monkeypatch):
    from britekit.datasets import duplicates

    if seed % 2:
        monkeypatch.setattr(duplicates, "_LINKS_HELD", -200)
    vectors = clustered(seed, rows=200)
    ids = np.arange(len(vectors))
    segments = EmbeddedSegments(vectors, ids, ids, ids, ids.astype(float), {})
    cosines = 1 - cdist(vectors.astype(np.float64), vectors.astype(np.float64), "cosine")
    linked = cosines >= 0.97
    reach = linked.copy()
    for middle in range(len(vectors)):  # Warshall's closure: linked over others
        reach |= np.outer(reach[:, middle], reach[middle])
    heads = reach.argmax(axis=1)
    pairs = find_duplicate_segments(segments, 0.97)
    assert [pair.second for pair in pairs] == np.flatnonzero(heads != ids).tolist()
    for pair in pairs:
        assert linked[pair.first, pair.second] and pair.first != pair.second
        others = np.flatnonzero(linked[pair.second] & (ids != pair.second))
        before = others[others < pair.second]
        best = max(cosines[pair.second, before if len(before) else others])
        assert pair.similarity == pytest.approx(best, abs=1e-12)
