"""Score the spectrograms of a training file with an ensemble, as targets for another network.

Legend: N spectrograms, B batch, C classes, T frames.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from britekit.annotations.classes import difference_of
from britekit.config import BaseConfig, from_dict
from britekit.datasets.bank import Bank
from britekit.datasets.batches import plain_batches
from britekit.datasets.teacher_targets import TeacherTargets
from britekit.datasets.training_set import TrainingSet, read_training_set
from britekit.errors import InputError, ModelError, TrainingError, some
from britekit.files import sha256_of
from britekit.models.checkpoint import StoredModel, load_checkpoint
from britekit.progress import Meter
from britekit.training.devices import choose_device, memory_format

log = logging.getLogger(__name__)


def score_with_teachers(
    pickle_path: str | Path,
    checkpoints: Sequence[Path],
    cfg: BaseConfig,
    batch_size: int = 256,
    device: str | None = None,
) -> TeacherTargets:
    """Return mean probabilities of an ensemble for each spectrogram of a training file.

    Spectrograms are scored as they are in the file, without augmentation, and scores are not calibrated. Memory holds
    the spectrograms and the sums of scores, and one network at a time.

    Raises `BriteKitError` if a file cannot be read, or teachers and spectrograms do not belong together.

    Parameters
    ----------
    checkpoints
        The teachers; all with the classes of the file, in its order, and with its audio settings.
    cfg
        Audio settings of a file that does not hold them.
    batch_size
        Spectrograms scored at once.
    device
        ``cpu``, ``cuda`` or ``mps``; None for the best there is.
    """
    if batch_size < 1:
        raise InputError(f"--batch-size {batch_size}: expected 1 or more")
    where = _device(device, cfg)
    samples: TrainingSet | None = None
    bank: Bank | None = None
    first: StoredModel | None = None
    sums: NDArray[np.float64] = np.zeros(0)
    frame_sums: NDArray[np.float32] | None = None
    hashes: list[tuple[str, str]] = []
    for number, path in enumerate(checkpoints):
        model = load_checkpoint(path, where)
        size = (int(model.training_cfg["audio"]["spec_height"]), int(model.training_cfg["audio"]["spec_width"]))
        if samples is None or bank is None or first is None:
            samples = _samples(pickle_path, size, path, cfg)
            bank, first = Bank(samples, where), model
            sums = np.zeros((len(samples.images), len(samples.classes)))
        _check_teacher(model, first, samples, str(pickle_path), cfg)
        name = f"teacher {number + 1} of {len(checkpoints)}"
        scores, frames = _scores(model, bank, batch_size, where, name)
        sums += scores
        if number == 0:
            frame_sums = frames
        elif frame_sums is not None and frames is not None:
            frame_sums += frames
        elif (frame_sums is None) != (frames is None):
            log.warning("not all teachers score frames, so the targets have none")
            frame_sums = None
        hashes.append((path.name, model.sha256))
    assert samples is not None and samples.segment_ids is not None
    count = len(checkpoints)
    return TeacherTargets(
        class_codes=[info.code or info.name for info in samples.classes],
        segment_ids=samples.segment_ids,
        probabilities=(sums / count).astype(np.float32),
        frames=None if frame_sums is None else (frame_sums / count).astype(np.float16),
        source=str(pickle_path),
        source_sha256=sha256_of(pickle_path),
        teacher=str(checkpoints[0].parent if count > 1 else checkpoints[0]),
        checkpoints=tuple(hashes),
    )


def _device(name: str | None, cfg: BaseConfig) -> torch.device:
    found = choose_device(cfg.misc.force_cpu or name == "cpu")
    if name is not None and found.type != name:
        raise TrainingError(f"--device {name}: this machine has no such device for PyTorch; use {found.type}")
    return found


def _samples(pickle_path: str | Path, size: tuple[int, int], teacher: Path, cfg: BaseConfig) -> TrainingSet:
    try:
        samples = read_training_set(pickle_path, cfg.train.num_workers, size)
    except InputError as error:
        raise InputError(f"{error} ({teacher.name} takes {size[0]} × {size[1]})") from error
    if samples.segment_ids is None:
        raise InputError(f"{pickle_path} has no IDs of segments, by which training finds targets; run pickle again")
    return samples


def _check_teacher(
    model: StoredModel, first: StoredModel, samples: TrainingSet, pickle_path: str, cfg: BaseConfig
) -> None:
    """Raise if a teacher has other classes or audio settings than the file, or other outputs than the first one."""
    path = model.path
    ours = [info.code or info.name for info in samples.classes]
    theirs = [info.code or info.name for info in model.classes]
    if what := difference_of(theirs, ours):
        raise ModelError(f"teacher {path} has {what} than {pickle_path}; teachers need the same list in the same order")
    made_with = samples.audio or vars(cfg.audio)
    source = pickle_path if samples.audio else "the settings"
    stored = vars(from_dict({"audio": model.training_cfg["audio"]}, f"{path}: ").audio)
    differing = [
        f"{key} {stored[key]} ({source}: {made_with[key]})"
        for key in sorted(_SOUND & made_with.keys() & stored.keys())
        if stored[key] != made_with[key]
    ]
    if differing:
        hint = "" if samples.audio else "; give the settings of the training file with -c"
        raise ModelError(f"teacher {path} was trained with other audio settings: {some(differing, 3)}{hint}")
    if model.multi_label != first.multi_label:
        raise ModelError(f"teachers {first.path} and {path} differ in train.multi_label")


# Of the audio settings those that change a spectrogram; its size is checked by itself.
_SOUND = frozenset(
    {"spec_duration", "win_length", "max_freq", "min_freq", "sampling_rate", "freq_scale", "power", "decibels"}
    | {"top_db", "db_power", "log_freq_gain", "n_fft", "mel_norm"}
)


def _scores(
    model: StoredModel, bank: Bank, batch_size: int, device: torch.device, name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return probabilities (N, C), and those of frames (N, C, T) if the network gives them."""
    layout = memory_format(device)
    network: Any = model.recognizer.to(memory_format=layout)  # type: ignore[call-overload]
    segments: list[NDArray[np.float32]] = []
    frames: list[NDArray[np.float32]] = []
    meter = Meter(len(bank), name)
    try:
        with torch.inference_mode():
            for batch in plain_batches(bank, torch.arange(len(bank)), batch_size):
                logits, frame_logits = network(batch.images.contiguous(memory_format=layout))
                scores = torch.sigmoid(logits) if model.multi_label else torch.softmax(logits, 1)
                segments.append(scores.float().cpu().numpy())
                if frame_logits is not None:
                    frames.append(torch.sigmoid(frame_logits).float().cpu().numpy())
                meter.advance(len(logits))
        meter.finish()
    finally:
        meter.close()
    found = np.concatenate(segments)
    if not np.isfinite(found).all():
        raise ModelError(f"teacher {model.path} scores {int((~np.isfinite(found)).sum())} cells with NaN; leave it out")
    return found, np.concatenate(frames) if frames else None
