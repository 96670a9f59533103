"""How long do the commands of a training database take with a million segments? Prints figures of one run.

    python benchmarks/database.py [--segments 1000000] [--public DIR/bin/python] [--work DIR] [--quick]

Each command runs as typed, in a process of its own; its time includes Python's start. `--public` names the
Python of an environment that has public britekit 1.8.4 (default: the environment variable BRITEKIT_PUBLIC);
its insertion of spectrograms is then measured beside ours. It commits every row, so it
gets fewer (`--public-inserted`). `--quick` uses 20,000 segments.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from made_database import SIZE, TARGET, make_database

PARAMS = f"audio:\n  spec_duration: 1.0\n  spec_height: {SIZE}\n  spec_width: {SIZE}\n"

# What a user of public britekit 1.8.4 writes to store spectrograms, by its documented methods.
PUBLIC = """
import sys, time, zlib
import numpy as np
import britekit
path, count = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
values = [zlib.compress(rng.integers(0, 9, 4096).astype(np.uint8).tobytes()) for _ in range(100)]
database = britekit.TrainingDatabase(path)
start = time.perf_counter()
group = database.insert_specgroup("measured")
source = database.insert_source("measured")
name = database.insert_class(1, "Measured")
recording = None
for number in range(count):
    if number % 20 == 0:
        recording = database.insert_recording(source, f"{number}.wav", f"/in/{number}.wav", 60)
    segment = database.insert_segment(recording, float(number % 20))
    database.insert_segment_class(segment, name)
    database.insert_specvalue(values[number % 100], group, segment)
print(time.perf_counter() - start)
"""


# The highest memory comes from the process itself: what `wait4` tells includes that of whoever started it.
RUN = """
import sys
from britekit.cli import main
code = main(sys.argv[1:])
high = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("high =", high[0].split()[1], file=sys.stderr)
sys.exit(code)
"""


def timed(*command: str, cwd: Path) -> tuple[float, float]:
    """Run a command; return seconds and the highest memory in MiB. Its failure ends the measurement."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", RUN, *command], cwd=cwd, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"britekit {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return seconds, int(done.stderr.rpartition("high = ")[2]) / 1024


def say(what: str, measured: tuple[float, float], limit: float | None = None) -> None:
    """Print one figure beside its limit."""
    bar = "" if limit is None else f" (limit {limit:g} s: {'kept' if measured[0] <= limit else 'MISSED'})"
    print(f"{what}: {measured[0]:.2f} s, {measured[1]:.0f} MiB{bar}", flush=True)


