"""Peak memory of training beyond the spectrograms themselves, at a realistic number of them.

    python benchmarks/training_memory.py [--spectrograms N] [--workers N ...] [--quick]

Writes a training file of 100,000 spectrograms of 128 × 480 that compress to more than 60 % (the lower bits
are noise), then starts `train` for three steps of a small network, eight spectrograms each (what a network
needs for its own batch is no matter of the file), and reads the peak of its resident memory. One copy of the
8-bit array is 6.1 GB; the rest must stay below 1.5 GB, whatever ``train.num_workers`` is.
``--quick``: 4,000 spectrograms.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from britekit.datasets.pickle_writer import PickleWriter

HEIGHT, WIDTH = 128, 480
ALLOWED_MB = 1500.0
CLASSES = ["Noise", *(f"Class {number}" for number in range(1, 50))]

# Ends at the first step: by then everything has been read, checked and put in its place.
CHILD = """
import sys
from britekit.training.loop import TrainingLoop
taken = TrainingLoop._step
steps = []
def once(self, *arguments):
    steps.append(1)
    if len(steps) > 3:
        raise KeyboardInterrupt
    return taken(self, *arguments)
TrainingLoop._step = once
from britekit.config import resolve
from britekit.training.trainer import train
try:
    train(resolve("settings.yaml"), seed=1)
except KeyboardInterrupt:
    pass
import resource
assert len(steps) > 3
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def spectrograms(count: int) -> Iterator[bytes]:
    """Compressed values: smooth bands with noise in the lower bits."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 160, WIDTH).astype(np.uint8)
    for number in range(count):
        image = rng.integers(0, 16, (HEIGHT, WIDTH), dtype=np.uint8) + np.roll(ramp, number)
        yield zlib.compress(image.tobytes(), 1)


def write_file(path: Path, count: int) -> float:
    """Write the training file in constant memory; the ratio of compressed to plain size."""
    with open(path, "wb", buffering=1 << 20) as file:
        writer = PickleWriter(file)
        writer.entry("class_names", CLASSES)
        writer.entry("class_codes", [f"C{number}" for number in range(len(CLASSES))])
        writer.entry("alt_names", [""] * len(CLASSES))
        writer.entry("alt_codes", [""] * len(CLASSES))
        writer.entry("spec_height", HEIGHT)
        writer.entry("spec_width", WIDTH)
        writer.list_entry("spec_class_indexes", ([number % len(CLASSES)] for number in range(count)))
        for name in ("spec_segment_ids", "spec_recording_ids", "spec_group_ids"):
            writer.list_entry(name, list(range(count)))
        writer.list_entry("spec_values", spectrograms(count))
        writer.close()
    return path.stat().st_size / (count * HEIGHT * WIDTH)


def main() -> int:
    """Measure for each number of workers; 1 if the peak is too high."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--spectrograms", type=int, default=100_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 3, 16])
    parser.add_argument("--folder", help="where the file goes (default: the temporary folder)")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    count = 4_000 if options.quick else options.spectrograms
    array_mb = count * HEIGHT * WIDTH / 2**20
    failed = False
    with tempfile.TemporaryDirectory(prefix="training-memory-", dir=options.folder) as name:
        work = Path(name)
        ratio = write_file(work / "training.pkl", count)
        print(f"{count} spectrograms, compressed to {100 * ratio:.0f} %; the array is {array_mb:.0f} MB")
        for workers in options.workers:
            rest = _peak_mb(work, workers) - array_mb
            failed |= rest > ALLOWED_MB
            print(f"num_workers {workers}: array + {rest:.0f} MB (at most {ALLOWED_MB:.0f})", flush=True)
    return int(failed)


def _peak_mb(work: Path, workers: int) -> float:
    settings = {
        "audio": {"spec_height": HEIGHT, "spec_width": WIDTH},
        "train": {
            "model_type": "timm.test_efficientnet",
            "train_pickle": "training.pkl",
            "num_epochs": 1,
            # Activations grow with the network and the batch, not with the training file.
            "batch_size": 8,
            "num_workers": workers,
        },
        "misc": {"force_cpu": True},
    }
    (work / "settings.yaml").write_text(yaml.safe_dump(settings))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "WANDB_MODE": "disabled"}
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=work, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"train failed: {done.stderr.strip()[-800:]}")
    return float(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
