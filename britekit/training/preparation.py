"""Check settings and data before the first step.

Legend: N samples, C classes.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.classes import ClassInfo, difference_of
from britekit.config import BaseConfig
from britekit.config.audio import with_channels
from britekit.datasets.augmentations.registry import build_steps
from britekit.datasets.pseudo_labels import PseudoLabels, read_pseudo_labels
from britekit.datasets.student_batches import check_classes
from britekit.errors import BriteKitError, ModelError, TrainingError
from britekit.models.registry import find_backbone, find_head, is_sed_head
from britekit.training.optimizers import check_optimizer, needs_second_derivatives
from britekit.training.ranks import ProcessGroup

log = logging.getLogger(__name__)


def check_names(cfg: BaseConfig) -> None:
    """Raise for unknown models, heads, optimizers and augmentations before any data are read.

    Raises `BriteKitError` if a name is unknown; suggests the closest one.
    """
    train = cfg.train
    find_backbone(train.model_type)
    if train.head_type is not None:
        find_head(train.head_type)
    if is_sed_head(train.head_type) and not train.multi_label:
        raise TrainingError(f"train.head_type {train.head_type} finds sounds in time and needs train.multi_label true")
    if train.batch_size < 2:
        raise TrainingError(
            "train.batch_size is 1, but batch norm needs two spectrograms per step; set it to 2 or more"
        )
    check_optimizer(train.optimizer)
    if needs_second_derivatives(train.optimizer) and (train.compile or train.devices != 1):
        raise TrainingError(
            f'train.optimizer: "{train.optimizer}" differentiates gradients, which needs train.compile false '
            "and train.devices 1"
        )
    build_steps(train.augmentations, cfg.audio.spec_height, cfg.audio.spec_width)
    if train.load_ckpt_path is not None and not Path(train.load_ckpt_path).is_file():
        raise ModelError(f"train.load_ckpt_path: {train.load_ckpt_path} does not exist")


def read_samples(path: str, cfg: BaseConfig, setting: str, allocate: Any = None) -> Any:
    """Return the training set of a pickle whose spectrograms have the configured size.

    Raises `BriteKitError` if the pickle is missing, damaged or of another size.
    """
    from britekit.datasets.training_set import read_training_set

    if not Path(path).is_file():
        hint = "; create it with `britekit pickle`" if setting == "train.train_pickle" else ""
        raise TrainingError(f"{setting}: {path} does not exist{hint}")
    size = (cfg.audio.spec_height, cfg.audio.spec_width)
    return read_training_set(path, workers=cfg.train.num_workers, size=size, allocate=allocate)


def share_samples(path: str, cfg: BaseConfig, setting: str, world: ProcessGroup) -> Any:
    """Call `read_samples` for all processes of a machine: one reads, all share the memory.

    Raises
    ------
    BriteKitError
        See `read_samples`; raised in every process.
    """
    if world.size == 1:
        return read_samples(path, cfg, setting)
    from britekit.datasets.shared_array import SharedRows, map_rows

    rows = SharedRows()
    samples: Any = None
    told: Any = None
    try:
        if world.local_rank == 0:
            try:
                samples = read_samples(path, cfg, setting, rows)
                told = (str(rows.path), samples.images.shape, _kinds(samples), _without_images(samples))
            except BriteKitError as error:
                told = error
        found = world.from_all((world.node, told))
        failed = [content for _, content in found if isinstance(content, BriteKitError)]
        if failed:
            raise failed[0]
        if samples is None:
            where, (count, *size), kinds, rest = next(c for n, c in found if n == world.node and c is not None)
            mapped = map_rows(Path(where), (count * (1 + kinds), *size))
            variants = mapped[count:].reshape(kinds, count, *size) if kinds else None
            samples = replace(rest, images=mapped[:count], variants=variants)
        world.from_all(None)  # all have opened it
    finally:
        rows.remove()
    return samples


def _kinds(samples: Any) -> int:
    """Return the number of variants of each sample, K."""
    return 0 if samples.variants is None else len(samples.variants)


def _without_images(samples: Any) -> Any:
    return replace(samples, images=np.empty((0, 0, 0), np.uint8), variants=None)


def read_pseudo(cfg: BaseConfig, classes: Sequence[str]) -> PseudoLabels | None:
    """Return the windows of unlabeled recordings that ``train.pseudo_labels`` names, or None.

    Raises `BriteKitError` if the file is unusable, or its classes or spectrograms differ from those of the training
    file.
    """
    path = cfg.train.pseudo_labels
    if path is None:
        return None
    size = (cfg.audio.spec_height, cfg.audio.spec_width)
    pseudo = read_pseudo_labels(path, size, cfg.train.num_workers)
    check_classes(path, [info.name for info in pseudo.classes], list(classes), cfg.train.train_pickle)
    _compare_audio(pseudo.meta["audio"], cfg, path)
    return pseudo


def without_rejections(samples: Any, cfg: BaseConfig) -> Any:
    """Return samples without those of which it is only known that they lack a class, if classes exclude each other.

    A softmax over classes learns nothing from them that could be stated as one class.
    """
    known = getattr(samples, "known", None)
    if cfg.train.multi_label or known is None:
        return samples
    heard = np.asarray(samples.labels).any(axis=1)
    if not heard.all():
        log.warning(
            "%d spectrograms in which classes were only rejected are left out, since train.multi_label is false",
            np.count_nonzero(~heard),
        )
    columns = {
        name: values[heard]
        for name in ("images", "labels", "known", "group_ids", "recording_ids", "segment_ids")
        if (values := getattr(samples, name)) is not None
    }
    if samples.variants is not None:
        columns["variants"] = samples.variants[:, heard]
    return replace(samples, **columns)


def check_samples(samples: Any, cfg: BaseConfig) -> None:
    """Raise for unusable training data, and warn about data that will not work well.

    Raises `TrainingError` if there are fewer than two spectrograms or, without multi_label, spectrograms without
    exactly one class.
    """
    labels, names = samples.labels, [c.name for c in samples.classes]
    path = cfg.train.train_pickle
    if len(samples.images) < 2:
        raise TrainingError(f"{path} holds {len(samples.images)} spectrograms; training needs at least two")
    counts = np.asarray(labels, dtype=np.int64).sum(axis=0)
    missing = [n for n, c in zip(names, counts, strict=True) if c == 0]
    if missing:
        log.warning("no training spectrograms of: %s", ", ".join(missing))
    single = [n for n, c in zip(names, counts, strict=True) if c == 1]
    if single:
        log.warning("only one training spectrogram of: %s", ", ".join(single))
    if not cfg.train.multi_label:
        if len(names) < 2:
            raise TrainingError(f'train.multi_label is false, but {path} has one class, "{names[0]}"; two are needed')
        several = int((np.asarray(labels).sum(axis=1) != 1).sum())
        if several:
            raise TrainingError(
                f"train.multi_label is false, but {several} spectrograms of {path} do not have exactly one "
                "class; set it to true or remove them"
            )
    blank = int((~samples.images.any(axis=(1, 2))).sum())
    if blank:
        log.warning("%d of %d training spectrograms are all zero", blank, len(samples.images))
    _compare_audio(getattr(samples, "audio", None), cfg, path)


def _compare_audio(made_with: dict[str, Any] | None, cfg: BaseConfig, path: str) -> None:
    """Warn if spectrograms were made with other settings than those of the checkpoint."""
    if not made_with:
        return
    differing = [
        f"{name} {value} (now {getattr(cfg.audio, name)})"
        for name, value in with_channels(made_with).items()
        if hasattr(cfg.audio, name) and getattr(cfg.audio, name) != value
    ]
    if differing:
        log.warning("%s was made with other audio settings: %s", path, ", ".join(differing))


def check_same_classes(train: Sequence[ClassInfo], test: Sequence[ClassInfo], test_path: str) -> None:
    """Raise if the class list of a test pickle differs.

    Raises `TrainingError` if the lists differ; names the first difference.
    """
    if what := difference_of([info.name for info in test], [info.name for info in train]):
        raise TrainingError(f"train.test_pickle: {test_path} has {what} than train.train_pickle; pickle both alike")
