"""Read frame labels and targets of teachers for a run, and check that they belong to its training file.

Legend: N samples, C classes, T frames.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import difference_of
from britekit.config import BaseConfig
from britekit.datasets.extra_targets import ExtraTargets, frame_masks
from britekit.datasets.frame_labels import read_frame_labels
from britekit.datasets.pseudo_labels import PseudoLabels
from britekit.datasets.teacher_targets import TeacherTargets, read_teacher_targets
from britekit.datasets.window_targets import WindowTargets
from britekit.errors import TrainingError
from britekit.files import sha256_of
from britekit.models.recognizer import frame_count
from britekit.models.registry import is_sed_head
from britekit.training.taught_loss import TeachingSettings

log = logging.getLogger(__name__)


def teaching_settings(cfg: BaseConfig) -> TeachingSettings:
    """Return the configured weights of teachers."""
    train = cfg.train
    return TeachingSettings(train.distillation_weight, train.distillation_temperature, train.teacher_only_if_no_frame)


def read_extras(samples: Any, cfg: BaseConfig, pseudo: PseudoLabels | None = None) -> ExtraTargets | None:
    """Return the configured frame labels and targets of teachers of the samples; None without both.

    With windows of unlabeled recordings, those of the windows follow.

    Raises `BriteKitError` if a file is missing or damaged, belongs to another training file, or does not fit classes or
    head.
    """
    train = cfg.train
    sed = is_sed_head(train.head_type)
    frames = frame_count(train.sed_fps, cfg.audio.spec_duration) if sed else 0
    if pseudo is not None:
        return _with_windows(read_extras(samples, cfg), pseudo, cfg, frames, len(samples.images))
    if train.frame_label_pickle is None and train.teacher_targets_pickle is None:
        return None
    extras = ExtraTargets(frames)
    if train.frame_label_pickle is not None:
        extras = _with_frame_labels(extras, samples, cfg, train.frame_label_pickle)
    if train.teacher_targets_pickle is not None:
        targets = read_teacher_targets(train.teacher_targets_pickle)
        extras = _with_teacher(extras, samples, cfg, train.teacher_targets_pickle, targets)
    return extras


def _with_windows(
    labeled: ExtraTargets | None, pseudo: PseudoLabels, cfg: BaseConfig, frames: int, first: int
) -> ExtraTargets | None:
    path, windows = cfg.train.pseudo_labels, pseudo.frames if frames else None
    if windows is not None and windows.shape[2] != frames:
        raise TrainingError(
            f"train.pseudo_labels: {path} has {windows.shape[2]} frames per window, the head {frames}; set "
            "train.sed_fps and audio.spec_duration as they are in the teachers"
        )
    if frames and windows is None:
        log.info("%s has no labels of frames, since not all teachers have some; windows teach segments only", path)
    if labeled is None and windows is None:
        return None
    return WindowTargets(frames, labeled=labeled, first=first, windows=windows)


def _with_frame_labels(extras: ExtraTargets, samples: Any, cfg: BaseConfig, path: str) -> ExtraTargets:
    setting = f"train.frame_label_pickle: {path}"
    if not extras.num_frames:
        raise TrainingError(f"{setting} needs a head with frames; set train.head_type, for example to temporal_sed")
    ids = _segment_ids(samples, cfg, setting)
    labels = read_frame_labels(path)
    first = next(iter(labels.values()))
    given = len(next(iter(first.values())) if isinstance(first, dict) else first)
    if given != extras.num_frames:
        log.warning("%s has %d frames per segment, the head %d; they are resampled", path, given, extras.num_frames)
    codes = [info.code or info.name for info in samples.classes]
    masks = frame_masks(labels, ids, np.asarray(samples.labels), codes, extras.num_frames)
    having = int((np.diff(masks.starts.numpy()) > 0).sum())
    if not having:
        raise TrainingError(f"{setting} has frame labels of none of the segments in {cfg.train.train_pickle}")
    log.info("frame labels: %d of %d spectrograms; the others have only their labels", having, len(ids))
    unused = len(labels.keys() - set(ids.tolist()))
    if unused:
        log.warning("%s: %d segments are not in %s and are not used", path, unused, cfg.train.train_pickle)
    return ExtraTargets(extras.num_frames, masks)


def _with_teacher(
    extras: ExtraTargets, samples: Any, cfg: BaseConfig, path: str, targets: TeacherTargets
) -> ExtraTargets:
    setting = f"train.teacher_targets_pickle: {path}"
    pickle_path = cfg.train.train_pickle
    codes = [info.code or info.name for info in samples.classes]
    if what := difference_of(targets.class_codes, codes):
        raise TrainingError(f"{setting} has {what} than {pickle_path}; run teacher-targets on it")
    if targets.source_sha256 != sha256_of(pickle_path):
        raise TrainingError(
            f"{setting} was made from another training file than {pickle_path} ({Path(targets.source).name}, with "
            "another content); run teacher-targets again"
        )
    rows = _rows_of(_segment_ids(samples, cfg, setting), targets.segment_ids)
    if rows is None:
        raise TrainingError(f"{setting} lacks segments of {pickle_path}; run teacher-targets again")
    probabilities = targets.probabilities[rows]
    if not cfg.train.multi_label and np.abs(probabilities.sum(axis=1) - 1).max() > 1e-2:
        raise TrainingError(
            f"{setting} is from teachers whose classes do not exclude each other, but train.multi_label is false"
        )
    frames = None
    if targets.frames is not None and not extras.num_frames:
        log.info("%s: probabilities of frames are not used, since the head has no frames", path)
    elif targets.frames is not None:
        given = targets.frames.shape[2]
        if given != extras.num_frames:
            raise TrainingError(
                f"{setting} has {given} frames per spectrogram, the head {extras.num_frames}; set train.sed_fps and "
                "audio.spec_duration as they are in the teachers"
            )
        frames = targets.frames[rows]
    elif extras.num_frames:
        log.info("%s has no probabilities of frames; teachers teach only segments", path)
    return extras.with_teacher(probabilities, frames)


def _segment_ids(samples: Any, cfg: BaseConfig, setting: str) -> NDArray[np.int64]:
    if samples.segment_ids is None:
        raise TrainingError(
            f"{setting} names segments by ID, but {cfg.train.train_pickle} has no IDs; run pickle again"
        )
    return np.asarray(samples.segment_ids, dtype=np.int64)


def _rows_of(wanted_N: NDArray[np.int64], given_M: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the place of each wanted ID, (N,); None if one is missing."""
    order = np.argsort(given_M, kind="stable")
    place = np.searchsorted(given_M[order], wanted_N).clip(max=len(given_M) - 1)
    return order[place] if np.array_equal(given_M[order][place], wanted_N) else None
