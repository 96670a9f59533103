"""Training speed: ours, ours compiled and public britekit in one run, and what augmentation takes of a step.

    python benchmarks/training.py --public /path/to/public/venv/bin/britekit [--models NAME ...] [--quick]

Each program trains by its own command on the same file of random content: 256 spectrograms of 128 × 480 in
batches of 64, all default augmentations. A short and a long run differ by some epochs only, so that loading,
the first epoch and compilation cancel: spectrograms per second = spectrograms of those epochs / difference of
the times. Programs alternate. ``--quick``: effnet.1, 128 spectrograms, not compiled.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import yaml

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
            measure(model, work, count, options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--public", default=os.environ.get("BRITEKIT_PUBLIC"), help="program to compare with")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: the five of the goal")
    parser.add_argument("--spectrograms", type=int, default=256)
    parser.add_argument("--epochs", type=int, nargs=2, default=(2, 6), metavar=("SHORT", "LONG"))
    parser.add_argument("--rounds", type=int, default=2, help="each run so often; the best difference counts")
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


def measure(model: str, work: Path, count: int, options: argparse.Namespace) -> None:
    """Print the speeds of one model, and their ratios to public britekit."""
    ours = [sys.executable, "-m", "britekit"]
    programs: dict[str, tuple[list[str], bool]] = {"ours": (ours, False)}
    if not options.quick:
        programs["compiled"] = (ours, True)
    if options.public:
        programs["public"] = ([options.public], False)
    speeds = dict.fromkeys(programs, 0.0)
    short, long = options.epochs
    if "compiled" in programs:  # what is compiled is kept on disk: the first run alone would pay for it
        run(programs["compiled"][0], model, short, work, True, False, options.cpu)
    for _ in range(options.rounds):
        for name, (command, compile_it) in programs.items():
            times = [
                run(command, model, epochs, work, compile_it, name == "public", options.cpu)
                for epochs in (short, long)
            ]
            speeds[name] = max(speeds[name], (long - short) * count / max(1e-3, times[1] - times[0]))
    for name, speed in speeds.items():
        ratio = f" ({speed / speeds['public']:.2f} × public)" if options.public and name != "public" else ""
        print(f"{model} {name}: {speed:.1f} spectrograms/s{ratio}", flush=True)
    augmentation, constant, whole = step_parts(model, work / "training.pkl", options)
    print(
        f"{model} augmentation: {100 * augmentation / whole:.1f} % of a step; whole step at "
        f"{100 * constant / whole:.0f} % of the speed with one constant batch",
        flush=True,
    )


def run(
    command: list[str], model: str, epochs: int, work: Path, compile_it: bool, public: bool, cpu: bool
) -> float:
    """Seconds of one run of a program's own `train`."""
    settings = {
        "audio": {"spec_height": HEIGHT, "spec_width": WIDTH},
        "train": {
            "model_type": model,
            "train_pickle": str(work / "training.pkl"),
            "num_epochs": epochs,
            "batch_size": BATCH,
            "compile": compile_it,
        },
    }
    if not public:
        # Ours would shrink the batch of so small a set.
        settings["train"]["min_steps"] = 1
        settings["misc"] = {"force_cpu": cpu}
    place = work / ("public" if public else "ours")
    place.mkdir(exist_ok=True)
    (place / "settings.yaml").write_text(yaml.safe_dump(settings))
    root = str(Path(__file__).resolve().parents[1])
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not public:
        env["PYTHONPATH"] = root
    begun = time.monotonic()
    done = subprocess.run(
        [*command, "train", "-c", "settings.yaml", "--seed", "1"],
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return time.monotonic() - begun


def step_parts(model: str, path: Path, options: argparse.Namespace) -> tuple[float, float, float]:
    """Median seconds of mixing and augmentation, of a step on one constant batch, and of a whole step."""
    import torch

    from britekit.config import BaseConfig
    from britekit.datasets.batches import Bank, TrainingBatches
    from britekit.datasets.training_set import read_training_set
    from britekit.training import preparation as prepare
    from britekit.training.allocator import keep_freed_memory
    from britekit.training.devices import choose_device, memory_format
    from britekit.training.losses import compute_loss
    from britekit.training.optimizers import build_optimizer

    cfg = BaseConfig()
    cfg.audio.spec_height, cfg.audio.spec_width, cfg.train.model_type = HEIGHT, WIDTH, model
    samples = read_training_set(path)
    device = choose_device(options.cpu)
    if device.type == "cpu":
        keep_freed_memory()
    layout = memory_format(device)
    network = prepare.make_recognizer(cfg, samples.classes).to(device, memory_format=layout).train()  # type: ignore[call-overload]
    optimizer = build_optimizer(network, "adamw", 1e-4, 0.01, 0.9, 0.999)
    batches = TrainingBatches(
        Bank(samples, device),
        torch.arange(len(samples.images)),
        BATCH,
        1,
        prepare.make_chain(cfg),
        prepare.make_mixing(cfg),
        0,
    )
    loss_settings = prepare.loss_settings(cfg)
    batches.begin_epoch(0)
    index = next(iter(batches.indices(0)))

    def timed(work: object) -> float:
        begun = time.perf_counter()
        work()  # type: ignore[operator]
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    def step(batch: object) -> None:
        optimizer.zero_grad(set_to_none=True)
        segment, frames = network(batch.images.contiguous(memory_format=layout))  # type: ignore[attr-defined]
        compute_loss(segment, frames, batch.targets, batch.merged, loss_settings).backward()  # type: ignore[attr-defined]
        optimizer.step()

    constant = batches.make(index)
    step(constant)
    rows = []
    for _ in range(3 if options.quick else 12):
        making = timed(lambda: batches.make(index))
        alone = timed(lambda: step(constant))
        rows.append((making, alone, timed(lambda: step(batches.make(index)))))
    made, alone, whole = np.median(np.array(rows), axis=0)
    return float(made), float(alone), float(whole)


if __name__ == "__main__":
    sys.exit(main())
