"""Search and duplicates over many embeddings: seconds, and whether the answers are those of brute force.

    python benchmarks/embeddings.py            100,000 embeddings of 320 numbers, as effnet makes them
    python benchmarks/embeddings.py --quick    5,000

Times are medians of several runs after loading; the database is built in a temporary directory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from britekit.database.classes import add_class
from britekit.database.embeddings import encode_embedding, read_embeddings
from britekit.database.recordings import add_recording, get_or_add_source
from britekit.database.schema import SpecValue
from britekit.database.segments import add_links, add_segments
from britekit.database.session import open_database, publish_database
from britekit.database.spectrograms import get_or_add_group
from britekit.datasets.duplicates import find_duplicate_recordings, find_duplicate_segments
from britekit.datasets.similarity import EmbeddingMatrix

_PER_RECORDING = 20
_LIMIT_SECONDS = 0.2
Result = TypeVar("Result")


def main() -> None:
    """Measure and print, one ``name = value`` a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="embeddings (default: 100000)")
    parser.add_argument("--width", type=int, default=320, help="numbers of each (default: 320)")
    parser.add_argument("--targets", type=int, default=8, help="targets searched at once (default: 8)")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each measurement (default: 7)")
    parser.add_argument("--no-pairs", action="store_true", help="leave out dedup-seg, which compares all pairs")
    parser.add_argument("--quick", action="store_true", help="5,000 embeddings, 3 runs")
    options = parser.parse_args()
    if options.quick:
        options.count, options.repeats = 5_000, 3
    vectors = made_embeddings(options.count, options.width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        build(path, vectors)
        print(f"embeddings = {options.count}")
        print(f"numbers of each = {options.width}")
        print(f"database MB = {path.stat().st_size / 1e6:.0f}")
        with open_database(path) as session:
            loading, segments = timed(lambda: read_embeddings(session, 1, 1), 1)
    print(f"loading s = {loading:.2f}")
    norming, matrix = timed(lambda: EmbeddingMatrix(segments.vectors), options.repeats)
    print(f"normalizing s = {norming:.3f}")
    target = vectors[:1] + np.float32(0.01)
    single, (found,) = timed(lambda: matrix.search(target, 0.5, 200), options.repeats)
    print(f"search s = {single:.3f} (limit {_LIMIT_SECONDS}: {'met' if single <= _LIMIT_SECONDS else 'MISSED'})")
    targets = vectors[: options.targets] + np.float32(0.01)
    several, _ = timed(lambda: matrix.search(targets, 0.5, 200), options.repeats)
    print(f"search of {options.targets} targets s = {several:.3f}")
    rows, distances = brute_search(segments.vectors, target[0], 0.5, 200)
    same = np.array_equal(found.rows, rows) and np.allclose(found.distances, distances, atol=1e-12)
    print(f"search equals brute force = {same}")
    seconds, duplicates = timed(lambda: find_duplicate_recordings(segments, 0.02), 1)
    print(f"find-dup s = {seconds:.2f} ({len(duplicates.matches)} pairs)")
    if options.no_pairs:
        return
    seconds, pairs = timed(lambda: find_duplicate_segments(segments, 0.99), 1)
    print(f"dedup-seg s = {seconds:.2f} ({len(pairs)} pairs)")


def made_embeddings(count: int, width: int) -> np.ndarray:
    """Return positive vectors around some centers, as a network gives them; every hundredth is a copy, and
    every fiftieth recording begins like the one before."""
    rng = np.random.default_rng(7)
    centers = rng.gamma(0.5, 1.0, (200, width))
    vectors = centers[rng.integers(0, len(centers), count)] * rng.gamma(4.0, 0.25, (count, width))
    vectors[100::100] = vectors[99:-1:100]
    for first in range(50 * _PER_RECORDING, count - _PER_RECORDING, 50 * _PER_RECORDING):
        vectors[first : first + 3] = vectors[first - _PER_RECORDING : first - _PER_RECORDING + 3]
    return vectors.astype(np.float32)


def build(path: Path, vectors: np.ndarray) -> None:
    """Write a database of one class with these embeddings, 20 a recording."""
    with publish_database(path) as session:
        class_id = add_class(session, "Wren", "W")
        source_id, group_id = get_or_add_source(session, "default"), get_or_add_group(session, "default")
        for first in range(0, len(vectors), _PER_RECORDING):
            part = vectors[first : first + _PER_RECORDING]
            name = f"{first}.wav"
            recording = add_recording(session, source_id, name, name, 5.0 * _PER_RECORDING + first % 7 / 50)
            ids = add_segments(session, recording, [5.0 * place for place in range(len(part))])
            add_links(session, ((segment, class_id) for segment in ids))
            session.execute(
                SpecValue.__table__.insert(),
                [
                    {"SpecGroupID": group_id, "SegmentID": key, "Value": b"", "Embedding": encode_embedding(row)}
                    for key, row in zip(ids, part)
                ],
            )


def brute_search(vectors: np.ndarray, target: np.ndarray, max_dist: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Compare the target with every row in double precision."""
    rows = vectors.astype(np.float64)
    wanted = target.astype(np.float64)
    distances = 1 - rows @ wanted / np.linalg.norm(rows, axis=1) / np.linalg.norm(wanted)
    order = np.lexsort((np.arange(len(rows)), distances))
    order = order[distances[order] <= max_dist][:most]
    return order, distances[order]


def timed(work: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Return the median time in seconds of some runs, and the last result."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return statistics.median(times), result


if __name__ == "__main__":
    main()
