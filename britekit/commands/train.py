"""Train a recognizer as configured.

Reads the training file (train.train_pickle) and writes checkpoints, curves and settings to logs/version_N.

--pseudo-labels adds windows of unlabeled recordings, labeled by a teacher (pseudo-label), to every batch. In the
pipeline, --round N trains a student of round N: on data/pseudo/round-N.npz, into models/rounds/N.

With --publish, as in the pipeline, the checkpoint of the last epoch is stripped and copied to the checkpoint
folder as seed-S.ckpt together with its export; metrics go to metrics/train-S.json, all figures to
results/runs/train-S.json and curves to results/curves/train-S.csv. A killed run continues where it stopped.
Without --publish, use --resume with the same data, settings and seed.

--devices N divides each batch among N GPUs (or CPU processes with misc.force_cpu). To use several machines,
start the command with torchrun on each.

    britekit train -c yaml/samples/train_effnet.yaml --prefix first --seed 7
    britekit train -c yaml/samples/train_effnet.yaml --prefix first --seed 7 --resume
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29400 -m britekit train
"""

from typing import Annotated, Any, Optional

from britekit.options import ConfigPath, opt

_HELD_OUT = ("val_loss", "val_roc", "val_roc_macro", "val_pr", "val_pr_macro")


def train(
    cfg_path: ConfigPath = None,
    prefix: Annotated[str, opt("--prefix", metavar="TEXT", help="prefix of checkpoint names")] = "",
    seed: Annotated[
        Optional[int], opt("--seed", metavar="INT", help="seed of all generators (default: train.seed, else random)")
    ] = None,
    frame_label_pickle: Annotated[
        Optional[str],
        opt("--frame-labels", metavar="FILE", help="frame labels (pickle-frame; default: train.frame_label_pickle)"),
    ] = None,
    teacher_targets_pickle: Annotated[
        Optional[str],
        opt(
            "--teacher-targets",
            metavar="FILE",
            help="targets of an ensemble (teacher-targets; default: train.teacher_targets_pickle)",
        ),
    ] = None,
    publish: Annotated[
        bool,
        opt(
            "--publish",
            help="publish the last epoch as misc.ckpt_folder/seed-S.ckpt with its export, metrics and curves",
        ),
    ] = False,
    resume: Annotated[bool, opt("--resume", help="continue a killed run of the same data, settings and seed")] = False,
    devices: Annotated[
        Optional[int],
        opt(
            "--devices",
            metavar="N",
            help="GPUs or CPU processes that share each batch; 0 = all GPUs (default: train.devices)",
        ),
    ] = None,
    pseudo_labels: Annotated[
        Optional[str],
        opt("--pseudo-labels", metavar="FILE", help="windows of unlabeled recordings (default: train.pseudo_labels)"),
    ] = None,
    number: Annotated[
        Optional[int], opt("--round", metavar="N", help="with --publish: a student of this round of the pipeline")
    ] = None,
) -> Any:
    """Train as configured; see `britekit.training.trainer.train`.

    Returns
    -------
    TrainResult
        Figures per epoch, checkpoints, seconds, spectrograms per second.
    """
    import logging
    import os
    from functools import partial
    from pathlib import Path

    # Threads of torch that wait spin; where another program wants the core (a second experiment), training
    # was twenty times slower so. Not spinning at all costs a third on a quiet machine (effnet.2 on two cores:
    # 23 spectrograms per second, 33 by default, 36 with this short spin). Read when torch is loaded, hence
    # here; a person's own setting stands.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")

    from britekit.config import MiscConfig, resolve
    from britekit.errors import InputError
    from britekit.inference.model_files import ROUNDS_FOLDER
    from britekit.project.layout import PRETRAINED
    from britekit.tracking.facts import is_dvc_stage, main_root
    from britekit.tracking.lineage import MEMBER, PICKLE, PSEUDO_LABELS
    from britekit.tracking.run import stage_run

    if number is not None and (number < 1 or not publish or pseudo_labels is not None):
        raise InputError(f"--round {number}: rounds are numbered from 1, need --publish, and name their own windows")
    if number is not None:
        pseudo_labels = f"data/pseudo/round-{number}.npz"
    overrides = {
        "train.seed": seed,
        "train.devices": devices,
        "train.pseudo_labels": pseudo_labels,
        "train.frame_label_pickle": frame_label_pickle,
        "train.teacher_targets_pickle": teacher_targets_pickle,
    }
    cfg = resolve(cfg_path, overrides=overrides)
    seed = cfg.train.seed
    if seed is not None and seed < 0:
        raise InputError(f"--seed {seed}: a seed is a whole number from 0")
    target = None
    if publish and cfg.pipeline.pretrain and cfg.train.load_ckpt_path is None:
        if not Path(PRETRAINED).is_file():
            raise InputError(
                f"pipeline.pretrain is true, but {PRETRAINED} does not exist; `britekit init --pretrain` and "
                "`dvc repro` make it, or set pipeline.pretrain to false"
            )
        cfg.train.load_ckpt_path = PRETRAINED
    if publish:
        if seed is None:
            raise InputError("--publish names the checkpoint by its seed; give --seed or set train.seed")
        # In the pipeline where dvc.yaml looks for it: the setting may name a folder of other models there.
        folder = MiscConfig().ckpt_folder if is_dvc_stage() else cfg.misc.ckpt_folder
        folder = folder if number is None else f"{ROUNDS_FOLDER}/{number}"
        target = Path(folder) / f"seed-{seed}.ckpt"

    from britekit.training.trainer import train as run_training

    log_root = main_root() / "logs" if publish else Path("logs")
    if int(os.environ.get("RANK", "0")) > 0:
        # One of several processes that torchrun started: the first writes and speaks.
        logging.getLogger("britekit").setLevel(logging.ERROR)
        return run_training(cfg, seed=seed, log_root=log_root, resume=publish or resume)
    train_cfg = cfg.train
    read = {train_cfg.train_pickle: PICKLE, train_cfg.pseudo_labels: PSEUDO_LABELS}
    read |= dict.fromkeys((train_cfg.frame_label_pickle, train_cfg.teacher_targets_pickle), PICKLE)
    read[train_cfg.load_ckpt_path] = MEMBER
    inputs = {path: kind for path, kind in read.items() if path is not None}
    with stage_run("train", cfg, inputs, continues=publish or resume) as run:
        curves = _Curves(run)
        result = run_training(
            cfg,
            seed=seed,
            publish=target,
            prefix=prefix,
            log_root=log_root,
            resume=publish or resume,
            on_step=curves.step,
            on_epoch=curves.epoch,
            on_publish=partial(_publish, number=number),
        )
        _log_example(run, result)
        run.summary(_metrics(result))
        for path in [*result.checkpoints] if target is None else [target, target.with_suffix(".onnx")]:
            run.output(path, MEMBER)
        if resume and result.resumed_from_epoch is None:
            logging.getLogger("britekit.training").warning(
                "--resume: there was no half-finished run of these data, settings and seed in %s; a new one "
                "was trained",
                log_root / "resume",
            )
    _say(result)
    return result


