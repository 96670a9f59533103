"""Trials of inference settings: scores are made once for all trials that do not need others.

Settings such as `overlap` or `audio_power` change what the networks see, so each of their values needs
inference once. Those that only say how labels are made of scores (`min_score`, the second pass, scaling,
calibration) are applied to scores that are kept; what is no label then scores 0.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import numpy as np

from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.evaluation.score_sources import TABLE_NAME
from britekit.files import sha256_of
from britekit.inference.analysis import analyze_recordings, failure_of
from britekit.inference.ensemble import load_ensemble
from britekit.inference.label_rules import intervals_of_windows, label_rules
from britekit.inference.platt import Calibration, read_calibration
from britekit.leftovers import create, temporary_folder
from britekit.tuning.trial import OnEpoch, TestSet

# What decides about labels alone: scores of windows are the same whatever these are.
LABEL_SETTINGS = frozenset(
    {
        "min_score", "lower_min_if_confirmed", "raise_min_to_confirm", "confirmed_if_seconds",
        "lower_min_factor", "scaling_coefficient", "scaling_intercept", "calibration", "label_field",
        "num_threads",
    }
)  # fmt: skip
_THRESHOLDS = (
    "min_score", "lower_min_if_confirmed", "raise_min_to_confirm", "confirmed_if_seconds", "lower_min_factor",
)  # fmt: skip


class StoredScores:
    """Tests inference settings on scores that are kept.

    Parameters
    ----------
    test
        What is tested on.
    members
        Checkpoints of the ensemble.
    folder
        Where scores are kept; several processes may share it.
    tuned
        Fields of ``infer`` that are searched. Thresholds count only where one of them is: else every score
        does, as in a test.

    Attributes
    ----------
    inferences
        How often the networks had to run.
    """

    def __init__(self, test: TestSet, members: list[Path], folder: Path, tuned: Collection[str]) -> None:
        self._test, self._members, self._folder = test, members, folder
        self._cuts = any(name in tuned for name in _THRESHOLDS)
        self._hashes = [sha256_of(path) for path in members]
        self.inferences = 0

    def run(self, cfg: BaseConfig, seed: int, on_epoch: OnEpoch) -> dict[str, float]:
        """Return the four metrics with these settings; nothing is random here."""
        place = self._scores(cfg)
        calibration = _calibration(cfg)
        if calibration is None and not self._cuts:
            return self._test.measure(place, cfg)
        table = ScoreTable.load(place / TABLE_NAME)
        if calibration is not None:
            table.scores = calibration.apply(table.scores, table.classes)
        if self._cuts:
            table.scores = _labels_only(table, cfg)
        with temporary_folder("tune") as folder:
            table.save(folder / TABLE_NAME)
            shutil.copyfile(place / "manifest.yaml", folder / "manifest.yaml")
            return self._test.measure(folder, cfg)

    def _scores(self, cfg: BaseConfig) -> Path:
        """Return the directory of the scores for these settings, made if they are not there."""
        raw = copy.deepcopy(cfg)
        raw.infer.min_score, raw.infer.calibration = 0.0, None
        raw.infer.scaling_coefficient, raw.infer.scaling_intercept = 1.0, 0.0
        members = self._members[: raw.infer.max_models]
        facts = {
            "audio": asdict(raw.audio),
            "infer": {k: v for k, v in asdict(raw.infer).items() if k not in LABEL_SETTINGS},
            "sed_fps": raw.train.sed_fps,
            "members": self._hashes[: len(members)],
            "recordings": [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in self._test.recordings],
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        place = self._folder / key
        if (place / TABLE_NAME).is_file():
            return place
        self._folder.mkdir(parents=True, exist_ok=True)
        # Another process may be making the same: whoever is first keeps the name.
        working = create(place, folder=True)
        try:
            self.inferences += 1
            summary = analyze_recordings(
                raw, load_ensemble(raw, members), self._test.recordings, working.path, root=self._test.root,
                rtype="csv",
            )  # fmt: skip
            failure = failure_of(summary)
            if failure is not None:
                raise failure
            (working.path / "scores.csv").unlink(missing_ok=True)  # as large again, and rounded
            try:
                working.take_name(place)
            except OSError:
                if not (place / TABLE_NAME).is_file():
                    raise
        finally:
            working.discard()
        return place


def _calibration(cfg: BaseConfig) -> Calibration | None:
    if cfg.infer.calibration is not None:
        return read_calibration(cfg.infer.calibration)
    pair = cfg.infer.scaling_coefficient, cfg.infer.scaling_intercept
    return None if pair == (1.0, 0.0) else Calibration(*pair)


def _labels_only(table: ScoreTable, cfg: BaseConfig) -> np.ndarray:
    """Return the scores (N, C) of windows that get a label, 0 elsewhere."""
    rules = label_rules(cfg, has_frames=False)
    kept = np.zeros_like(table.scores)
    order = np.lexsort((table.starts, table.row_recording))
    edges = np.flatnonzero(np.diff(table.row_recording[order], prepend=-1, append=-1))
    for first, past in zip(edges, edges[1:]):
        rows = order[first:past]
        for column in range(table.scores.shape[1]):
            found = intervals_of_windows(table.starts[rows], table.scores[rows, column], rules)
            labelled = np.isin(table.starts[rows], found.starts)
            kept[rows[labelled], column] = table.scores[rows[labelled], column]
    return kept
