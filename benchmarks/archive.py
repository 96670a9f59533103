"""Searching an archive: seconds to open and to search, and peak memory; by numpy and by usearch.

    python benchmarks/archive.py [--windows 1000000] [--features 512] [--examples 1] [--usearch]

The vectors are drawn around 2,000 centers, since embeddings lie in clusters. Each search is a process of its
own, twice: the first may have to read the vectors from the disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CODE = """
import json, resource, sys, time
import numpy as np
from britekit.archive import index
from britekit.archive.search import find_similar
from britekit.archive.store import Archive
index.EXACT_ROWS = int(sys.argv[3])
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
archive = Archive(sys.argv[1])
archive.live, archive.norms
opened = time.perf_counter()
examples = np.asarray(archive.vectors[:: archive.rows // int(sys.argv[2])][: int(sys.argv[2])], np.float32)
found = find_similar(archive, examples, None, 100)
done = time.perf_counter()
found_again = find_similar(archive, examples, None, 100)
rss = [line for line in open("/proc/self/status") if line.startswith(("RssAnon", "VmHWM"))]
print(json.dumps({"open_s": opened - began, "search_s": done - opened, "again_s": time.perf_counter() - done,
                  "memory_before_MiB": base / 1024, "peak_MiB": int(rss[0].split()[1]) / 1024,
                  "anonymous_MiB": int(rss[1].split()[1]) / 1024, "rows": found.rows.tolist()}))
"""


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--examples", type=int, default=1)
    parser.add_argument("--usearch", action="store_true")
    parser.add_argument("--work", help="where the archive is made (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="archive-", dir=options.work) as name:
        folder = Path(name) / "archive"
        make_archive(folder, options.windows, options.features)
        exact: dict[str, object] = {}
        for turn in ("first process", "second process"):
            exact = searched(folder, options.examples, 1 << 60)
            print(turn, {key: round(value, 3) for key, value in exact.items() if key != "rows"}, flush=True)
        if options.usearch:
            near = searched(folder, options.examples, 0)
            print("by usearch", {key: round(value, 3) for key, value in near.items() if key != "rows"})
            print(f"the same 100 in the same order = {near['rows'] == exact['rows']}")
    return 0


def make_archive(folder: Path, windows: int, features: int) -> None:
    """Write an archive of recordings of 1,000 windows each."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((2000, features), dtype=np.float32)
    folder.mkdir()
    facts = {"format": "britekit-archive-1", "identity": {"features": features}, "recordings": "..", "model": "m"}
    (folder / "archive.json").write_text(json.dumps(facts))
    with (
        open(folder / "vectors.f16", "wb") as vectors,
        open(folder / "norms.f32", "wb") as norms,
        open(folder / "starts.f64", "wb") as starts,
        open(folder / "recordings.jsonl", "w") as index,
    ):
        for first in range(0, windows, 1000):
            count = min(1000, windows - first)
            drawn = centers[rng.integers(0, 2000, count)] + 0.7 * rng.standard_normal((count, features), np.float32)
            stored = drawn.astype(np.float16)
            vectors.write(stored.tobytes())
            norms.write(np.linalg.norm(stored.astype(np.float64), axis=1).astype(np.float32).tobytes())
            starts.write((5.0 * np.arange(count)).tobytes())
            name = f"r{first // 1000:06}"
            index.write(json.dumps({"recording": name, "file": f"{name}.wav", "size": 1, "mtime_ns": 1, "seconds": 5.0 *
                                    count, "damaged_at": None, "first": first, "windows": count}) + "\n")  # fmt: skip


def searched(folder: Path, examples: int, exact_rows: int) -> dict[str, object]:
    """Search in a process of its own."""
    command = [sys.executable, "-c", CODE, str(folder), str(examples), str(exact_rows)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    sys.exit(main())
