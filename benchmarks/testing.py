"""How fast is a test, and how much memory does it take, beside public britekit? Prints ratios of one run.

    python benchmarks/testing.py --public PROGRAM [--recordings 1000] [--minutes 10] [--classes 100] [--quick]

Recordings are silent, scores and annotations are drawn at random; every segment and class has a score
(min_score 0). Both programs read the same annotations, the same ``scores.csv`` and the same recordings, and
write their whole report per segment. Whole processes are measured, start included: seconds by the clock,
memory as the largest resident set of the process. PROGRAM is the `britekit` of an environment with the public
package; the variable BRITEKIT_PUBLIC names it too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
LENGTH_S = 5
# Runs a command and prints its seconds, its peak of memory in MB and its exit code as JSON.
_METER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "mb": used.ru_maxrss / 1024, "code": done.returncode}))
"""


def make_test(root: Path, recordings: int, minutes: float, classes: int, seed: int = 0) -> None:
    """Write recordings, annotations and one table of labels."""
    rng = np.random.default_rng(seed)
    rows = int(minutes * 60 / LENGTH_S)
    (root / "labels").mkdir(parents=True)
    silence = root / "rec0000.wav"
    soundfile.write(silence, np.zeros(int(minutes * 60 * 8000), np.int16), 8000)
    names = [f"rec{k:04}" for k in range(recordings)]
    for name in names[1:]:
        os.link(silence, root / f"{name}.wav")
    codes = [f"C{k:03}" for k in range(classes)]
    usual = rng.beta(0.5, 12, classes)
    times = np.char.add(
        np.char.add(np.char.mod("%.1f", np.arange(rows) * LENGTH_S), ","),
        np.char.mod("%.1f", (np.arange(rows) + 1) * LENGTH_S),
    )
    middles = [np.char.add(np.char.add(f",{code},", times), ",").tolist() for code in codes]
    with open(root / "annotations.csv", "w") as claims, open(root / "labels" / "scores.csv", "w") as table:
        claims.write("recording,class,start_time,end_time\n")
        table.write("recording,name,start_time,end_time,score\n")
        for name in names:
            here = rng.random(classes) < 0.15
            truth = (rng.random((classes, rows)) < usual[:, None]) & here[:, None]
            z = rng.normal(-5, 1.5, (classes, rows)) + rng.normal(0, 0.7, (classes, 1)) + 5 * truth
            scores = np.char.mod("%.6f", 1 / (1 + np.exp(-z))).tolist()
            for c, code in enumerate(codes):
                head = name
                table.write("".join([head + m + s + "\n" for m, s in zip(middles[c], scores[c])]))
                for k in np.flatnonzero(truth[c]):
                    claims.write(f"{name},{code},{k * LENGTH_S + 1},{k * LENGTH_S + 4}\n")


def measure(command: list[str], log: Path) -> dict[str, float]:
    """Run a command in a process of its own; return seconds, peak memory in MB and exit code."""
    meter = [sys.executable, "-c", _METER, str(log), *command]
    # A path set for one of the programs would lead the other to the wrong package.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(meter, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    result: dict[str, float] = json.loads(done.stdout)
    if result["code"]:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SystemExit(f"{' '.join(command)} failed with exit code {result['code']}:\n{tail}")
    return result


def main() -> None:
    """Measure both programs on the same test and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--public", default=os.environ.get("BRITEKIT_PUBLIC"), metavar="PROGRAM")
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--folder", help="keep the made test and the reports here (default: removed)")
    parser.add_argument("--quick", action="store_true", help="40 recordings of 5 minutes, 50 classes")
    options = parser.parse_args()
    if options.quick:
        options.recordings, options.minutes, options.classes = 40, 5, 50
    root = Path(options.folder or tempfile.mkdtemp(prefix="testing-")).resolve()
    try:
        if not (root / "data" / "annotations.csv").exists():
            make_test(root / "data", options.recordings, options.minutes, options.classes)
        cells = options.recordings * int(options.minutes * 60 / LENGTH_S) * options.classes
        print(f"cells = {cells}")
        arguments = [
            "rpt-test", "-g", "segment", "-a", str(root / "data" / "annotations.csv"), "-l",
            str(root / "data" / "labels"), "-m", "0.5",
        ]  # fmt: skip
        here = [sys.executable, "-m", "britekit"]
        mine = measure([*here, *arguments, "-o", str(root / "ours")], root / "ours.log")
        print(f"ours = {mine['seconds']:.1f} s, {mine['mb']:.0f} MB", flush=True)
        if not options.public:
            print("public = not measured; name its program with --public or BRITEKIT_PUBLIC")
            return
        other = measure([options.public, *arguments, "-o", str(root / "public")], root / "public.log")
        print(f"public = {other['seconds']:.1f} s, {other['mb']:.0f} MB")
        print(f"time ratio = {other['seconds'] / mine['seconds']:.1f} (wanted: at least 10)")
        print(f"memory ratio = {other['mb'] / mine['mb']:.1f} (wanted: at least 5)")
    finally:
        if not options.folder:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
