"""How fast pictures are drawn and files inspected, and that memory does not grow with a recording's length.

    python benchmarks/pictures.py            # 1 h against 24 h, some minutes
    python benchmarks/pictures.py --quick    # 10 min against 40 min

Each figure is that of a whole process. FLAC at 16 kHz, noise with pulses; mono.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

RATE = 16_000


def make_recording(path: Path, seconds: int) -> None:
    """Write noise with pulses, minute by minute."""
    rng = np.random.default_rng(1)
    minute = rng.standard_normal(60 * RATE).astype(np.float32) * 0.02
    minute[:: RATE // 2] = 0.9
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for _ in range(seconds // 60):
            file.write(minute)


def run(*arguments: str) -> tuple[float, float]:
    """Run the program; return seconds and peak memory in MB."""
    program = (
        "import resource, sys; from britekit.cli import main; code = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return time.monotonic() - start, float(done.stderr.split()[-1]) / scale


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    short, long = (600, 2400) if parser.parse_args().quick else (3600, 86_400)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = {seconds: root / f"{seconds}.flac" for seconds in (short, long)}
        for seconds, path in files.items():
            make_recording(path, seconds)
        for name, command in {
            "plot-rec --all": lambda path: ["plot-rec", "-i", str(path), "-o", str(root / "whole"), "--all"],
            "plot-rec --sheet": lambda path: ["plot-rec", "-i", str(path), "-o", str(root / "sheet"), "--sheet"],
            "audio-info": lambda path: ["audio-info", str(path)],
        }.items():
            peaks = []
            for seconds, path in files.items():
                took, peak = run(*command(path))
                peaks.append(peak)
                print(f"{name}, {seconds} s: {took:.1f} s, {seconds / took:.0f} x real time, peak {peak:.0f} MB")
            print(f"{name}: peak memory of the long one is {peaks[1] / peaks[0]:.2f} of the short one's (at most 1.10)")
        some = root / "some.flac"
        make_recording(some, 300)
        took, _ = run("plot-rec", "-i", str(some), "-o", str(root / "segments"))
        bare, _ = run("plot-rec", "-i", str(some), "-o", str(root / "bare"), "--ndims")
        print(f"60 pictures with axes: {took / 60 * 1000:.0f} ms each, without: {bare / 60 * 1000:.0f} ms each")


if __name__ == "__main__":
    main()
