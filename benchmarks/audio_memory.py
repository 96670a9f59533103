"""Peak memory of reading windows of one hour and of 24 hours: whole processes, and their ratio.

    python benchmarks/audio_memory.py [--format FLAC] [--format RF64] [--quick]

``--quick``: 6 minutes against 2.4 hours, which is the same ratio. A day of FLAC takes some minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 32000
EXTENSIONS = {"FLAC": "flac", "RF64": "rf64", "OGG": "ogg", "MP3": "mp3"}
# The least that a recogniser reads: every window, one batch at a time.
CODE = """
import resource, sys
from britekit.audio.windows import Windows
from britekit.audio.window_grid import WindowGrid
from britekit.config.audio import AudioConfig
windows = Windows(sys.argv[1], AudioConfig(), WindowGrid.for_overlap(5.0, 0.0))
count = sum(len(batch.starts) for batch in windows.batches(32))
assert windows.damaged_at is None
print(count, windows.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> int:
    """Print peaks in MB and ratios; 1 if a ratio is above 1.1."""
    options = _options()
    failed = False
    with tempfile.TemporaryDirectory(prefix="audio-memory-", dir=options.work) as name:
        for form in options.format or ["FLAC", "RF64"]:
            peaks = []
            for hours in (0.1, 2.4) if options.quick else (1.0, 24.0):
                path = Path(name) / f"long.{EXTENSIONS[form]}"
                write_long(path, form, hours)
                start = time.perf_counter()
                command = [sys.executable, "-c", CODE, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                count, seconds, peak = done.stdout.split()
                took_s = time.perf_counter() - start
                peaks.append(int(peak) / 1024)
                print(
                    f"{form} {float(seconds) / 3600:g} h: peak {peaks[-1]:.0f} MB, {count} windows, "
                    f"{took_s:.1f} s, {float(seconds) / took_s:.0f} times real time",
                    flush=True,
                )
                path.unlink()
            print(f"{form}_memory_ratio = {peaks[1] / peaks[0]:.3f}")
            failed |= peaks[1] > 1.1 * peaks[0]
    return int(failed)


def write_long(path: Path, form: str, hours: float) -> None:
    """Write noise with calls in it, 16 bits, a minute at a time."""
    time_s = np.arange(RATE * 60) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    minute = 0.05 * noise + 0.3 * np.sin(2 * np.pi * 3000 * time_s) * (np.sin(time_s) > 0.8)
    samples = (minute * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", RATE, 1, format=form) as file:
        for _ in range(round(hours * 60)):
            # libsndfile crashes when it encodes a long Vorbis buffer in one call.
            for at in range(0, len(samples), RATE):
                file.write(samples[at : at + RATE])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--format", action="append", choices=list(EXTENSIONS), help="default: FLAC and RF64")
    parser.add_argument("--work", type=Path, help="folder for the recordings (5.5 GB for a day of RF64)")
    parser.add_argument("--quick", action="store_true", help="6 minutes against 2.4 hours")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
