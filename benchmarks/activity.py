"""``rpt-activity`` on a year of one-minute recordings of 20 sites: time and peak memory of the whole process.

    python benchmarks/activity.py [--work DIR] [--sites 20] [--days 365] [--detections 10000000] [--classes 20]

Makes what ``analyze --rtype detections,detections-parquet`` leaves (a recording of a minute every ten minutes, with an
AudioMoth's clock and serial number), and runs the command on the Parquet table and on the CSV, each in a process of
its own. Exits 1 if one takes more than 60 s or 2 GB.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from britekit.annotations.analyzed import COLUMNS

MOST_S, MOST_GB = 60.0, 2.0
RUN = """
import resource, sys
from britekit.cli import main
status = main(["rpt-activity", "-l", "labels", "-o", "report", "--occasion", "week"])
used = resource.getrusage(resource.RUSAGE_SELF)
print("peak", used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(status)
"""
_ROWS = 500_000


def main() -> int:
    """Print seconds and peak of each run; 1 if one is above the limits."""
    options = _options()
    failed = False
    with tempfile.TemporaryDirectory(prefix="activity-", dir=options.work) as name:
        folder = Path(name)
        make_archive(folder, options.sites, options.days, options.detections, options.classes)
        tables = {table: folder / "labels" / f"detections.{table}" for table in ("parquet", "csv")}
        for table, path in tables.items():
            other = tables["csv" if table == "parquet" else "parquet"]
            other.rename(folder / other.name)
            print(f"{table}: {path.stat().st_size / 1e6:.0f} MB", flush=True)
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True)
            seconds = time.perf_counter() - began
            (folder / other.name).rename(other)
            if done.returncode:
                sys.exit(done.stderr)
            *printed, last = done.stdout.splitlines()
            peak = int(last.split()[1]) * 1024 / 1e9
            failed |= seconds > MOST_S or peak > MOST_GB
            cpu = float(last.split()[2])
            print(
                f"{table}: {seconds:.1f} s ({cpu:.1f} s of a core), peak {peak:.2f} GB",
                *printed[-5:],
                sep="\n  ",
                flush=True,
            )
    return int(failed)


def make_archive(folder: Path, sites: int, days: int, detections: int, classes: int) -> None:
    """Write ``data/deployments.csv`` and what analyze leaves of the recordings."""
    (folder / "data").mkdir()
    labels = folder / "labels"
    labels.mkdir()
    serials = [f"24F3190361{number:06X}" for number in range(sites)]
    with open(folder / "data" / "deployments.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("site", "serial", "latitude", "longitude", "time_zone"))
        rows.writerows(
            (f"site {number:02}", serial, f"{52 + number / 100:.4f}", f"{13 + number / 100:.4f}", "Europe/Berlin")
            for number, serial in enumerate(serials)
        )
    first = datetime(2026, 1, 1, tzinfo=UTC)
    starts = [first + timedelta(minutes=10 * step) for step in range(days * 144)]
    names = [f"{number:02}/{start:%Y%m%d_%H%M%S}" for number in range(sites) for start in starts]
    with open(labels / "analyzed.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(
            (
                name,
                "60.0",
                f"archive/{name}.wav",
                start.isoformat(),
                "comment",
                None,
                None,
                f"AudioMoth {serials[place]}",
            )
            for name, (place, start) in zip(names, ((p, s) for p in range(sites) for s in starts), strict=True)
        )
    _write_detections(labels, names, starts, detections, classes)


def _write_detections(labels: Path, names: list[str], starts: list[datetime], count: int, classes: int) -> None:
    """Write detections in random recordings, in the order of these, as both tables."""
    rng = np.random.default_rng(1)
    schema = pyarrow.schema(
        [(name, pyarrow.string()) for name in ("recording", "site")]
        + [(name, pyarrow.float64()) for name in ("start", "end")]
        + [(name, pyarrow.string()) for name in ("time_start", "time_end", "class", "code")]
        + [(name, pyarrow.float64()) for name in ("score", "probability")]
        + [("model", pyarrow.string())]
        + [(name, pyarrow.float64()) for name in ("threshold", "latitude", "longitude")]
    )
    recordings, clocks = (
        pyarrow.array(names),
        pyarrow.array([start.isoformat(timespec="milliseconds") for start in starts]),
    )
    species = pyarrow.array([f"Species {number}" for number in range(classes)])
    codes = pyarrow.array([f"SP{number:03}" for number in range(classes)])
    place = np.sort(rng.integers(0, len(names), count))
    csv_options = arrow_csv.WriteOptions(quoting_style="needed")
    with (
        parquet.ParquetWriter(labels / "detections.parquet", schema, compression="zstd") as typed,
        arrow_csv.CSVWriter(labels / "detections.csv", schema, write_options=csv_options) as text,
    ):
        for at in range(0, count, _ROWS):
            rows = place[at : at + _ROWS]
            n = len(rows)
            kind = rng.integers(0, classes, n)
            start = rng.integers(0, 20, n) * 3.0 - rng.integers(0, 2, n) * 0.5
            start = np.maximum(start, 0.0)
            score = np.round(rng.beta(2, 2, n), 6)
            sites = pyarrow.array([f"site {number:02}" for number in range(100)]).take(rows // len(starts))
            clock = clocks.take(rows % len(starts))
            columns = [
                recordings.take(rows), sites, start, start + 3.0, clock, clock, species.take(kind), codes.take(kind),
                score, score, pyarrow.repeat("seed-1", n), np.full(n, 0.1), np.full(n, 52.0), np.full(n, 13.0),
            ]  # fmt: skip
            table = pyarrow.Table.from_arrays([pyarrow.array(column) for column in columns], schema=schema)
            typed.write_table(table)
            text.write_table(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", help="directory for temporary files, some 2 GB")
    parser.add_argument("--sites", type=int, default=20)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--detections", type=int, default=10_000_000)
    parser.add_argument("--classes", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
