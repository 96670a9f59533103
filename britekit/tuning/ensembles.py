"""Find the best ensemble of checkpoints, with an unbiased score."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.errors import InputError, some
from britekit.evaluation.epochs import annotated_recordings
from britekit.evaluation.exclusions import root_of
from britekit.inference.model_files import resolve_for_models
from britekit.leftovers import temporary_folder
from britekit.processes import available_cores
from britekit.tuning.mean_scores import METRICS, MeanScores
from britekit.tuning.member_scores import MemberScores, halves, score_members
from britekit.tuning.selection import Choice, Combination, choose

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundEnsemble:
    """The best ensemble.

    Attributes
    ----------
    choice
        What was rated, on the half that chooses.
    score
        Of the best, on the held-out half.
    best_single, everyone
        On the held-out half: of the member that is best where the choice is made, and of all members together.
    held_out
        False if all recordings were used to choose; scores are then optimistic.
    """

    all_paths: list[Path]
    choice: Choice
    score: float
    best_single: float
    best_single_name: str
    everyone: float
    held_out: bool

    @property
    def paths(self) -> list[Path]:
        """Checkpoints of the best ensemble; one may occur twice."""
        return [self.all_paths[member] for member in self.choice.best.combination]

    @property
    def names(self) -> list[str]:
        """Their file names."""
        return self.names_of(self.choice.best.combination)

    def names_of(self, combination: Combination) -> list[str]:
        """Return the file names of the members of a combination."""
        return [self.all_paths[member].name for member in combination]


def find_ensemble(
    cfg_path: str | None,
    ckpt_path: str | Path,
    annotations_path: str | Path,
    *,
    size: int = 3,
    tries: int = 100,
    metric: str = "micro_roc",
    recordings_dir: str | Path | None = None,
    greedy: bool = False,
    scores_dir: str | Path | None = None,
    hold_out: bool = True,
    seed: int = 0,
    on_member: Callable[[Path, bool], None] | None = None,
) -> FoundEnsemble:
    """Score each checkpoint, choose on one half of the recordings, and score the choice on the other.

    Parameters
    ----------
    size, tries, greedy, seed
        As for `choose`.
    scores_dir
        Cache folder for scores of members; None for no cache.
    hold_out
        Whether to exclude half of the recordings from the choice.
    on_member
        Called with each member, and whether its scores were cached.

    Raises
    ------
    InputError
        There are too few checkpoints, recordings or annotations, or the metric is not defined.
    ModelError
        Checkpoints differ in classes or audio settings.
    """
    if metric not in METRICS:
        raise InputError(f'--metric "{metric}" is unknown; expected {", ".join(METRICS)}')
    if size < 1 or tries < 1:
        raise InputError(f"--ensemble-size is {size} and --num-tries is {tries}; expected at least 1")
    recordings = annotated_recordings(annotations_path, recordings_dir)
    root = root_of(annotations_path, recordings_dir)
    cfg, paths = resolve_for_models(cfg_path, None, ckpt_path)
    if len(paths) < size and not greedy:
        raise InputError(f"{ckpt_path} holds {len(paths)} checkpoints, fewer than --ensemble-size {size}; lower it")
    keeping = temporary_folder("ensemble") if scores_dir is None else nullcontext(Path(scores_dir))
    with keeping as folder:
        data = score_members(cfg, paths, recordings, root, annotations_path, folder, on_member)
    if hold_out:
        chooses_N = halves(data.truth_NC, data.groups_N, seed)
        rest_N = ~chooses_N
        _warn_of_one_sided(data, chooses_N, metric)
    else:
        chooses_N = rest_N = np.ones(len(data.truth_NC), dtype=bool)
        log.warning("all recordings were used to choose, so the score of the winner is optimistic")
    judging = MeanScores(data.truth_NC[chooses_N], data.scores_MNC[:, chooses_N], metric)
    unseen = MeanScores(data.truth_NC[rest_N], data.scores_MNC[:, rest_N], metric) if hold_out else judging
    del data
    choice = choose(judging, size, tries, greedy, seed, threads=available_cores())
    single = choose(judging, 1, len(paths)).best.combination
    return FoundEnsemble(
        paths,
        choice,
        unseen.exact(choice.best.combination),
        unseen.exact(single),
        paths[single[0]].name,
        unseen.exact(tuple(range(len(paths)))),
        hold_out,
    )


def _warn_of_one_sided(data: MemberScores, chooses_N: NDArray[np.bool_], metric: str) -> None:
    """Warn about classes without a true cell in one of the halves, which do not count in its score."""
    left_out = "left out of its mean" if metric.startswith("macro") else "only false cells count there"
    for side, rows_N in (("that chooses", chooses_N), ("held out", ~chooses_N)):
        silent_C = ~np.any(data.truth_NC[rows_N], axis=0)
        names = [data.labels[c] for c in np.flatnonzero(silent_C)]
        if names:
            log.warning("not heard in the half %s, so %s: %s", side, left_out, some(names))
