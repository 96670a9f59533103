"""Train as configured: checks, folds, publishing."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from britekit.config import BaseConfig, to_dict
from britekit.datasets.splits import make_splits
from britekit.errors import TrainingError
from britekit.files import together
from britekit.models.checkpoint import save_checkpoint
from britekit.training import configured
from britekit.training import preparation as prepare
from britekit.training.folds import Folds, Report
from britekit.training.held_out import score_held_out
from britekit.training.malloc import keep_freed_memory
from britekit.training.ranks import open_world
from britekit.training.results import FoldResult, TrainResult
from britekit.training.resume import seed_to_continue

__all__ = ["FoldResult", "TrainResult", "train"]


def train(
    cfg: BaseConfig,
    *,
    seed: int | None = None,
    publish: str | Path | None = None,
    prefix: str = "",
    log_root: str | Path = "logs",
    resume: bool = False,
    on_step: Report | None = None,
    on_epoch: Report | None = None,
    on_publish: Callable[[TrainResult], None] | None = None,
    on_held_out: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> TrainResult:
    """Train as configured.

    Raises `BriteKitError` if settings or data are unusable (before the first step), the loss is not finite, or memory
    is too small.

    Parameters
    ----------
    seed
        Seed of all generators; None takes ``train.seed`` or, if that is null, a random one.
    publish
        Path for the frozen checkpoint of the last epoch (with ``train.publish_best``, of the best); None publishes
        nothing.
    log_root
        Folder of ``version_N``; the state of a half-finished run is in ``log_root/resume``.
    resume
        Continue a killed run with the same data, settings and seed, if there is one; without a seed, the latest one
        that also had none.
    on_step, on_epoch
        Called with plain figures: step, epoch, loss, lr; those of `FoldResult.epochs`; both with ``fold``.
    on_publish
        Called with the result when the published checkpoint is written but not yet renamed
        (`britekit.files.waiting_path`), so that files of the callback appear together with it.
    on_held_out
        Called after each fold with the indices of its held-out samples and their scores, (n, C), by its last epoch.

    Returns
    -------
    TrainResult
        Every process gets it; only the first one writes files and calls callbacks.
    """
    prepare.check_names(cfg)
    if Path(prefix).name != prefix:
        raise TrainingError(f'--prefix "{prefix}": expected part of a file name, not a path')
    if publish is not None and cfg.train.num_folds > 1:
        raise TrainingError(f"train.num_folds is {cfg.train.num_folds}; a run that publishes has one fold: set it to 1")
    if cfg.misc.force_cpu or not torch.cuda.is_available():
        keep_freed_memory()
    if seed is None:
        seed = cfg.train.seed
    named = seed is not None
    if seed is None and resume:
        seed = seed_to_continue(Path(log_root) / "resume", to_dict(cfg))
    if seed is None:
        seed = secrets.randbelow(2**31)
    call = {"settings": to_dict(cfg), "seed": seed}
    with open_world(cfg.train.devices, cfg.misc.force_cpu, call) as world:
        seed = world.from_leader(seed)
        samples = prepare.share_samples(cfg.train.train_pickle, cfg, "train.train_pickle", world)
        samples = prepare.without_rejections(samples, cfg)
        prepare.check_samples(samples, cfg)
        names = [c.name for c in samples.classes]
        pseudo = prepare.read_pseudo(cfg, names)
        splits = make_splits(samples.labels, samples.group_ids, cfg.train.num_folds, cfg.train.val_portion, names)
        test = None
        if cfg.train.test_pickle is not None:
            test = prepare.share_samples(cfg.train.test_pickle, cfg, "train.test_pickle", world)
            test = prepare.without_rejections(test, cfg)
            prepare.check_same_classes(samples.classes, test.classes, cfg.train.test_pickle)
        with settled_randomness(cfg):
            folds = Folds(
                cfg, seed, named, prefix, Path(log_root), resume, samples, test, on_step, on_epoch, world, pseudo
            )
            for number, split in enumerate(splits):
                recognizer = folds.train_fold(number if len(splits) > 1 else None, split)
                if on_held_out is not None and world.leads:
                    held_out = configured.as_index(split.held_out)
                    scores = score_held_out(recognizer, folds.bank, held_out, cfg.train.multi_label)
                    on_held_out(split.held_out, scores)
            folds.result.sum_up()
            if publish is not None and world.leads:
                with together():
                    epoch = folds.result.folds[-1].final_epoch
                    settings = folds.settings_after(epoch + 1)
                    save_checkpoint(publish, recognizer, folds.hyper, settings, epoch=epoch, published=True)
                    folds.result.published = Path(publish)
                    if on_publish is not None:
                        on_publish(folds.result)
            folds.forget_states()
    return folds.result


@contextmanager
def settled_randomness(cfg: BaseConfig) -> Iterator[None]:
    """Seed generators inside the block and restore them after it; use deterministic kernels if configured."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        try:
            if cfg.train.deterministic:
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield
        finally:
            torch.use_deterministic_algorithms(before)
