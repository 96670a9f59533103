"""Combine several models: match classes by name, check that spectrograms are equal, average scores."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.special import expit, softmax

from britekit.annotations.classes import ClassInfo, map_name
from britekit.audio.windows import WindowGrid
from britekit.config import AudioConfig, BaseConfig
from britekit.errors import ModelError, some
from britekit.inference.backend import PROBE, BackendChoice, choose_backend
from britekit.inference.exported import ExportedModel
from britekit.inference.platt import Calibration, choose_calibration

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemberFacts:
    """A model of an ensemble, as described in the manifest."""

    path: Path
    """The loaded file: a checkpoint or its export."""
    classes: list[ClassInfo]
    training_cfg: dict[str, Any]
    multi_label: bool
    identifier: str
    training_date: str | None
    sha256: str
    """SHA-256 of the checkpoint, even if its export is used."""
    frames: int | None
    """T, frames per window; None without an SED head."""
    licence: str | None = None
    """Licence of the embedder in a probe."""


class _Model(Protocol):
    def start(self, spectrograms_BHW: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]: ...

    def wait(self) -> None: ...


class Ensemble:
    """Loaded members that score windows together, created by `load_ensemble`.

    Attributes
    ----------
    cfg
        Settings in force.
    classes
        C classes, in the order of the first member.
    audio
        Settings of its spectrograms.
    backend, device
        ``torch`` or ``openvino``; ``cpu``, ``cuda`` or ``mps``.
    members
        Facts of each model.
    sed_fps
        Frames per second of frame scores, or None if there are none.
    """

    def __init__(
        self, cfg: BaseConfig, backend: str, device: str, models: Sequence[_Model], members: Sequence[MemberFacts]
    ) -> None:
        self.cfg = cfg
        self.audio: AudioConfig = cfg.audio
        self.backend = backend
        self.device = device
        self.members = list(members)
        self.multi_label = members[0].multi_label
        self.takes_sound = members[0].path.suffix == PROBE
        self._models = list(models)
        self.classes = mapped_classes(members[0].classes, cfg)
        self._orders = [_class_order(members[0], member) for member in members]
        _check_members(members)
        self.sed_fps = _common_frame_rate(cfg, members)

    def alone(self, place: int) -> Ensemble:
        """Return one member as an ensemble; do not use it while this one is in use."""
        return Ensemble(self.cfg, self.backend, self.device, [self._models[place]], [self.members[place]])

    @property
    def sha256s(self) -> frozenset[str]:
        """SHA-256 of the members' checkpoints."""
        return frozenset(member.sha256 for member in self.members)

    def calibration(self, raw: bool = False) -> Calibration:
        """Return the calibration for the scores, see `choose_calibration`."""
        return choose_calibration(self.cfg, self.sha256s, self.members[0].path.parent, raw)

    @property
    def width(self) -> int:
        """C, the number of classes."""
        return len(self.classes)

    @property
    def duration(self) -> float:
        """Seconds of a window."""
        return self.audio.spec_duration

    @property
    def step_s(self) -> float:
        """Step between windows in seconds."""
        return self.grid().step_s

    def grid(self, start_seconds: float = 0.0) -> WindowGrid:
        """Return the grid of windows of a recording; the first one starts at ``start_seconds``."""
        return WindowGrid.for_overlap(self.audio.spec_duration, self.cfg.infer.overlap, start_seconds)

    def score(
        self,
        spectrograms_BHW: np.ndarray,
        places: Sequence[int] | None = None,
        scaling: tuple[float, float] = (1.0, 0.0),
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean scores of the members, not calibrated.

        Parameters
        ----------
        spectrograms_BHW
            Normalised spectrograms, float32 (B, H, W); ``infer.audio_power`` is applied inside.
        places
            Numbers of the members asked; None = all.
        scaling
            Coefficient and intercept on the logits of each member, before the mean.

        Returns
        -------
        (B, C) float32, and (B, C, T) float32 or None without SED heads. A window's scores do not depend on others.
        """
        if not len(spectrograms_BHW):
            return np.empty((0, len(self.classes)), np.float32), None
        chosen = range(len(self._models)) if places is None else places
        started = [self._models[place].start(spectrograms_BHW) for place in chosen]
        for place in chosen:
            self._models[place].wait()
        segments, frames = [], []
        for (segment_BC, frames_BCT), place in zip(started, chosen, strict=True):
            order = self._orders[place]
            segments.append(self._activate(segment_BC, scaling)[:, order])
            if self.sed_fps is not None and frames_BCT is not None:
                frames.append(self._activate(frames_BCT, scaling)[:, order])
        return _mean(segments), _mean(frames) if frames else None

    def _activate(self, logits: np.ndarray, scaling: tuple[float, float]) -> np.ndarray:
        if not self.multi_label:
            scores = softmax(logits, axis=1)
        elif scaling == (1.0, 0.0):
            scores = expit(logits)
        else:
            scores = expit(np.float32(scaling[0]) * logits + np.float32(scaling[1]))
        return scores.astype(np.float32, copy=False)


def load_ensemble(cfg: BaseConfig, paths: Sequence[Path], choice: BackendChoice | None = None) -> Ensemble:
    """Load the models.

    Parameters
    ----------
    cfg
        Effective settings: those of the user over those of the models (`resolve_for_models`).
    paths
        Checkpoints, or exports if there are no checkpoints.
    choice
        Result of `choose_backend`; None calls it.

    Raises
    ------
    ModelError
        A model cannot be read or run, or the members differ in classes or spectrograms.
    """
    choice = choice or choose_backend(cfg, paths)
    models: list[_Model] = []
    members: list[MemberFacts] = []
    if choice.reason:
        log.warning("the models run in PyTorch, because %s", choice.reason)
    audio, infer = cfg.audio, cfg.infer
    if choice.name == "openvino":
        from britekit.inference.probe_file import ProbeModel

        runtimes: list[str] = []
        for path in choice.exports:
            exported: ExportedModel | ProbeModel
            if path.suffix == PROBE:
                exported = ProbeModel(path)
                runtimes.append(exported.runtime)
            else:
                exported = ExportedModel(path, infer.audio_power, audio.spec_height, audio.spec_width)
            facts = exported.facts
            models.append(exported)
            members.append(
                MemberFacts(
                    path=path,
                    classes=facts.classes,
                    training_cfg=facts.training_cfg,
                    multi_label=facts.multi_label,
                    identifier=facts.identifier,
                    training_date=facts.training_date,
                    sha256=facts.source_sha256,
                    frames=facts.frames,
                    licence=facts.licence,
                )
            )
        return Ensemble(cfg, runtimes[0] if runtimes else choice.name, "cpu", models, members)

    from britekit.inference.torch_model import TorchModel
    from britekit.training.devices import choose_device

    device = choose_device(cfg.misc.force_cpu)
    probe = np.zeros((1, audio.spec_height, audio.spec_width), np.float32)
    for path in paths:
        model = TorchModel(path, device, infer.audio_power, infer.block_size, infer.autocast)
        frames = model.start(probe)[1]
        stored = model.stored
        models.append(model)
        members.append(
            MemberFacts(
                path=path,
                classes=stored.classes,
                training_cfg=stored.training_cfg,
                multi_label=stored.multi_label,
                identifier=stored.identifier,
                training_date=stored.training_date,
                sha256=stored.sha256,
                frames=None if frames is None else frames.shape[2],
            )
        )
    return Ensemble(cfg, choice.name, device.type, models, members)


def _mean(parts: list[np.ndarray]) -> np.ndarray:
    """Return the mean, summed in the order of members so that rounding is reproducible."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    if len(parts) > 1:
        total /= np.float32(len(parts))
    return total


def mapped_classes(classes: Sequence[ClassInfo], cfg: BaseConfig) -> list[ClassInfo]:
    """Return the classes of old models with their new names and codes."""
    return [
        dataclasses.replace(
            info, name=map_name(info.name, cfg.misc.map_names), code=map_name(info.code, cfg.misc.map_codes)
        )
        for info in classes
    ]


def _class_order(first: MemberFacts, member: MemberFacts) -> np.ndarray:
    """Return the column in a member of each class of the first member."""
    wanted = [info.name for info in first.classes]
    column = {info.name: place for place, info in enumerate(member.classes)}
    missing = [f'"{name}"' for name in wanted if name not in column]
    extra = [f'"{name}"' for name in sorted(set(column) - set(wanted))]
    if missing or extra:
        parts = [f"lacks {some(missing, 4)}"] if missing else []
        parts += [f"adds {some(extra, 4)}"] if extra else []
        raise ModelError(
            f"{member.path} knows other classes than {first.path}: it {' and '.join(parts)}; members of "
            "an ensemble must agree"
        )
    return np.array([column[name] for name in wanted])


def _check_members(members: Sequence[MemberFacts]) -> None:
    """Raise unless all members use the same spectrograms and the same kind of score."""
    first = members[0]
    for member in members[1:]:
        if (member.path.suffix == PROBE) != (first.path.suffix == PROBE):
            raise ModelError(
                f"{first.path} and {member.path} cannot form an ensemble: one takes sound, one spectrograms"
            )
    fields = [field.name for field in dataclasses.fields(AudioConfig)]
    for member in members[1:]:
        own, wanted = member.training_cfg["audio"], first.training_cfg["audio"]
        for name in fields:
            if own.get(name) != wanted.get(name):
                raise ModelError(
                    f"{member.path} was trained with audio.{name} {own.get(name)}, {first.path} with "
                    f"{wanted.get(name)}; members of an ensemble must agree"
                )
        if member.multi_label != first.multi_label:
            raise ModelError(
                f"{member.path} and {first.path} differ in train.multi_label; members of an ensemble must agree"
            )


def _common_frame_rate(cfg: BaseConfig, members: Sequence[MemberFacts]) -> int | None:
    """Return the frame rate if all members give frames, else None."""
    with_frames = [member for member in members if member.frames is not None]
    if not with_frames:
        return None
    if len(with_frames) < len(members):
        without = next(member for member in members if member.frames is None)
        log.warning(
            "%s has no SED head, so the ensemble gives scores only per window, not per frame", without.path.name
        )
        return None
    expected = max(1, round(cfg.train.sed_fps * cfg.audio.spec_duration))
    for member in members:
        if member.frames != expected:
            raise ModelError(
                f"{member.path} gives {member.frames} frames per window; train.sed_fps "
                f"{cfg.train.sed_fps} and {cfg.audio.spec_duration:g} s make {expected}"
            )
    return cfg.train.sed_fps
