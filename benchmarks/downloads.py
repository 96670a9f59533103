"""Downloads from a local Xeno-canto that misbehaves: all files good, none twice, memory constant.

    python benchmarks/downloads.py            # 500 results over 5 pages, 10 % faults
    python benchmarks/downloads.py --quick    # 50

Each faulty recording misbehaves once: 429, 503, a dropped connection, a body cut in the middle, HTML instead
of audio with either type, a length that promises less or more than there is. What a run reports as failed,
the next one gets. The command runs in a process of its own; its largest memory is compared with that of a
fifth of the results.
"""

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.collect.fake_sites import KEY, FakeSites, make_audio  # noqa: E402

FAULTS = ("429:0", "503", "reset", "cut", "html", "html-as-audio", "promise-less", "promise-more")
# The largest memory of the program itself, as Linux tells it; getrusage counts the parent's too.
CHILD = """
import sys, time
from britekit.cli import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("cpu_s =", time.process_time(), "peak_kb =", peak)
sys.exit(code)
"""


def main() -> None:
    """Run, check and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50 results")
    parser.add_argument("--results", type=int, default=500)
    options = parser.parse_args()
    results = 50 if options.quick else options.results
    small, _ = measure(max(10, results // 5))
    large, ok = measure(results)
    print(f"peak memory for {max(10, results // 5)} results = {small / 1024:.0f} MB")
    print(f"peak memory for {results} results = {large / 1024:.0f} MB")
    print(f"ratio = {large / small:.2f}")
    sys.exit(0 if ok and large < 1.15 * small else 1)


def measure(results: int) -> tuple[int, bool]:
    """Download everything, repeating the command while it reports failures; return peak KB and success."""
    site = FakeSites()
    site.per_page = -(-results // 5)
    pool = [make_audio(seed, 20.0) for seed in range(10)]
    pages_faults = ["503", "429:0", "cut"]
    site.faults["/xc"] = list(pages_faults)
    faulty = 0
    for number in range(1, results + 1):
        path = f"/audio/{number}/download"
        site.add_recording(number, length="0:20")
        # of the same length, and still different from every other
        site.files[path] = (pool[number % len(pool)] + b"TAG" + str(number).encode().ljust(125, b"\0"), "audio/mpeg")
        if number % 10 == 3:
            site.faults[path] = [FAULTS[faulty % len(FAULTS)]]
            faulty += 1
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "local.yaml")
        settings.write_text(f"misc:\n  xeno_url: {site.address}/xc\n  request_pause: 0\n")
        out = Path(folder, "out")
        arguments = ["xeno", "--name", "Barred Owl", "-o", str(out), "-c", str(settings), "--max", str(results)]
        arguments += ["--key", KEY]
        peak, runs, seconds, said = 0, 0, 0.0, ""
        while runs < 3:
            start = time.perf_counter()
            run = subprocess.run(
                [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, cwd=folder, check=False
            )
            seconds += time.perf_counter() - start
            runs += 1
            said += run.stdout + run.stderr
            peak = max(peak, int(run.stdout.rpartition("peak_kb = ")[2] or 0))
            if run.returncode == 0:
                break
        if run.returncode != 0:
            print(said)
        good = wrong = 0
        for path in out.glob("*.mp3"):
            served = site.files[f"/audio/{path.stem[2:]}/download"][0]
            same = hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(served).digest()
            good, wrong = good + same, wrong + (not same)
        left = [path.name for path in out.iterdir() if ".partial" in path.name or "fresh" in path.name]
        with open(out / "recordings.csv", newline="", encoding="utf-8") as stream:
            rows = [row["recording"] for row in csv.DictReader(stream)]
    twice = sum(site.count(path) > 1 + len(FAULTS) for path in site.files)
    complete = [sum(1 for path, *_ in site.asked if path == name) for name in site.files]
    site.close()
    asked_again = sum(count - 1 for count in complete)
    ok = (good, wrong, len(rows), len(set(rows)), left) == (results, 0, results, results, [])
    ok = ok and not twice and KEY not in said and asked_again <= faulty
    print(f"results = {results}, faulty = {faulty}, pages = 5")
    print(f"runs until all was there = {runs}, seconds = {seconds:.1f}")
    print(f"good files = {good}, wrong = {wrong}, left over = {len(left)}")
    print(f"rows = {len(rows)}, different = {len(set(rows))}")
    print(f"requests for audio beyond one each = {asked_again} (faulty answers: {faulty})")
    print(f"key seen in output = {KEY in said}")
    return peak, ok


if __name__ == "__main__":
    main()
