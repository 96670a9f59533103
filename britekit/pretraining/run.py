"""Pre-train a backbone: checks, windows, training, the checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import britekit
from britekit.collect.admission import Admission, admit
from britekit.collect.test_recordings import TestRecordings
from britekit.config import BaseConfig, to_shown_dict, without_defaults
from britekit.datasets.bank import Bank
from britekit.datasets.batches import derived_seed
from britekit.errors import InputError, TrainingError, counted
from britekit.files import together, unwritable
from britekit.inference.recording_names import recording_name
from britekit.inference.scoring import raise_failed
from britekit.models.checkpoint import hyper_parameters, save_checkpoint
from britekit.models.recognizer import Recognizer, build_recognizer
from britekit.models.registry import find_backbone
from britekit.plots.picture import Picture, draw_picture
from britekit.pretraining.masking import STEPS_PER_EPOCH, MaskedBatches, MaskedLoss, WindowImages
from britekit.pretraining.windows import WindowFile, store_windows
from britekit.processes import alone
from britekit.tracking.facts import experiment_name
from britekit.training.devices import choose_device, device_name, memory_format, place
from britekit.training.log_folder import LogFolder
from britekit.training.loop import StepFigures, TrainingLoop
from britekit.training.meter import TrainingMeter
from britekit.training.optimizers import build_optimizer
from britekit.training.ranks import ProcessGroup
from britekit.training.resume import ResumeState
from britekit.training.run_on_device import fit
from britekit.training.trainer import settled_randomness

log = logging.getLogger(__name__)

_WARMUP, _WEIGHT_DECAY = 0.1, 0.01
# Fewer are soon known by heart.
_FEW = 256
_WORTH_A_WORD = 1_000_000

Report = Callable[[dict[str, Any]], None]


@dataclass(repr=False)
class PretrainResult:
    """Result of a run."""

    checkpoint: Path
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """Per 25 steps: epoch (zero-based), step, loss, lr."""
    recordings: int = 0
    """Recordings with windows."""
    windows: int = 0
    silent: int = 0
    """Windows without any sound, left out."""
    short: list[str] = field(default_factory=list)
    """Recordings too short for a window."""
    mute: list[str] = field(default_factory=list)
    """Recordings without any sound."""
    unused: list[str] = field(default_factory=list)
    """Recordings that were not drawn, since there are more than ``pretrain.max_windows``."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Reason to recordings that may not be used."""
    failed: dict[Path, str] = field(default_factory=dict)
    continued: int = 0
    """Recordings whose windows an interrupted run had stored."""
    resumed_from_step: int | None = None
    device: str = ""
    log_folder: Path | None = None

    @property
    def loss(self) -> float:
        """Mean loss of the last 25 steps."""
        return float(self.epochs[-1]["loss"])

    def __repr__(self) -> str:
        size = f"{counted(self.windows, 'window')}, {self.epochs[-1]['step']} steps"
        return f"<PretrainResult: {size}, loss {self.loss:.4f}>"

    def raise_for_failures(self) -> None:
        """Raise `InferenceError` if recordings could not be read; the others were learned from."""
        count = self.recordings + len(self.short) + len(self.mute) + len(self.failed)
        raise_failed(self.failed, count, "read")

    def to_dataframe(self) -> Any:
        """Return the loss of every 25 steps as a pandas data frame."""
        import pandas

        return pandas.DataFrame(self.epochs)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Picture:
        """Draw the loss over the steps."""
        from britekit.plots.training import plot_training_curve

        steps, losses = [row["step"] for row in self.epochs], {"loss": [row["loss"] for row in self.epochs]}
        return draw_picture(
            lambda file: plot_training_curve(file, steps, losses, title="Pre-training", axis="Step"), path
        )


def pretrain(
    cfg: BaseConfig,
    paths: Sequence[Path],
    root: Path,
    test: TestRecordings,
    output: Path,
    *,
    log_root: Path = Path("logs/pretrain"),
    on_step: Report | None = None,
    on_finished: Callable[[PretrainResult], None] | None = None,
) -> PretrainResult:
    """Pre-train the backbone of ``train.model_type`` on recordings without labels.

    A run that was killed is repeated with equal settings and recordings: it continues, and ends with the bytes of an
    uninterrupted one. Until then its windows and state are in ``log_root/resume``; their size is logged.

    Raises `BriteKitError` if settings or recordings are unusable, or the loss is not finite.

    Parameters
    ----------
    paths, root
        The recordings, and the folder that their names are relative to.
    output
        The checkpoint; it has no classes, and `train.load_ckpt_path` starts from it.
    log_root
        Folder of ``version_N`` with TensorBoard's events.
    on_step
        Called with step, epoch, loss and lr.
    on_finished
        Called with the result; files that it writes appear together with the checkpoint.
    """
    find_backbone(cfg.train.model_type)
    admission = admit(paths, test)
    named = {recording_name(path, root): path for path in admission.allowed}
    if not named:
        raise InputError(f"{root} holds no unlabeled recording that may be used: {admission.why_none(len(paths))}")
    device = choose_device(cfg.misc.force_cpu)
    settings = without_defaults(to_shown_dict(cfg))
    work = log_root / "resume" / _key(settings, sorted(named), device)
    try:
        with _locked(work):
            windows = store_windows(named, cfg.audio, cfg.pretrain.max_windows, work)
            admission.failed |= windows.failed
            _check(windows, admission, root, len(paths))
            result = PretrainResult(
                output, [], len(windows.counts), len(windows), windows.silent, windows.short, windows.mute,
                windows.unused, admission.refused, admission.failed, windows.continued, device=device_name(device),
            )  # fmt: skip
            with settled_randomness(cfg):
                recognizer = _train(
                    cfg, windows, device, settings, ResumeState(work, windows.digest), result, log_root, on_step
                )
            hyper = hyper_parameters(recognizer.blueprint, [], len(windows), cfg.train.multi_label)
            with together():
                save_checkpoint(output, recognizer, hyper, settings, epoch=len(result.epochs) - 1, published=True)
                if on_finished is not None:
                    on_finished(result)
        shutil.rmtree(work, ignore_errors=True)
    finally:
        _report_kept(work.parent)
    return result


