"""The scores of many recordings as one table, for tests of settings and ensembles, and a cache of such tables."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from os.path import isfile
from pathlib import Path

import numpy as np

import britekit
from britekit.annotations.deployments import DEFAULT_PATH as DEPLOYMENTS
from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.files import sha256_of
from britekit.inference.backend import choose_backend
from britekit.inference.ensemble import Ensemble
from britekit.inference.labeling import Labeler, ignored_classes
from britekit.inference.manifest import score_facts
from britekit.inference.platt import Calibration
from britekit.inference.recording_names import recording_name, refuse_each
from britekit.inference.scoring import LocalScorer, raise_failed, reason_of, run_metered
from britekit.inference.screening import left_out_as_0, open_screen

# Settings of `infer` that affect only labels or speed, not scores.
LABEL_SETTINGS = frozenset(
    {
        "min_score", "lower_min_if_confirmed", "raise_min_to_confirm", "confirmed_if_seconds",
        "lower_min_factor", "scaling_coefficient", "scaling_intercept", "calibration", "label_field",
        "num_threads", "max_models",
    }
)  # fmt: skip


def score_all(ensemble: Ensemble, paths: Sequence[Path], root: Path, start_seconds: float = 0.0) -> ScoreTable:
    """Return the uncalibrated scores of recordings, as ``analyze`` writes them to ``scores.npz``.

    Raises
    ------
    InferenceError
        A recording could not be scored.
    """
    refuse_each(ensemble.audio, "tests of scores")
    cfg = copy.deepcopy(ensemble.cfg)
    cfg.infer.min_score = 0.0
    labeler = Labeler(cfg, ensemble, Calibration())
    labeler.prior = labeler.load_prior(root=root)
    ensemble.screen = open_screen(cfg, ensemble, labeler) if cfg.infer.test_screened else None
    named = dict(sorted((recording_name(path, root), path) for path in paths))
    found: dict[str, tuple[float, np.ndarray, np.ndarray]] = {}
    failed: dict[Path, str] = {}
    width = len(labeler.classes)
    with LocalScorer(ensemble, labeler, start_seconds, None, len(named)) as scorer:
        for name, path, scored in run_metered(scorer, named):
            if isinstance(scored, BaseException):
                failed[path] = reason_of(scored, path)
                continue
            starts, *blocks = scored.raw()
            scores = np.frombuffer(b"".join(blocks), np.float32).reshape(-1, width)
            found[name] = (scored.seconds, np.frombuffer(starts, np.float64), scores)
    raise_failed(failed, len(named))
    names = list(named)
    seconds, starts, scores_of = zip(*(found[name] for name in names), strict=True)
    scores = np.concatenate(scores_of)
    return ScoreTable(
        recordings=names,
        seconds=np.array(seconds, np.float64),
        row_recording=np.repeat(np.arange(len(names), dtype=np.int32), list(map(len, starts))),
        starts=np.concatenate(starts),
        duration=labeler.unit_s,
        classes=labeler.classes,
        scores=scores if ensemble.screen is None else left_out_as_0(scores, "the test"),
        meta=score_facts(ensemble, labeler),
    )


class ScoreCache:
    """A cache of score tables in a folder, keyed by everything they depend on; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(
        self,
        cfg: BaseConfig,
        members: Sequence[Path],
        recordings: Sequence[Path],
        root: Path,
        load: Callable[[], Ensemble],
    ) -> tuple[ScoreTable, bool]:
        """Return the scores of recordings, and whether they were cached; compute and cache them otherwise.

        Parameters
        ----------
        cfg, members
            Effective settings and checkpoints of the ensemble.
        recordings, root
            See `score_all`.
        load
            Loads the ensemble if scores must be computed.
        """
        facts = {
            "britekit_version": britekit.__version__,
            "members": [sha256_of(path) for path in members],
            "backend": choose_backend(cfg, members).name,
            "force_cpu": cfg.misc.force_cpu,
            "audio": asdict(cfg.audio),
            "infer": {k: v for k, v in asdict(cfg.infer).items() if k not in LABEL_SETTINGS},
            "sed_fps": cfg.train.sed_fps,
            "names": [cfg.misc.map_names, cfg.misc.map_codes],
            "ignored": sorted(ignored_classes(cfg)),
            "occurrence": [sha256_of(path) for path in (cfg.infer.occurrence, DEPLOYMENTS) if path and isfile(path)],
            "recordings": [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in recordings],
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        place = self._folder / f"{key}.npz"
        if place.is_file():
            return ScoreTable.load(place), True
        table = score_all(load(), recordings, root)
        table.save(place)
        return table, False