def commands(work: Path, database: Path, segments: int) -> None:
    """Time each command on a copy of the database."""
    for what, options in {"rpt-db": ["rpt-db", "-o", "report"]}.items():
        say(what, timed(*options, "-d", str(database), cwd=work), 10.0)
    copy = work / "copy.db"
    shutil.copyfile(database, copy)
    (work / "rows.csv").write_text(
        "recording,offset\n"
        + "".join(f"R{number // 20:07},{number % 20}\n" for number in range(segments - 1000, segments))
    )
    target = min(10_000, segments // 10)
    changes = {
        "add-class": ["add-class", "--name", "New", "--code", "NEW"],
        "del-rec (one recording)": ["del-rec", "--name", "R0000000.wav"],
        "copy-class (10,000 segments)": ["copy-class", "--name", TARGET],
        "del-seg (1,000 segments)": ["del-seg", "--name", TARGET, "--csv", "rows.csv"],
        f"del-class ({target - 1000:,} segments)": ["del-class", "--name", TARGET],
        "del-src (a quarter)": ["del-src", "--name", "archive"],
        "del-sgroup (all that is left)": ["del-sgroup", "--name", "default"],
    }
    for what, options in changes.items():
        place = (
            ["--src-db", str(copy), "--dest-db", str(work / "part.db")]
            if options[0] == "copy-class"
            else ["-d", str(copy)]
        )
        say(what, timed(*options, *place, cwd=work), 5.0 if options[0] == "del-class" else None)
    copy.unlink()


def whole_class(work: Path, database: Path) -> None:
    """Time `del-class` of the whole target on a fresh copy."""
    copy = work / "copy.db"
    shutil.copyfile(database, copy)
    say("del-class (10,000 segments)", timed("del-class", "--name", TARGET, "-d", str(copy), cwd=work), 5.0)
    copy.unlink()


def pickles(work: Path, database: Path, segments: int) -> None:
    """Time `pickle` of 10,000 and of ten times as many spectrograms, and compare their memory."""
    used = []
    for count in (max(segments // 100, 500), max(segments // 10, 5_000)):
        most = max(1, count // 200)
        measured = timed(
            "pickle", "-d", str(database), "-o", "out.pkl", "-m", str(most), cwd=work
        )  # fmt: skip
        size = (work / "out.pkl").stat().st_size
        say(f"pickle (at most {most} of each of 201 classes, {size / 1e6:.1f} MB)", measured)
        used.append(measured[1])
    # Reads and compresses nothing else than zlib itself does.
    value = zlib.compress(np.zeros(SIZE * SIZE, np.uint8).tobytes())
    start = time.perf_counter()
    for _ in range(10_000):
        zlib.decompress(value)
    print(f"inflating alone: {(time.perf_counter() - start) * 1e2:.1f} us per spectrogram")
    print(f"memory, ten times as many spectrograms: x {used[1] / used[0]:.2f}")


def insertion(work: Path, public: str | None, count: int, public_count: int) -> None:
    """Store segments, links and spectrograms as an extraction does, beside public britekit."""
    from britekit.database.classes import add_class
    from britekit.database.recordings import add_recording, get_or_add_source
    from britekit.database.segments import add_links, add_segments
    from britekit.database.session import open_database
    from britekit.database.spectrograms import add_values, get_or_add_group

    rng = np.random.default_rng(0)
    values = [zlib.compress(rng.integers(0, 9, 4096).astype(np.uint8).tobytes()) for _ in range(100)]
    with open_database(work / "ours.db", "create") as session:
        start = time.perf_counter()
        group, source = get_or_add_group(session, "measured"), get_or_add_source(session, "measured")
        name = add_class(session, "Measured")
        for first in range(0, count, 20):
            recording = add_recording(session, source, f"{first}.wav", f"/in/{first}.wav", 60.0)
            segments = add_segments(session, recording, [float(number) for number in range(20)])
            add_links(session, ((segment, name) for segment in segments))
            add_values(session, group, [(key, values[(first + k) % 100]) for k, key in enumerate(segments)])
            session.commit()
        ours = time.perf_counter() - start
    print(f"inserting {count:,} spectrograms, a transaction per recording of 20: {ours:.2f} s")
    if not public:
        print("public britekit was not given (--public), so there is no ratio")
        return
    done = subprocess.run(
        [public, "-c", PUBLIC, str(work / "public.db"), str(public_count)],
        capture_output=True,
        text=True,
        check=True,
        cwd=work,
    )
    theirs = float(done.stdout.split()[-1])
    ratio = (theirs / public_count) / (ours / count)
    print(
        f"public britekit, {public_count:,} spectrograms: {theirs:.2f} s; ratio per spectrogram = "
        f"{ratio:.1f} (at least 10: {'kept' if ratio >= 10 else 'MISSED'})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--inserted", type=int, default=100_000)
    parser.add_argument("--public-inserted", type=int, default=2_000, help="spectrograms for public britekit")
    parser.add_argument("--public", default=os.environ.get("BRITEKIT_PUBLIC"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.segments, options.inserted, options.public_inserted = 20_000, 2_000, 200
    if options.work is not None:
        Path(options.work).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work = Path(folder)
        (work / "params.yaml").write_text(PARAMS)
        insertion(work, options.public, options.inserted, min(options.public_inserted, options.inserted))
        start = time.perf_counter()
        make_database(work / "million.db", options.segments, embedded=options.segments // 20)
        size = (work / "million.db").stat().st_size
        built = time.perf_counter() - start
        print(f"{options.segments:,} segments: {size / 1e9:.2f} GB, built in {built:.0f} s")
        whole_class(work, work / "million.db")
        commands(work, work / "million.db", options.segments)
        pickles(work, work / "million.db", options.segments)


if __name__ == "__main__":
    main()