def _report_kept(folder: Path) -> None:
    """Log how much interrupted runs have left, since it can be a gigabyte each."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size >= _WORTH_A_WORD:
        log.warning(
            "%s holds %.0f MB of interrupted runs, which continue when they are repeated; delete the folders of those "
            "that will not be",
            folder,
            size / 1e6,
        )


def _key(settings: dict[str, Any], names: list[str], device: torch.device) -> str:
    """Return a hash of what the result depends on, except the content of the recordings, which the journal knows."""
    train = settings["train"]
    parts = {
        "version": britekit.__version__,
        "device": device.type,
        "names": names,
        "audio": settings["audio"],
        "pretrain": settings.get("pretrain"),
        "train": {name: train.get(name) for name in _NETWORK},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


_NETWORK = (
    *("model_type", "head_type", "front", "pretrained", "drop_rate", "drop_path_rate"),
    *("mixed_precision", "deterministic"),
)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second, equal run away from the files of this one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / "lock", f"the same pre-training is running already ({folder}); wait for it, or stop it"):
            yield
    except OSError as error:
        raise unwritable(error.filename or folder, error) from error


def _check(windows: WindowFile, admission: Admission, root: Path, count: int) -> None:
    """Refuse too few windows; raises `InputError` if there are fewer than two windows."""
    if len(windows) < 2:
        left_out = [f"{windows.silent} silent"] if windows.silent else []
        left_out += [f"{counted(len(windows.short), 'recording')} too short"] if windows.short else []
        if admission.failed or admission.refused:
            left_out.append(admission.why_none(count))
        raise InputError(
            f"{root} gives {counted(len(windows), 'window')} with sound"
            + (f" ({'; '.join(left_out)})" if left_out else "")
            + "; pre-training needs two, and works with hundreds or more: add recordings"
        )
    if len(windows) < _FEW:
        log.warning("%d windows are few to learn from; expected hundreds or more", len(windows))


def _train(
    cfg: BaseConfig,
    windows: WindowFile,
    device: torch.device,
    settings: dict[str, Any],
    state: ResumeState,
    result: PretrainResult,
    log_root: Path,
    on_step: Report | None,
) -> Recognizer:
    """Train, or continue a killed run; return the network."""
    section = cfg.pretrain
    torch.manual_seed(derived_seed(section.seed, 0))
    recognizer = build_recognizer(cfg.train, cfg.audio, 0)
    layout = memory_format(device)
    batch_loss = MaskedLoss(recognizer, windows.shape, layout)
    place(recognizer, device)
    batch_loss.to(device)
    batches = MaskedBatches(Bank(WindowImages(windows.images()), device), section)
    optimizer = build_optimizer(batch_loss, "adamw", section.learning_rate, _WEIGHT_DECAY, 0.9, 0.999)
    epochs, first, version = -(-section.num_steps // STEPS_PER_EPOCH), 0, None
    saved = state.load()
    if saved is not None:
        batch_loss.load_state_dict(saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        result.epochs = list(saved["epochs"])
        first, version = len(result.epochs), int(saved["version"])
        result.resumed_from_step = first * STEPS_PER_EPOCH
        log.warning(
            "continuing an interrupted run at step %d of %d", result.resumed_from_step, epochs * STEPS_PER_EPOCH
        )
    folder = LogFolder(log_root, version, "", 1, first * STEPS_PER_EPOCH, f"seed-{section.seed}-{experiment_name()}")
    result.log_folder = folder.path
    folder.describe(recognizer, hyper_parameters(recognizer.blueprint, [], len(windows), True), settings)
    meter = TrainingMeter(epochs, STEPS_PER_EPOCH, first, "pretrain")

    def after_step(figures: StepFigures) -> None:
        folder.scalars(figures.step, {"loss": figures.loss, "lr": figures.lr})
        if on_step is not None:
            on_step(vars(figures))

    def after_epoch(epoch: int, loss: float) -> bool:
        lr = float(optimizer.param_groups[0]["lr"])
        result.epochs.append({"epoch": epoch, "step": (epoch + 1) * STEPS_PER_EPOCH, "loss": loss, "lr": lr})
        folder.flush()
        parts = {"weights": batch_loss.state_dict(), "optimizer": optimizer.state_dict(), "epochs": result.epochs}
        state.save(parts | {"version": folder.version}, at_once=epoch + 1 == epochs)
        return False

    loop: Any = TrainingLoop(
        batch_loss, batches, optimizer, epochs, first, _WARMUP, meter, after_step, after_epoch, section="pretrain"  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        if first < epochs:
            fit(loop, device, cfg.train.mixed_precision, ProcessGroup())
        meter.finish()
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the device ran out of memory with {batches.batch_size} spectrograms per step; lower "
            "pretrain.batch_size or choose a smaller train.model_type"
        ) from error
    finally:
        meter.close()
        folder.close()
    return recognizer
