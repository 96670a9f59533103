"""Checkpoints and exports for benchmarks: ours with random weights, and those a public britekit trains."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from made_recordings import clips

_CLASSES = ("Dog", "Rain")
_OURS = """
import sys, torch
from pathlib import Path
from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, to_dict
from britekit.inference.export import export_onnx
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, save_checkpoint
from britekit.models.recognizer import build_recognizer

folder, model_type, head, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3] or None, int(sys.argv[4])
size = [int(text) for text in sys.argv[6].split("x")]
classes = [ClassInfo(f"Class {n}", f"C{n}") for n in range(int(sys.argv[5]))]
folder.mkdir(parents=True, exist_ok=True)
for seed in range(1, count + 1):
    torch.manual_seed(seed)
    cfg = BaseConfig()
    cfg.audio.spec_height, cfg.audio.spec_width = size
    cfg.train.model_type, cfg.train.head_type = model_type, head
    network = build_recognizer(cfg.train, cfg.audio, len(classes)).train()
    with torch.no_grad():
        for _ in range(2):  # so that batch norms have seen something
            network(torch.rand(4, 1, cfg.audio.spec_height, cfg.audio.spec_width) ** 2)
    path = folder / f"seed-{seed}.ckpt"
    hyper = hyper_parameters(network.blueprint, classes, 8, True)
    save_checkpoint(path, network.eval(), hyper, to_dict(cfg), epoch=0, published=True)
    export_onnx(load_checkpoint(path), path.with_suffix(".onnx"))
"""


def own_models(
    folder: Path,
    model_type: str,
    count: int = 1,
    head: str | None = None,
    classes: int = len(_CLASSES),
    size: tuple[int, int] = (128, 480),
) -> Path:
    """Return a folder of our checkpoints with their exports, for spectrograms of a size; what is there is kept."""
    if not (folder / f"seed-{count}.onnx").is_file():
        arguments = [str(folder), model_type, head or "", str(count), str(classes), "{}x{}".format(*size)]
        _run([sys.executable, "-c", _OURS, *arguments])
    return folder


def public_models(program: Path, folder: Path, model_type: str, count: int = 1) -> Path:
    """Return a folder of exports of a public britekit, trained for one epoch on a few clips."""
    done = folder / "ckpt"
    if len(list(done.glob("*.onnx"))) == count:
        return done
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, name in enumerate(_CLASSES):
        source = folder / f"clips-{number}"
        source.mkdir()
        chosen = [clip for clip in clips() if clip.parent.name.lower().startswith(name.lower())][:8]
        for clip in chosen or clips()[number * 8 : number * 8 + 8]:
            shutil.copy(clip, source)
        _run([program, "extract-all", "-d", "training.db", "--name", name, "--code", name[:3].upper(),
              "--dir", source], folder)  # fmt: skip
    _run([program, "pickle-train", "-d", "training.db", "-o", folder / "training.pkl"], folder)
    settings = f"train: {{model_type: {model_type}, num_epochs: 1, batch_size: 4, num_workers: 0, "
    settings += f"train_pickle: {folder / 'training.pkl'}}}\n"
    (folder / "train.yaml").write_text(settings)
    _run([program, "train", "-c", "train.yaml", "--seed", "1"], folder)
    trained = sorted(folder.rglob("*.ckpt"))
    if not trained:
        raise SystemExit(f"{program} train left no checkpoint below {folder}")
    done.mkdir()
    for number in range(1, count + 1):
        shutil.copy(trained[-1], done / f"member-{number}.ckpt")
    _run([program, "ckpt-onnx", "-i", done], folder)
    if len(list(done.glob("*.onnx"))) != count:
        raise SystemExit(f"{program} ckpt-onnx did not make {count} exports in {done}")
    return done


def _run(command: list[str | Path], cwd: Path | None = None) -> None:
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        said = (result.stdout + result.stderr)[-3000:]
        raise SystemExit(f"{' '.join(map(str, command))[:300]} ended with {result.returncode}:\n{said}")
