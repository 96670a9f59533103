"""Run trials of inference settings, sharing scores between trials that can use the same.

Settings such as `overlap` or `audio_power` change the input of the networks, so each of their values needs inference
once. Settings that turn scores into labels (`min_score`, the second pass, scaling, calibration) are applied to cached
scores; windows without a label then score 0.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.inference.ensemble import load_ensemble
from britekit.inference.label_rules import intervals_of_windows, label_rules
from britekit.inference.platt import configured_calibration
from britekit.inference.score_tables import ScoreCache
from britekit.tuning.trial import OnEpoch, TestSet

_THRESHOLDS = (
    "min_score", "lower_min_if_confirmed", "raise_min_to_confirm", "confirmed_if_seconds", "lower_min_factor",
)  # fmt: skip


class StoredScores:
    """Tests inference settings on cached scores.

    Parameters
    ----------
    folder
        Cache folder, which several processes may share.
    tuned
        Fields of ``infer`` that are searched. Thresholds apply only if one of them is searched; otherwise every score
        counts, as in a test.

    Attributes
    ----------
    inferences
        How often the networks had to run.
    """

    def __init__(self, test: TestSet, members: list[Path], folder: Path, tuned: Collection[str]) -> None:
        self._test, self._members, self._cache = test, members, ScoreCache(folder)
        self._cuts = any(name in tuned for name in _THRESHOLDS)
        self.inferences = 0

    def run(self, cfg: BaseConfig, seed: int, on_epoch: OnEpoch) -> dict[str, float]:
        """Return `FIGURES` with these settings; deterministic."""
        test, members = self._test, self._members[: cfg.infer.max_models]
        table, was_kept = self._cache.get(cfg, members, test.recordings, test.root, lambda: load_ensemble(cfg, members))
        self.inferences += not was_kept
        calibration = configured_calibration(cfg)
        if not calibration.is_identity:
            table.scores = calibration.apply(table.scores, table.classes)
        if self._cuts:
            table.scores = _labels_only(table, cfg)
        return test.measure(table, cfg)


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
            labeled = np.isin(table.starts[rows], found.starts)
            kept[rows[labeled], column] = table.scores[rows[labeled], column]
    return kept
