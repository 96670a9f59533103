"""The report `audioset --rpt` over a synthetic table of the size of AudioSet's: seconds and memory.

    python benchmarks/audioset.py            # 2,000,000 rows
    python benchmarks/audioset.py --quick    # 100,000

Labels are drawn as unevenly as AudioSet's: a class like Speech is in half of the clips, one like Rain in few.
The counts are compared with those of the csv module and a counter over the whole table.
"""

import argparse
import csv
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# The largest memory of the program itself, as Linux tells it; getrusage counts the parent's too.
CHILD = """
import sys, time
from britekit.cli import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("cpu_s =", time.process_time(), "peak_kb =", peak, file=sys.stderr)
sys.exit(code)
"""
CLASSES = 527


def main() -> None:
    """Make the table, run the command for a frequent and a rare class, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 rows")
    rows = 100_000 if parser.parse_args().quick else 2_000_000
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder, "data", "audioset")
        tables.mkdir(parents=True)
        truth = make_tables(tables, rows)
        size = (tables / "unbalanced_train_segments.csv").stat().st_size
        print(f"rows = {rows}, megabytes = {size / 1e6:.0f}")
        good = True
        for number, kind in ((0, "frequent"), (200, "rare")):
            start = time.perf_counter()
            command = ["audioset", "--name", f"Class {number}", "--rpt", "--root", folder]
            run = subprocess.run(
                [sys.executable, "-c", CHILD, *command], capture_output=True, text=True, cwd=folder, check=True
            )
            seconds = time.perf_counter() - start
            cpu, peak = (float(text) for text in re.findall(r"(?:cpu_s|peak_kb) = ([\d.]+)", run.stderr))
            peak /= 1024
            alone, counts = read_report(run.stdout)
            same = (alone, counts) == truth[number]
            good &= same and seconds <= 10 and peak <= 500
            print(f"{kind} class: clips alone = {alone}, other labels = {len(counts)}, counts right = {same}")
            print(
                f"{kind} class: seconds = {seconds:.2f} (at most 10; of CPU {cpu:.2f}), MB = {peak:.0f} (at most 500)"
            )
    sys.exit(0 if good else 1)


def make_tables(folder: Path, rows: int) -> dict[int, tuple[int, dict[str, int]]]:
    """Write the tables and return what the report of class 0 and 200 must say."""
    draw = random.Random(1)
    mids = [f"/m/0{number:03x}x" for number in range(CLASSES)]
    with open(folder / "class_list.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["index", "mid", "display_name"])
        writer.writerows([number, mid, f"Class {number}"] for number, mid in enumerate(mids))
    weights = [1 / (1 + number) for number in range(CLASSES)]
    population = draw.choices(range(CLASSES), weights, k=1_000_003)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    alone = dict.fromkeys((0, 200), 0)
    others: dict[int, Counter[str]] = {0: Counter(), 200: Counter()}
    path = folder / "unbalanced_train_segments.csv"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("# Segments csv\n# num_ytids\n# YTID, start_seconds, end_seconds, positive_labels\n")
        for row in range(rows):
            at = draw.randrange(len(population) - 8)
            labels = sorted(set(population[at : at + draw.randint(1, 6)]))
            video = "".join(letters[(row >> shift) & 63] for shift in range(0, 24, 6)) + "abcdefg"
            start = draw.randrange(300)
            text = ",".join(mids[label] for label in labels)
            stream.write(f'{video}, {start}.000, {start + 10}.000, "{text}"\n')
            for number in (0, 200):
                if number in labels:
                    alone[number] += len(labels) == 1
                    others[number].update(f"Class {label}" for label in labels if label != number)
    return {number: (alone[number], dict(others[number])) for number in (0, 200)}


def read_report(text: str) -> tuple[int, dict[str, int]]:
    """Read what the command prints."""
    found = dict(re.findall(r"^(.+) = (\d+)$", text, re.MULTILINE))
    alone = int(found.pop("clips without another label"))
    return alone, {name: int(count) for name, count in found.items()}


if __name__ == "__main__":
    main()
