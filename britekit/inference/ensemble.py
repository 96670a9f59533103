"""Combine several models: match classes by name, check that spectrograms are equal, average scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import expit, softmax

from britekit.audio.window_grid import WindowGrid
from britekit.config import AudioConfig, BaseConfig
from britekit.errors import ModelError
from britekit.inference.backend import PROBE, BackendChoice, choose_backend
from britekit.inference.exported import ExportedModel
from britekit.inference.frames import taper
from britekit.inference.members import (
    MemberFacts,
    check_members,
    check_steps,
    class_order,
    common_frame_rate,
    mapped_classes,
    window_audio,
)
from britekit.inference.platt import Calibration, choose_calibration
from britekit.inference.score_steps import finish_scores
from britekit.inference.spilled_array import SpilledArray
from britekit.inference.window_plan import shifted, staggered

if TYPE_CHECKING:
    from britekit.inference.screening import Screen

log = logging.getLogger(__name__)


class _Model(Protocol):
    def start(self, spectrograms_BHW: np.ndarray, padded: bool = True) -> tuple[np.ndarray, np.ndarray | None]: ...

    def wait(self) -> None: ...


class Ensemble:
    """Loaded members that score windows together, created by `load_ensemble`.

    Attributes
    ----------
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
    spread
        Frames that a window's own score is laid over, where members without SED heads are staggered; else None.
    frame_weights
        Weights (T,) of a window's frames where windows overlap; None if all are equal.
    screen
        Decides which windows engines score; set by those who ask for it (`britekit.inference.screening`).
    """

    def __init__(
        self, cfg: BaseConfig, backend: str, device: str, models: Sequence[_Model], members: Sequence[MemberFacts]
    ) -> None:
        self.cfg = cfg
        self.audio: AudioConfig = window_audio(cfg)
        self.backend = backend
        self.device = device
        self.members = list(members)
        self.multi_label = members[0].multi_label
        self.takes_sound = members[0].path.suffix == PROBE
        self._models = list(models)
        self.screen: Screen | None = None
        self.classes = mapped_classes(members[0].classes, cfg)
        self._orders = [class_order(members[0], member) for member in members]
        check_members(members)
        self.sed_fps = common_frame_rate(cfg, self.audio.spec_duration, members)
        self._gives_frames = self.sed_fps is not None
        self.spread: int | None = None
        if not self._gives_frames and self.staggered:
            self.sed_fps = cfg.train.sed_fps
            self.spread = max(1, round(self.sed_fps * self.audio.spec_duration))
        check_steps(cfg, members, self.sed_fps is not None)
        self.frame_weights: np.ndarray | None = None
        if cfg.infer.frame_taper:
            self.frame_weights = taper(max(1, round(cfg.train.sed_fps * self.audio.spec_duration)))

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
    def staggered(self) -> bool:
        """Whether a window is scored by some members only, see ``infer.initial_offsets``."""
        return self.cfg.infer.initial_offsets is not None

    def owners(self, place: int | None) -> np.ndarray:
        """Return the members (M,) that score the windows of an offset, bool; None: all."""
        members = np.arange(len(self._models))
        return members % len(self.cfg.infer.initial_offsets or [0.0]) == (place or 0)

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
        infer = self.cfg.infer
        grid = WindowGrid.for_overlap(self.audio.spec_duration, infer.overlap, start_seconds)
        if infer.initial_offsets is not None:
            return staggered(grid, infer.initial_offsets[: len(self._models)])
        return shifted(grid, infer.shift_s) if infer.shift_s else grid

    def finish(self, starts_N: np.ndarray, rows: SpilledArray) -> SpilledArray:
        """Return the rows of a recording after smoothing and scaling by its own top; ``rows`` is used up."""
        return finish_scores(self.cfg.infer, starts_N, rows)

    def score(
        self,
        spectrograms_BHW: np.ndarray,
        places: Sequence[int] | None = None,
        scaling: tuple[float, float] = (1.0, 0.0),
        owners_BM: np.ndarray | None = None,
        padded: bool = True,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean scores of the members, not calibrated.

        Parameters
        ----------
        spectrograms_BHW
            Normalized spectrograms, float32 (B, H, W); ``infer.audio_power`` is applied inside.
        places
            Numbers of the members asked; None = all.
        scaling
            Coefficient and intercept on the logits of each member, before the mean.
        owners_BM
            Which members score each window, at least one, bool; None = all that are asked.
        padded
            Let PyTorch run batches of one size only. Otherwise few windows take less time, but scores depend on their
            number, by rounding.

        Returns
        -------
        (B, C) float32, and (B, C, T) float32 or None without SED heads. If ``padded``, a window's scores do not depend
        on others.
        """
        if not len(spectrograms_BHW):
            return np.empty((0, len(self.classes)), np.float32), None
        chosen = range(len(self._models)) if places is None else places
        asked: list[tuple[int, Any]] = [(place, slice(None)) for place in chosen]
        if owners_BM is not None:
            asked = [(place, np.flatnonzero(owners_BM[:, place])) for place in chosen if owners_BM[:, place].any()]
        started = [self._models[place].start(spectrograms_BHW[rows_b], padded) for place, rows_b in asked]
        for place, _ in asked:
            self._models[place].wait()
        segments, frames = [], []
        for (segment_BC, frames_BCT), (place, _) in zip(started, asked, strict=True):
            order = self._orders[place]
            segments.append(self._activate(segment_BC, scaling)[:, order])
            if self._gives_frames and frames_BCT is not None:
                frames.append(self._activate(frames_BCT, scaling)[:, order])
        if owners_BM is None:
            return _mean(segments), _mean(frames) if frames else None
        counts_B, rows = owners_BM.sum(axis=1), [rows_b for _, rows_b in asked]
        return _mean_of_owners(segments, rows, counts_B), _mean_of_owners(frames, rows, counts_B) if frames else None

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

    Raises `ModelError` if a model cannot be read or run, or the members differ in classes or spectrograms.

    Parameters
    ----------
    cfg
        Effective settings: those of the user over those of the models (`resolve_for_models`).
    paths
        Checkpoints, or exports if there are no checkpoints.
    choice
        Result of `choose_backend`; None calls it.
    """
    choice = choice or choose_backend(cfg, paths)
    models: list[_Model] = []
    members: list[MemberFacts] = []
    if choice.reason:
        log.warning("the models run in PyTorch, because %s", choice.reason)
    audio, infer = window_audio(cfg), cfg.infer
    # Columns and frames of longer windows; None for the model's own.
    longer = None
    if infer.window_s is not None:
        longer = (audio.spec_width, max(1, round(cfg.train.sed_fps * infer.window_s)))
    if choice.name == "openvino":
        from britekit.inference.probe_file import ProbeModel

        runtimes: list[str] = []
        for path in choice.exports:
            exported: ExportedModel | ProbeModel
            if path.suffix == PROBE:
                if infer.precision != "f32":
                    raise ModelError(
                        f'infer.precision is "{infer.precision}", but {path} runs in f32 only; set it to f32'
                    )
                exported = ProbeModel(path)
                runtimes.append(exported.runtime)
            else:
                exported = ExportedModel(
                    path, infer.audio_power, cfg.audio.spec_height, cfg.audio.spec_width, False, infer.precision, longer
                )
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
        model = TorchModel(path, device, infer.audio_power, infer.block_size, infer.precision, False, longer)
        frames = model.start(probe, padded=False)[1]  # in a padded batch, 0.3 s for each member
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


def _mean_of_owners(parts: list[np.ndarray], rows: list[Any], counts_B: np.ndarray) -> np.ndarray:
    """Return the mean of each window over the members that scored it, summed in their order."""
    total = np.zeros((len(counts_B), *parts[0].shape[1:]), np.float32)
    for part, rows_b in zip(parts, rows, strict=True):
        total[rows_b] += part
    total /= counts_B.astype(np.float32).reshape(-1, *[1] * (total.ndim - 1))
    return total
