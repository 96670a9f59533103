"""Does memory stay constant? One hour against 24 hours, 100 files against 10,000; prints ratios.

    python benchmarks/inference_memory.py [--quick] [--work DIR] [--head basic_sed] [--min-score 0]

Whole processes of analyze. The long recordings are FLAC files of joined clips; the many files are links to
one clip. With --head basic_sed the model gives frame scores too; --min-score 0 writes every score.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from made_models import own_models
from made_recordings import clips, joined
from processes import Measured, measure, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 min against 20 min, 20 files against 200")
    parser.add_argument("--head", default=None)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--min-score", default=None)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "britekit-benchmark")
    options = parser.parse_args()
    work: Path = options.work
    name = f"effnet.1-{options.head or 'default'}-{options.classes}"
    models = own_models(work / "ours" / name, "effnet.1", 1, options.head, options.classes)
    extra = [] if options.min_score is None else ["-m", options.min_score]
    lengths = (120, 1200) if options.quick else (3600, 86400)
    short, long = (
        run(joined(work / "long" / f"{seconds}.flac", seconds, 1), models, extra, work) for seconds in lengths
    )
    show(f"{lengths[0]} s", short)
    show(f"{lengths[1]} s", long)
    ratio = long.peak_mb / short.peak_mb
    print(f"memory, long over short = {ratio:.3f} (at most 1.1 wanted: {'held' if ratio <= 1.1 else 'MISSED'})")
    counts = (20, 200) if options.quick else (100, 10000)
    few, many = (run(linked(work, count), models, extra, work) for count in counts)
    show(f"{counts[0]} files", few)
    show(f"{counts[1]} files", many)
    ratio = many.peak_mb / few.peak_mb
    print(f"memory, many over few = {ratio:.3f} (at most 1.1 wanted: {'held' if ratio <= 1.1 else 'MISSED'})")
    bounded = many.most_files <= few.most_files + 8
    print(f"open files = {few.most_files} and {many.most_files} ({'held' if bounded else 'MISSED'})")


def run(source: Path, models: Path, extra: list[str], work: Path) -> Measured:
    """Analyze with the output in a folder of its own, and count open files."""
    with tempfile.TemporaryDirectory(dir=work) as output:
        command = ours("analyze", "-i", source, "-o", output, "--ckpt", models, *extra)
        return measure(command, cwd=Path(output), watch=True)


def linked(work: Path, count: int) -> Path:
    """Return a folder with so many links to one clip."""
    folder = work / f"links-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    clip = clips(1)[0].resolve()
    for number in range(count):
        link = folder / f"{number:05d}.ogg"
        if not link.is_symlink():
            os.symlink(clip, link)
    return folder


def show(what: str, run: Measured) -> None:
    """Print a line about a process."""
    print(f"{what:12} {run}, {run.most_files} files open at most")


if __name__ == "__main__":
    main()
