"""Training speed: ours, ours compiled and public britekit in one run, and what augmentation takes of a step.

    python benchmarks/training.py --public /path/to/public/venv/bin/python [--models NAME ...] [--quick]

Each program trains by its own command on the same file of random content: spectrograms of 128 × 480 in
batches of 64, all default augmentations. A short and a long run of one process differ by some epochs only,
so that loading, the first epoch and compilation cancel: spectrograms per second = spectrograms of those
epochs / difference of the times. Programs alternate. ``--quick``: effnet.1, 128 spectrograms, not compiled.
On a GPU give it more to do: ``--spectrograms 4096``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

if TYPE_CHECKING:
    from britekit.datasets.batches import Batch

MODELS = ("effnet.1", "effnet.4", "vovnet.4", "gernet.4", "timm.mobilenetv3_small_100")
HEIGHT, WIDTH, BATCH = 128, 480, 64
CLASSES = ("Noise", *(f"Class {number}" for number in range(1, 10)))


def main() -> int:
    """Measure every model and print the ratios; 1 if a program failed."""
    options = _options()
    os.environ.setdefault("WANDB_MODE", "disabled")
    count = 128 if options.quick else options.spectrograms
    models = options.models or (MODELS[:1] if options.quick else MODELS)
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        work = Path(name)
        write_random_pickle(work / "training.pkl", count)
        for model in models:
            # New processes for each: what a large network leaves in memory is no matter of the next one.
            place = work / model
            place.mkdir()
            programs = {"ours": Program(place / "ours", sys.executable, False)}
            if not options.quick and not options.no_compiled:
                programs["compiled"] = Program(place / "compiled", sys.executable, False)
            if options.public:
                programs["public"] = Program(place / "public", options.public, True)
            measure(model, programs, work / "training.pkl", count, options)
            for program in programs.values():
                program.close()
            measure_parts(model, work / "training.pkl", options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--public", help="Python of the environment that has what to compare with")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: the five of the goal")
    parser.add_argument("--spectrograms", type=int, default=256)
    parser.add_argument("--epochs", type=int, nargs=2, default=(2, 6), metavar=("SHORT", "LONG"))
    parser.add_argument("--rounds", type=int, default=2, help="each run so often; the best difference counts")
    parser.add_argument("--no-compiled", action="store_true", help="leave out what is compiled")
    parser.add_argument("--cpu", action="store_true", help="not on the GPU")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.epochs, options.rounds = (1, 2), 1
    return options


def write_random_pickle(path: Path, count: int) -> None:
    """A training file of uniform noise that both programs read."""
    rng = np.random.default_rng(0)
    content = {
        "class_names": list(CLASSES),
        "class_codes": [f"C{number}" for number in range(len(CLASSES))],
        "alt_names": list(CLASSES),
        "alt_codes": [f"A{number}" for number in range(len(CLASSES))],
        "spec_values": [zlib.compress(rng.bytes(HEIGHT * WIDTH)) for _ in range(count)],
        "spec_class_indexes": [[number % len(CLASSES)] for number in range(count)],
        "spec_segment_ids": list(range(count)),
        "spec_recording_ids": list(range(count)),
        "spec_group_ids": list(range(count)),
        "spec_height": HEIGHT,
        "spec_width": WIDTH,
        "audio": {},
    }
    path.write_bytes(pickle.dumps(content, protocol=4))


# A program that trains as often as it is told to, by its own command line, and says how long each run took.
CHILD = """
import json, sys, time
said, sys.stdout = sys.stdout, sys.stderr
from britekit import cli
for line in sys.stdin:
    begun = time.monotonic()
    if PUBLIC:
        cli.cli(json.loads(line), standalone_mode=False)
    elif cli.main(json.loads(line)):
        sys.exit(1)
    print(time.monotonic() - begun, file=said, flush=True)