def _publish(result: Any, number: Optional[int] = None) -> None:
    """Write what the stage owes beside the checkpoint, which is there to be read, but not yet by its name."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from britekit.files import waiting_path, write_text
    from britekit.inference.export import export_onnx
    from britekit.models.checkpoint import load_checkpoint
    from britekit.tracking.metrics_file import write_figures, write_metrics

    target = result.published
    name = f"{result.seed}" if number is None else f"{number}-{result.seed}"
    stored = replace(load_checkpoint(waiting_path(target)), path=target)
    export_onnx(stored, target.with_suffix(".onnx"))
    columns = ["epoch", "step", "loss", "lr"]
    columns += [name for name in _HELD_OUT if name in result.epochs[0]]
    lines = [",".join(columns)]
    lines += [
        ",".join("" if row.get(name) is None else f"{row[name]:.8g}" for name in columns) for row in result.epochs
    ]
    write_text(f"results/curves/train-{name}.csv", "\n".join(lines) + "\n")
    # The checkpoint itself has no date: the same data and settings give the same bytes.
    figures = {**_metrics(result), "date": datetime.now(UTC).isoformat(timespec="seconds")}
    write_figures(f"results/runs/train-{name}.json", figures)
    # Named by seed, so that a table of experiments needs no paths.
    leading = {key: figures[key] for key in ("loss", "val_pr_macro") if key in figures}
    write_metrics(f"metrics/train-{name}.json", {f"{key}_{name}": x for key, x in leading.items()})


def _metrics(result: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "loss": result.loss,
        "spectrograms_per_second": result.spectrograms_per_second,
        "seconds": result.seconds,
        "joules": result.joules,
        "epochs": len(result.epochs),
        "spectrograms": result.num_spectrograms,
        "seed": result.seed,
        "device": result.device,
    }
    for name, each in _figures(result).items():
        found = [value for value in each if value is not None]
        values[name] = sum(found) / len(found) if found else None
    return values


def _figures(result: Any) -> dict[str, list[Any]]:
    """Return the figures on held-out and test data, one value per fold."""
    folds = result.folds
    figures = {name: [f.final[name] for f in folds] for name in _HELD_OUT if name in folds[0].final}
    return figures | {name: [f.test[name] for f in folds] for name in folds[0].test or {}}


class _Curves:
    """Curves for the run's followers; those of folds come one after the other: W&B wants rising steps."""

    def __init__(self, run: Any) -> None:
        self._run, self._fold, self._first, self._next = run, None, 0, 0

    def step(self, row: dict[str, Any]) -> None:
        self._log(row, {"loss": row["loss"], "lr": row["lr"]})

    def epoch(self, row: dict[str, Any]) -> None:
        self._log(row, {f"epoch/{name}": value for name, value in row.items() if value is not None})

    def _log(self, row: dict[str, Any], values: dict[str, Any]) -> None:
        if row["fold"] != self._fold:
            self._fold, self._first = row["fold"], self._next
        step = self._first + row["step"]
        self._next = step + 1
        prefix = "" if self._fold is None else f"fold-{self._fold}/"
        self._run.log({prefix + name: value for name, value in values.items()}, step=step)


