"""One recording through the engine, then calibration and labels; recent scores are kept.

A person who moves a threshold or asks for another format sends the same recording again: the scores are found
by the hash of its bytes, and only the labels are made anew.
"""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import britekit
from britekit.annotations.classes import ClassInfo, read_ignore_list
from britekit.audio.stream import iter_spectrograms
from britekit.errors import InferenceError
from britekit.inference.ensemble import load_ensemble
from britekit.inference.frames import FrameGrid
from britekit.inference.labels import label_rules, make_labels
from britekit.inference.platt import Calibration, read_calibration
from britekit.service.contents import Contents
from britekit.service.limits import Limits

KEPT_BYTES = 64 << 20
_BATCH = 16  # windows at a time: few, so that a long recording leaves room for short ones


class TooLong(InferenceError):
    """A recording longer than the server accepts."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """The ensemble's mean scores of a recording, not calibrated.

    Attributes
    ----------
    starts
        Seconds of the N windows.
    segment_scores
        float32 (N, C).
    frame_scores
        float32 (F, C) from 0 s on, or None without an SED head.
    seconds
        Length of the recording.
    damaged_at
        Second at which a damaged recording ended, or None.
    """

    starts: list[float]
    segment_scores: np.ndarray
    frame_scores: np.ndarray | None
    seconds: float
    damaged_at: float | None

    @property
    def bytes(self) -> int:
        frames = 0 if self.frame_scores is None else self.frame_scores.nbytes
        return self.segment_scores.nbytes + frames + 8 * len(self.starts) + 1024


@dataclass(frozen=True)
class Found:
    """A class heard from ``start`` to ``end``, in seconds; ``score`` is calibrated."""

    info: ClassInfo
    start: float
    end: float
    score: float


class Analyst:
    """The ensemble of a model folder, ready to score recordings from several threads."""

    def __init__(self, contents: Contents, limits: Limits) -> None:
        self._contents = contents
        self._cfg = contents.cfg
        self._max_seconds = limits.max_seconds
        self._ensemble = load_ensemble(contents.cfg, contents.exports)
        self._kept: OrderedDict[str, Analysis] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._scoring = threading.Lock()
        self.calibration = _calibration(contents)
        self._ignored = read_ignore_list(contents.cfg.misc.ignore_file, required=False)

    @property
    def classes(self) -> list[ClassInfo]:
        """The C classes, in the order of the scores."""
        return list(self._ensemble.classes)

    @property
    def calibrated(self) -> bool:
        """Whether a detection's score is a probability."""
        return not self.calibration.is_identity

    def analyze(self, path: Path, sha256: str) -> Analysis:
        """Score a recording, or return what is kept of it.

        Parameters
        ----------
        path
            The file.
        sha256
            Of its bytes; what scores are kept under.

        Raises
        ------
        InputError
            It cannot be decoded as audio.
        TooLong
            It is longer than the limit; found out while decoding, since headers may claim anything.
        """
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
                return self._kept[sha256]
        analysis = self._score(path)
        with self._lock:
            if sha256 not in self._kept and analysis.bytes <= KEPT_BYTES:
                self._kept[sha256] = analysis
                self._kept_bytes += analysis.bytes
                while self._kept_bytes > KEPT_BYTES:
                    self._kept_bytes -= self._kept.popitem(last=False)[1].bytes
        return analysis

    def label(self, analysis: Analysis, min_score: float) -> list[Found]:
        """Return what is heard, by the rules of ``analyze``; classes of the ignore list are left out."""
        cfg = copy.deepcopy(self._cfg)
        cfg.infer.min_score = min_score
        frames = analysis.frame_scores
        labels = make_labels(
            "",
            self.classes,
            "names",
            label_rules(cfg, frames is not None),
            np.asarray(analysis.starts, np.float64),
            self.calibration.apply(analysis.segment_scores, self.classes),
            None if frames is None else self.calibration.apply(frames, self.classes),
        )
        by_name = {info.name: info for info in self.classes}
        return [
            Found(by_name[x.name], x.start, x.end, x.score) for x in labels if x.name not in self._ignored
        ]

    def facts(self) -> dict[str, Any]:
        """Return what people want to know about the model, as plain values without paths."""
        members = [
            {"name": member.path.stem, "identifier": member.identifier, "sha256": member.sha256,
             "training_date": member.training_date}
            for member in self._ensemble.members
        ]  # fmt: skip
        infer = {k: v for k, v in dataclasses.asdict(self._cfg.infer).items() if k != "calibration"}
        calibration = None
        if self.calibrated:
            calibration = {
                "coefficient": self.calibration.coefficient,
                "intercept": self.calibration.intercept,
                "classes": {name: list(pair) for name, pair in self.calibration.per_class.items()},
            }
        return {
            "name": self._cfg.pipeline.bento_name,
            "version": britekit.__version__,
            "packaged_with": {key: self._contents.facts.get(key) for key in ("version", "revision")},
            "backend": self._ensemble.backend,
            "classes": [dataclasses.asdict(info) for info in self.classes if info.name not in self._ignored],
            "members": members,
            "calibration": calibration,
            "settings": infer,
            "audio": dataclasses.asdict(self._cfg.audio),
        }

    def _score(self, path: Path) -> Analysis:
        ensemble = self._ensemble
        windows = iter_spectrograms(path, ensemble.audio, ensemble.step_s, batch_size=_BATCH)
        grid = None if ensemble.sed_fps is None else FrameGrid(len(ensemble.classes), ensemble.sed_fps)
        starts: list[float] = []
        parts = [np.empty((0, len(ensemble.classes)), np.float32)]
        for batch in windows:
            if batch.starts[-1] > self._max_seconds:
                raise self._too_long()
            # One batch at a time: it uses all cores, and the queue below is not made for several threads.
            with self._scoring:
                segment_BC, frames_BCT = ensemble.score(batch.spectrograms)
            starts += batch.starts
            parts.append(segment_BC)
            if grid is not None and frames_BCT is not None:
                for start, frames_CT in zip(batch.starts, frames_BCT, strict=True):
                    grid.add(start, frames_CT)
        seconds = windows.seconds or 0.0
        if seconds > self._max_seconds:
            raise self._too_long()
        if not starts:
            raise InferenceError(f"the recording is {seconds:.3g} s long, too short to be analysed")
        frames = None if grid is None else grid.finish(seconds)
        return Analysis(starts, np.concatenate(parts), frames, seconds, windows.damaged_at)

    def _too_long(self) -> TooLong:
        return TooLong(
            f"the recording is longer than {self._max_seconds / 3600:.4g} hours, the most this server accepts"
        )


def _calibration(contents: Contents) -> Calibration:
    infer = contents.cfg.infer
    if infer.calibration is not None:
        return read_calibration(infer.calibration)
    return Calibration(infer.scaling_coefficient, infer.scaling_intercept)