"""


class Program:
    """One program in a process and folder of its own."""

    def __init__(self, place: Path, python: str, public: bool):
        place.mkdir()
        self.place, self.public = place, public
        others = os.environ.get("PUBLIC_PATH" if public else "PYTHONPATH", "")
        paths = others if public else f"{Path(__file__).resolve().parents[1]}{os.pathsep}{others}"
        with open(place / "log.txt", "w") as log:
            self.process = subprocess.Popen(
                [python, "-c", CHILD.replace("PUBLIC", str(public))],
                cwd=place,
                env={**os.environ, "PYTHONPATH": paths},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def train(self, model: str, epochs: int, pickle_path: Path, compile_it: bool, cpu: bool) -> float:
        """Seconds of one run."""
        settings: dict[str, dict[str, Any]] = {
            "audio": {"spec_height": HEIGHT, "spec_width": WIDTH},
            "train": {
                "model_type": model,
                "train_pickle": str(pickle_path),
                "num_epochs": epochs,
                "batch_size": BATCH,
                "compile": compile_it,
            },
        }
        if not self.public:
            # Ours would shrink the batch of so small a set.
            settings["train"]["min_steps"] = 1
            settings["misc"] = {"force_cpu": cpu}
        (self.place / "settings.yaml").write_text(yaml.safe_dump(settings))
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write('["train", "-c", "settings.yaml", "--seed", "1"]\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.place.name} failed: {(self.place / 'log.txt').read_text().strip()[-800:]}")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(
    model: str, programs: dict[str, Program], pickle_path: Path, count: int, options: argparse.Namespace
) -> None:
    """Print the speeds of one model, and their ratios to public britekit."""
    speeds = dict.fromkeys(programs, 0.0)
    short, long = options.epochs
    for turn in range(options.rounds):
        for name, program in programs.items():
            arguments = (pickle_path, name == "compiled", options.cpu)
            if turn == 0:  # programs import what they need in their first run; what is compiled is kept
                program.train(model, 1, *arguments)
            times = [program.train(model, epochs, *arguments) for epochs in (short, long)]
            speeds[name] = max(speeds[name], (long - short) * count / max(1e-3, times[1] - times[0]))
    for name, speed in speeds.items():
        ratio = f" ({speed / speeds['public']:.2f} × public)" if "public" in speeds and name != "public" else ""
        print(f"{model} {name}: {speed:.1f} spectrograms/s{ratio}", flush=True)


def measure_parts(model: str, pickle_path: Path, options: argparse.Namespace) -> None:
    """Print what mixing and augmentation take of a step."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        constant, whole = pool.submit(step_parts, model, pickle_path, options).result()
    print(
        f"{model} mixing and augmentation: {100 * (whole - constant) / whole:.1f} % of a step; whole step at "
        f"{100 * constant / whole:.0f} % of the speed with one constant batch ({1000 * constant:.1f} ms)",
        flush=True,
    )


def step_parts(model: str, path: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Median seconds of a step on one constant batch, and of a step with a batch that is made for it.

    Steps follow each other without waiting, as in training: what a GPU does while the next batch is prepared
    counts once.
    """
    import torch

    from britekit.config import BaseConfig
    from britekit.datasets.bank import Bank
    from britekit.datasets.batches import TrainingBatches
    from britekit.datasets.training_set import read_training_set
    from britekit.training import configured
    from britekit.training.devices import choose_device, memory_format, place
    from britekit.training.losses import compute_loss
    from britekit.training.malloc import keep_freed_memory
    from britekit.training.optimizers import build_optimizer
    from britekit.training.ranks import World
    from britekit.training.run_on_device import as_run

    cfg = BaseConfig()
    cfg.audio.spec_height, cfg.audio.spec_width, cfg.train.model_type = HEIGHT, WIDTH, model
    samples = read_training_set(path)
    device = choose_device(options.cpu)
    if device.type == "cpu":
        keep_freed_memory()
    layout = memory_format(device)
    network = configured.make_recognizer(cfg, samples.classes)
    place(network, device)
    optimizer = build_optimizer(network, "adamw", 1e-4, 0.01, 0.9, 0.999)
    forward = as_run(network, optimizer, cfg, BATCH, layout, World())
    batches = TrainingBatches(
        Bank(samples, device),
        torch.arange(len(samples.images)),
        BATCH,
        1,
        configured.make_chain(cfg),
        configured.make_mixing(cfg),
        0,
    )
    loss_settings = configured.loss_settings(cfg)
    batches.begin_epoch(0)
    index = next(iter(batches.indices(0)))
    many = 1 if device.type == "cpu" else 30

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        segment, frames = forward(batch.images.contiguous(memory_format=layout))
        compute_loss(segment, frames, batch.targets, batch.merged, loss_settings).backward()
        optimizer.step()

    def timed(work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        for _ in range(many):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begun) / many

    constant = batches.make(index)
    step(constant)
    rows = [
        (timed(lambda: step(constant)), timed(lambda: step(batches.make(index))))
        for _ in range(3 if options.quick else 6)
    ]
    alone, whole = np.median(np.array(rows), axis=0)
    return float(alone), float(whole)


if __name__ == "__main__":
    sys.exit(main())
