"""`Predictor`: scores and labels of one recording at a time, for people at a prompt.

N windows, C classes, T frames of a window, F frames of a recording.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.labels import Label
from britekit.api.array_labels import ArrayLabels
from britekit.api.audio import Audio
from britekit.api.compat.score_grid import ScoreGrid
from britekit.api.compat.settings import as_settings, with_audio
from britekit.api.scored import ScoredRecording
from britekit.audio.window_grid import WindowGrid
from britekit.errors import InferenceError, InputError
from britekit.files import write_text
from britekit.inference.embedding import SearchModel
from britekit.inference.engine import BLOCK, Engine
from britekit.inference.ensemble import load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.manifest import manifest_content, manifest_text
from britekit.inference.model_files import resolve_for_models
from britekit.inference.platt import Calibration
from britekit.inference.score_steps import steps_taken

log = logging.getLogger(__name__)


class Predictor(ArrayLabels):
    """An ensemble, loaded once, with the calls of public britekit and `score`, which returns one object.

    Scores are calibrated as `britekit analyze` does it, except those of `get_raw_scores`; with
    ``infer.scaling_coefficient`` and ``infer.scaling_intercept`` each model is scaled before the mean, as there.

    Parameters
    ----------
    model_path
        A model or a directory of models; None takes ``misc.ckpt_folder``.
    device
        ``cpu`` forbids a GPU; None takes one that is there.
    cfg
        Settings; None takes those in force, as commands do. Audio settings are those of the models.
    quantile
        With ``infer.segment_len``, the score of a label is this quantile of its frames' scores, not their maximum.
    audio_overrides
        Audio settings that replace those of the models.
    raw
        Leave the scores as they are.
    thresholds
        Use the threshold of each class that the calibration holds in place of ``infer.min_score``.

    Attributes
    ----------
    audio
        The recording scored last, an `Audio`.
    calibrated
        Whether scores are calibrated, and by what.
    class_names, class_codes, class_alt_names, class_alt_codes
        The C classes, in the order of the scores.

    Raises
    ------
    ModelError
        There is no model, or the models do not go together.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        device: str | None = None,
        cfg: Any = None,
        quantile: float | None = None,
        audio_overrides: Mapping[str, Any] | None = None,
        raw: bool = False,
        thresholds: bool = False,
    ) -> None:
        if device not in (None, "cpu", "cuda", "mps"):
            raise InputError(f'device "{device}" is not one of cpu, cuda, mps')
        if quantile is not None and not 0 <= quantile <= 1:
            raise InputError(f"quantile {quantile:g} is not between 0 and 1")
        overrides = {"misc.force_cpu": True} if device == "cpu" else None
        self.cfg, self._paths = resolve_for_models(None, overrides, model_path, as_settings(cfg))
        self.cfg = with_audio(self.cfg, audio_overrides)
        self.cfg.misc.force_cpu |= device == "cpu"
        if quantile is not None:
            self.cfg.infer.quantile = quantile if self.cfg.infer.segment_len is not None else None
        self.quantile, self.audio_overrides = quantile, dict(audio_overrides or {})
        self._ensemble = load_ensemble(self.cfg, self._paths)
        self.device = self._ensemble.device
        if device not in (None, self.device):
            raise InputError(f'device "{device}" was asked for; the models run on {self.device}')
        self._labeler = Labeler(self.cfg, self._ensemble, self._ensemble.calibration(raw), thresholds)
        self.calibrated = self._labeler.calibration.describe()
        calibration = self._labeler.calibration
        per_model = calibration.source is None and not calibration.per_class
        self._scaling = (calibration.coefficient, calibration.intercept) if per_model else (1.0, 0.0)
        self._calibration = Calibration() if per_model else calibration
        # Of scores that are calibrated already.
        self._as_given = copy.copy(self._labeler)
        self._as_given.calibration = Calibration()
        self._seconds: dict[int, float] = {}
        self._search_model: SearchModel | None = None
        self.audio = Audio(cfg=self.cfg)
        self._specs: tuple[np.ndarray, np.ndarray] = (np.empty(0, np.float32), np.empty(0, np.float32))
        classes = self._ensemble.classes
        self.class_names = [info.name for info in classes]
        self.class_codes = [info.code for info in classes]
        self.class_alt_names = [info.alt_name for info in classes]
        self.class_alt_codes = [info.alt_code for info in classes]

    def score(self, recording_path: str | os.PathLike[str]) -> ScoredRecording:
        """Score a recording; raises `InputError` if it cannot be read."""
        with Engine(self._ensemble, threads=1) as engine:
            found = ScoredRecording(Path(recording_path), engine.score(recording_path), self)
        self._remember(found.seconds, found.scores, found.frames)
        return found

    def labels_of(self, scored: ScoredRecording) -> list[Label]:
        """Return the labels of a scored recording, with the occurrence data that ``infer.occurrence`` names."""
        prior = self._labeler.prior_of(scored.path)
        starts = scored.starts.tolist()
        return self._labels(scored.path.stem, scored.scores, scored.frames, starts, self._labeler, prior)

    def get_raw_scores(
        self, recording_path: str | os.PathLike[str]
    ) -> tuple[np.ndarray, np.ndarray | None, list[float]]:
        """Score a recording, without calibration.

        Returns
        -------
        scores : float32 (N, C)
            Mean scores of the models.
        frame_map : float32 (F, C) or None
            The same per frame from 0 s on; None without SED heads.
        start_times : list of float
            Of the N windows, seconds.

        Raises
        ------
        InputError
            The recording cannot be read.
        """
        found = self.score(recording_path)
        return found.scores, found.frames, found.starts.tolist()

    def get_recording_scores(
        self, recording_path: str | os.PathLike[str], start_seconds: float = 0, *, use_loaded_audio: bool = False
    ) -> tuple[np.ndarray | None, np.ndarray | None, list[float]]:
        """Score a recording, or the one that ``audio`` holds, as it is configured there.

        Returns
        -------
        scores : float32 (N, C) or None
            Of the N windows; None where there is too little audio.
        frame_map : float32 (F, C) or None
            The same per frame from 0 s on; None without SED heads.
        start_times : list of float
            Of the windows, seconds.

        Raises
        ------
        InferenceError
            The recording cannot be read.
        """
        if steps_taken(self.cfg.infer):
            return self._steps_scores(recording_path, start_seconds, use_loaded_audio)
        self._load(recording_path, use_loaded_audio)
        starts = self.get_start_times(self.audio.seconds(), start_seconds, self.cfg.audio.spec_duration)
        grid = ScoreGrid(self.audio.seconds(), self._ensemble)
        scores, starts = self._score(grid, starts, None)
        frames = grid.mean() if grid.has_frames else None
        if not len(scores):
            log.warning("%s contains too little audio to be scored (%.2f s)", recording_path, self.audio.seconds())
            return None, None, []
        self._remember(self.audio.seconds(), scores, frames)
        return scores, frames, starts

    def _steps_scores(
        self, path: str | os.PathLike[str], start_seconds: float, loaded: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None, list[float]]:
        """Score a recording with all steps that the settings switch on, as ``analyze`` does."""
        names = ", ".join(f"infer.{name}" for name in steps_taken(self.cfg.infer))
        if loaded:
            raise InferenceError(f"use_loaded_audio cannot be combined with {names}; give the path of the recording")
        try:
            with Engine(self._ensemble, threads=1) as engine:
                found = engine.score(path, start_seconds)
        except InputError as error:
            raise InferenceError(str(error)) from error
        if not len(found.starts):
            return None, None, []
        scores, frames = (None if x is None else self._labeler.calibration.apply(x, self._ensemble.classes)
                          for x in (found.scores, found.frames))  # fmt: skip
        self._remember(found.seconds, scores, frames)
        return scores, frames, found.starts.tolist()

    def get_overlapping_scores(
        self, recording_path: str | os.PathLike[str], initial_start_times: Sequence[float]
    ) -> np.ndarray | None:
        """Score a recording with windows that begin elsewhere for each model; return frame scores, float32 (F, C).

        Model k begins at start time k, and again at the first one when all are used up. Its windows touch; a later
        start than the first adds a window before it. Frames are averaged over all windows that cover them. None where
        there is too little audio.

        Raises
        ------
        InferenceError
            The recording cannot be read.
        """
        if not len(initial_start_times):
            raise InputError("initial_start_times is empty; give one start time at least")
        self._load(recording_path, False)
        seconds, duration = self.audio.seconds(), self.cfg.audio.spec_duration
        members: dict[float, list[int]] = {}
        for place in range(len(self._ensemble.members)):
            members.setdefault(float(initial_start_times[place % len(initial_start_times)]), []).append(place)
        grid = ScoreGrid(seconds, self._ensemble, whole_windows=True)
        for start, places in members.items():
            starts = self.get_start_times(seconds, start, duration, 0.0)
            before = [start - duration] if start > initial_start_times[0] else []
            self._score(grid, before + starts, places)
        if not grid.count.any():
            log.warning("%s contains too little audio to be scored (%.2f s)", recording_path, seconds)
            return None
        frames = grid.mean()
        self._remember(seconds, frames)
        return frames

    def get_start_times(
        self, audio_duration: float, start_seconds: float, segment_len: float, overlap: float | None = None
    ) -> list[float]:
        """Return where the windows of a recording begin; the last one ends with it, so that all of it is heard."""
        overlap = self.cfg.infer.overlap if overlap is None else overlap
        return WindowGrid.for_overlap(segment_len, overlap, start_seconds).starts(audio_duration)

    def get_specs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the spectrograms of the last scored windows, normalized and not, float32 (N, H, W)."""
        return self._specs

    def get_block_scores(
        self,
        specs: Any,
        start_times: Sequence[float] | None = None,
        audio_duration: float | None = None,
        max_models: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Score spectrograms as they are, without ``infer.audio_power``.

        Parameters
        ----------
        specs
            (N, 1, H, W), array or tensor, 0 to 1.
        start_times, audio_duration
            Where they begin and how long their recording is; both are needed for a frame map.
        max_models
            Only that many models.

        Returns
        -------
        Scores (N, C), and the frame map (F, C) or None.
        """
        images = self._images(specs)
        places = list(range(len(self._ensemble.members)))[:max_models]
        power = np.float32(1.0 / self.cfg.infer.audio_power)
        parts = [self._ensemble.score(images[at : at + BLOCK] ** power, places, self._scaling, padded=False)
                 for at in range(0, len(images), BLOCK)]  # fmt: skip
        scores = self._calibrated(np.concatenate([part for part, _ in parts]))
        if start_times is None or audio_duration is None or parts[0][1] is None:
            return scores, None
        frames = np.concatenate([part for _, part in parts if part is not None])
        return scores, self.to_global_frames(frames, start_times, audio_duration)

    def get_embeddings(self, spec_array: Any) -> np.ndarray:
        """Return the mean embedding of the models, float32 (N, F), for spectrograms (N, 1, H, W) as they are."""
        if self._search_model is None:
            self._search_model = SearchModel(self.cfg, self._paths)
        return self._search_model.embed(self._images(spec_array))

    def save_manifest(self, output_path: str | os.PathLike[str], cfg: Any = None) -> None:
        """Write ``manifest.yaml`` into a directory: what scores were made with."""
        used = as_settings(cfg) or self.cfg
        text = manifest_text(manifest_content(used, self._ensemble, self._labeler))
        write_text(Path(output_path) / "manifest.yaml", text)

    def _load(self, path: str | os.PathLike[str], loaded: bool) -> None:
        if loaded:
            if not self.audio.signal_len():
                raise InferenceError("use_loaded_audio was asked for, but no recording is loaded")
            return
        try:
            self.audio.set_config(self.cfg)
            self.audio.load(path)
        except InputError as error:
            raise InferenceError(str(error)) from error

    def _score(
        self, grid: ScoreGrid, starts: Sequence[float], places: Sequence[int] | None
    ) -> tuple[np.ndarray, list[float]]:
        """Score the windows of the loaded recording that hold audio onto a grid; return scores and starts."""
        parts, kept, pictures = [np.empty((0, len(self.class_names)), np.float32)], [], []
        for at in range(0, len(starts), BLOCK):
            some = list(starts[at : at + BLOCK])
            # Too little audio is left only in a recording of less than a second, and before a later start.
            heard = [start for start in some if self._heard(start)]
            if not heard:
                continue
            images, raw = self.audio.get_spectrograms(heard)
            segment, frames = self._ensemble.score(images, places, self._scaling, padded=False)
            segment = self._calibrated(segment)
            laid = None if frames is None else self._calibrated(frames.swapaxes(1, 2))
            grid.add(heard, segment, laid, 1 if places is None else len(places))
            parts.append(segment)
            kept += heard
            pictures.append((images, raw))
        if pictures:
            normalized, raw_ones = zip(*pictures, strict=True)
            self._specs = (np.concatenate(normalized), np.concatenate(raw_ones))
        return np.concatenate(parts), kept

    def _heard(self, start: float) -> bool:
        duration = self.cfg.audio.spec_duration
        inside = min(start + duration, self.audio.seconds()) - max(start, 0.0)
        return inside >= min(1.0, duration) - 1e-6 or start < 0 < inside

    def _calibrated(self, scores: np.ndarray) -> np.ndarray:
        return self._calibration.apply(scores, self._ensemble.classes)

    def _images(self, specs: Any) -> np.ndarray:
        images = specs.numpy(force=True) if hasattr(specs, "detach") else np.asarray(specs)
        height, width = self.cfg.audio.spec_height, self.cfg.audio.spec_width
        if images.ndim == 4 and images.shape[1] == 1:
            images = images[:, 0]
        if images.ndim != 3 or images.shape[1:] != (height, width):
            raise InputError(f"spectrograms of shape {images.shape}; expected (N, 1, {height}, {width})")
        return images.astype(np.float32, copy=False)
