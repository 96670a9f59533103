"""How near is analyze to the work it cannot avoid? Each step alone, then the whole process; prints the ratio.

    python benchmarks/inference_limits.py [--quick] [--work DIR] [--model TYPE] [--members N]

Seconds of processor time of decoding, resampling, spectrograms and models for the recordings of
benchmarks/inference.py, on one thread each, models on one constant window. The whole process should take at
most 1.2 times their sum over the number of cores, plus 2 s to start.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from inference import FORMATS
from made_models import own_models
from made_recordings import joined
from processes import measure, ours

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import BLOCK_SECONDS, AudioReader
from britekit.audio.spectrogram import normalize, segment_of, spectrogram_transform
from britekit.audio.threads import single_threaded_products
from britekit.audio.window_grid import WindowGrid
from britekit.config import AudioConfig
from britekit.inference.exported import ExportedModel
from britekit.processes import available_cores

_CONSTANT_WINDOWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="recordings of two minutes for thirty")
    parser.add_argument("--model", default="effnet.1")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "britekit-benchmark")
    options = parser.parse_args()
    seconds = 120 if options.quick else 1800
    folder = options.work / f"recordings-{seconds}"
    paths = [joined(folder / f"{end}.{end}", seconds, number) for number, end in enumerate(FORMATS)]
    models = own_models(options.work / "ours" / f"{options.model}-{options.members}", options.model, options.members)
    steps = dict.fromkeys(("decode", "resample", "transform"), 0.0)
    windows = 0
    with single_threaded_products():
        for path in paths:
            windows += time_steps(path, AudioConfig(), steps)
    steps["model"] = windows * sum(time_model(path) for path in sorted(models.glob("*.onnx")))
    for step, taken in steps.items():
        print(f"{step:10} {taken:7.2f} s of processor, {1000 * taken / windows:6.2f} ms a window")
    with tempfile.TemporaryDirectory(dir=options.work) as output:
        whole = min(
            (
                measure(ours("analyze", "-i", folder, "-o", output, "--ckpt", models), cwd=Path(output))
                for _ in range(2)
            ),
            key=lambda run: run.wall_s,
        )
    cores = available_cores()
    total = sum(steps.values())
    bound = 1.2 * total / cores + 2
    print(f"sum        {total:7.2f} s of processor, over {cores} cores {total / cores:.2f} s")
    print(f"the whole  {whole}")
    print(f"times the sum over the cores = {whole.wall_s / (total / cores):.2f}")
    held = "held" if whole.wall_s <= bound else "MISSED"
    print(f"seconds = {whole.wall_s:.2f} (at most {bound:.2f} wanted: {held})")


def time_steps(path: Path, cfg: AudioConfig, steps: dict[str, float]) -> int:
    """Add the seconds of each step for one recording, and return its number of windows."""
    clock = time.thread_time
    transform = spectrogram_transform(cfg)

    def decoded(reader: AudioReader) -> Iterator[np.ndarray]:
        blocks = reader.blocks(BLOCK_SECONDS)
        while True:
            began = clock()
            block = next(blocks, None)
            steps["decode"] += clock() - began
            if block is None:
                return
            yield block

    parts = []
    with AudioReader(path) as reader:
        mono = MonoSignal(reader.channels, reader.rate, cfg)
        for block in decoded(reader):
            began = clock()
            parts.append(mono.push(block))
            steps["resample"] += clock() - began
        parts.append(mono.finish())
        seconds = reader.seconds_read
    signal = np.concatenate(parts)
    image = np.empty((1, transform.height, transform.width), np.float32)
    starts = WindowGrid.for_overlap(cfg.spec_duration, 0.0).starts(seconds)
    for start in starts:
        began = clock()
        segment = segment_of(signal, 0, len(signal), start, transform)
        if segment is not None:
            transform.raw(segment, image[0])
            normalize(image)
        steps["transform"] += clock() - began
    return len(starts)


def time_model(path: Path) -> float:
    """Return seconds of processor time per window of one member."""
    cfg = AudioConfig()
    model = ExportedModel(path, 0.7, cfg.spec_height, cfg.spec_width)
    window = np.random.default_rng(0).random((cfg.spec_height, cfg.spec_width), dtype=np.float32)
    batch = np.broadcast_to(window, (_CONSTANT_WINDOWS, *window.shape))
    best = float("inf")
    for _ in range(4):
        began = time.process_time()
        model.start(batch)
        model.wait()
        best = min(best, time.process_time() - began)
    return best / _CONSTANT_WINDOWS


if __name__ == "__main__":
    main()