def _log_example(run: Any, result: Any) -> None:
    """Show the run's followers what the network sees: one mixed and augmented batch."""
    if not getattr(run, "active", False) or result.example is None:
        return
    import tempfile
    from pathlib import Path

    from matplotlib.image import imsave

    from britekit.plots.style import SPECTROGRAM_COLORS

    count, height, width = result.example.shape
    columns = max(1, int(count**0.5))
    shown = result.example[: count // columns * columns].reshape(-1, columns, height, width)
    # Rows of pictures from the top, each with its lowest frequency at the bottom.
    mosaic = shown[:, :, ::-1].transpose(0, 2, 1, 3).reshape(-1, columns * width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.png"
        imsave(path, mosaic, cmap=SPECTROGRAM_COLORS)
        run.image("augmented_batch", path)


def _say(result: Any) -> None:
    """Print what a person or a script wants to know."""
    from britekit.progress import clock

    for path in result.checkpoints:
        print(f"checkpoint = {path}")
    for fold in result.folds:
        if fold.best_checkpoint is not None:
            print(f"best_checkpoint = {fold.best_checkpoint}")
        if fold.stopped_early:
            print(f"stopped_after_epochs = {len(fold.epochs)}")
    if result.published is not None:
        print(f"published = {result.published}")
    print(f"loss = {result.loss:.4f}")
    for name, values in _figures(result).items():
        found = [v for v in values if v is not None]
        if not found:
            continue
        if len(result.folds) == 1:
            print(f"{name} = {found[0]:.4f}")
        else:
            _say_folds(result.folds, name, values, found)
    print(f"spectrograms_per_second = {result.spectrograms_per_second:.1f}")
    print(f"seconds = {result.seconds:.1f} ({clock(result.seconds)})")


def _say_folds(folds: Any, label: str, values: Any, found: Any) -> None:
    """Print each fold's figure, then mean, spread and interval."""
    import math

    from scipy.stats import t as student

    for fold, value in zip(folds, values, strict=True):
        print(f"{label}_fold_{fold.fold} = {'undefined' if value is None else format(value, '.4f')}")
    count = len(found)
    mean = sum(found) / count
    print(f"{label}_mean = {mean:.4f}")
    if count < 2:
        return
    deviation = math.sqrt(sum((v - mean) ** 2 for v in found) / (count - 1))
    half = float(student.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
    print(f"{label}_stdev = {deviation:.4f}")
    # No figure is below 0, and none but a loss is above 1.
    low, high = max(mean - half, 0.0), mean + half if "loss" in label else min(mean + half, 1.0)
    print(f"{label}_interval = {low:.4f} to {high:.4f}")
