"""Score the annotated recordings with each checkpoint, cached; split the recordings in two halves."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.config import BaseConfig
from britekit.datasets.recordings_csv import group_from_name
from britekit.errors import InputError, ModelError
from britekit.evaluation.scored_segments import ScoredSegments, read_scored_segments
from britekit.inference.ensemble import load_ensemble
from britekit.inference.score_tables import ScoreCache

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemberScores:
    """Truth and the scores of M members, N rows (segments), C annotated classes."""

    names: list[str]
    """File name of each member."""
    truth_NC: NDArray[np.bool_]
    scores_MNC: NDArray[np.float32]
    groups_N: NDArray[np.int64]
    """Group of the recording of each row; recordings cut from the same original share a group."""
    labels: list[str]


def score_members(
    cfg: BaseConfig,
    paths: Sequence[Path],
    recordings: Sequence[Path],
    root: Path,
    annotations_path: str | Path,
    folder: Path,
    on_member: Callable[[Path, bool], None] | None = None,
) -> MemberScores:
    """Score the recordings with each checkpoint, and lay the scores on the grid of the test.

    Parameters
    ----------
    cfg
        Effective settings, including those of the models, with ``infer.min_score`` 0.
    paths
        Checkpoints.
    recordings, root
        The annotated recordings, and the directory that their names are relative to.
    folder
        Cache folder; scores of the same checkpoint, settings and recordings are reused.
    on_member
        Called with each member, and whether its scores were there.

    Raises
    ------
    ModelError
        Members differ in classes or audio settings.
    InputError
        Annotations or recordings cannot be used.
    """
    for name in ("initial_offsets", "top_weight"):
        if getattr(cfg.infer, name):
            raise InputError(
                f"infer.{name} cannot be used here: scores of members are made apart and then averaged, and it changes "
                "what their mean is; switch it off to choose members"
            )
    together = load_ensemble(cfg, paths)  # fails for a differing member before hours of inference
    cfg = copy.deepcopy(cfg)
    cfg.infer.backend = together.backend  # type: ignore[assignment]  # the same for all, as in an ensemble
    cache = ScoreCache(folder)
    sets: list[ScoredSegments] = []
    scores: list[NDArray[np.float32]] = []
    for place, path in enumerate(paths):
        table, is_there = cache.get(cfg, [path], recordings, root, partial(together.alone, place))
        if on_member is not None:
            on_member(path, is_there)
        sets.append(read_scored_segments(annotations_path, table, root, cfg))
        column = {info.name: c for c, info in enumerate(sets[-1].source.classes)}
        wanted = [info.name for info in sets[0].source.classes]  # members may have them in another order
        if column.keys() != set(wanted) or len(sets[-1].truth_NC) != len(sets[0].truth_NC):
            raise ModelError(f"{path} has other classes or windows than {paths[0]}; members must agree")
        scores.append(sets[-1].scores_NC[:, [column[name] for name in wanted]])
    first = sets[0]
    columns = first.annotated
    pattern = cfg.misc.group_regex
    names = [group_from_name(Path(name).name, pattern) or name for name in first.recordings]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    group_R = np.array([order[name] for name in names], dtype=np.int64)
    return MemberScores(
        [path.name for path in paths],
        first.truth_NC[:, columns],
        np.stack([each[:, columns] for each in scores]),
        group_R[first.groups_N],
        [first.labels[c] for c in columns],
    )


def halves(truth_NC: NDArray[np.bool_], groups_N: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """Return the mask of rows (N,) in the half that chooses; the others are held out.

    Groups stay together. They are assigned in order of true cells, ties at random, so that each class has about half of
    its true cells on either side.

    Raises `InputError` if there is only one group, or one half would have no true cell.
    """
    members, group_N = np.unique(groups_N, return_inverse=True)
    if len(members) < 2:
        raise InputError(
            "the annotations are about one recording, or one group of them, so none can be held out; "
            "annotate a second one, or choose without holding out (--no-holdout)"
        )
    true_GC = np.zeros((len(members), truth_NC.shape[1]))
    np.add.at(true_GC, group_N, truth_NC)
    rows_G = np.bincount(group_N, minlength=len(members))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(members))
    order = shuffled[np.argsort(-true_GC[shuffled].sum(axis=1), kind="stable")]
    # A class with few calls must weigh as much as one with many.
    share_GC = true_GC / np.maximum(true_GC.sum(axis=0), 1)
    surplus_C, surplus_rows = np.zeros(truth_NC.shape[1]), 0
    chooses_G = np.zeros(len(members), dtype=bool)
    for group in order:
        now = np.abs(surplus_C + share_GC[group]).sum() - np.abs(surplus_C - share_GC[group]).sum()
        chooses = now < -1e-12 or (abs(now) <= 1e-12 and surplus_rows <= 0)
        chooses_G[group] = chooses
        sign = 1 if chooses else -1
        surplus_C += sign * share_GC[group]
        surplus_rows += sign * int(rows_G[group])
    chooses_N = chooses_G[group_N]
    if not truth_NC[chooses_N].any() or not truth_NC[~chooses_N].any():
        raise InputError(
            "only one recording, or one group of them, has annotated sounds, so no half can be held "
            "out; annotate more, or choose without holding out (--no-holdout)"
        )
    return chooses_N
