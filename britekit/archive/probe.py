"""A classifier on the vectors of an archive, chosen and calibrated by cross-validation with whole groups."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from britekit.archive.classifiers import Classifier, fit_logistic, fit_prototypes
from britekit.archive.labeled import Labeled
from britekit.errors import InputError, some
from britekit.evaluation.platt_fit import cross_fit, fit_calibration, lowest_fitted
from britekit.metrics.calibration import expected_calibration_error
from britekit.metrics.ranking import average_precision, mean_defined, roc_auc

logger = logging.getLogger(__name__)

STRENGTHS = (0.0003, 0.003, 0.03, 0.3)
FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """A fitted probe and what cross-validation says about it."""

    classifier: Classifier
    """Fitted on all windows; its scores are calibrated."""
    method: str
    """``prototypes`` or ``logistic C=…``."""
    tried: dict[str, float]
    """Macro average precision of each method on windows of groups that it had not seen."""
    pr_auc_C: NDArray[np.float64]
    roc_auc_C: NDArray[np.float64]
    """Of the method chosen, per class; NaN where a class is heard in one group only."""
    error_before: float
    error_after: float
    """Expected calibration error on unseen groups, without and with calibration; NaN if there is none."""


def fit_probe(data: Labeled) -> Probe:
    """Fit logistic regressions of several strengths and prototypes, and keep the best.

    Raises `InputError` if there is one group only, a class in every window, or no class that two groups hold.
    """
    truth, groups, weights = data.truth_NC, data.groups_N, data.weights_NC
    known = np.ones(truth.shape, bool) if weights is None else weights == 1
    full = [data.classes[c].name for c in np.flatnonzero(truth.all(axis=0))]
    if full:
        raise InputError(
            f'class "{full[0]}" is in every window, so nothing tells it from anything; annotate recordings without it '
            "too (a row with an empty class keeps a silent recording)"
        )
    if not truth.any():
        raise InputError("no window of the archive holds enough of any annotated sound; check the times")
    if groups.max() == 0:
        raise InputError("the annotations are about one recording, or one group; cross-validation needs two or more")
    in_groups = np.array([len(np.unique(groups[truth[:, c]])) for c in range(truth.shape[1])])
    if not (in_groups > 1).any():
        raise InputError(
            "every class is heard in one recording, or group, only; a probe needs two of at least one class"
        )
    single = [info.name for info, number in zip(data.classes, in_groups, strict=True) if number < 2]
    if single:
        logger.warning(
            "%s heard in fewer than two recordings or groups, so it is not known how well the probe finds it: %s",
            "a class is" if len(single) == 1 else f"{len(single)} classes are", some(single),
        )  # fmt: skip
    fold_N = deal_folds(truth, groups)
    out_of_fold = _cross_validate(data.vectors_NF, truth, weights, fold_N)
    one_sided = [data.classes[c].name for c in np.flatnonzero((truth | ~known).all(axis=0))]
    if one_sided:
        logger.warning(
            "never judged absent, so it is not known how well the probe tells it from others: %s", some(one_sided)
        )
    checked = (in_groups > 1) & ~(truth | ~known).all(axis=0)
    if not checked.any():
        raise InputError(
            "no class was judged absent anywhere, so no probe can be chosen; answer no where it is not heard"
        )
    areas = {method: _each_class(average_precision, truth, logits, known) for method, logits in out_of_fold.items()}
    tried = {method: mean_defined(area[checked]) for method, area in areas.items()}
    method = max(tried, key=lambda name: tried[name])
    logits = out_of_fold[method]
    classifier = _methods()[method](data.vectors_NF, truth, weights, None)
    # A score of 0 means "none" to the calibration.
    scores = np.where(known, np.maximum(expit(logits), np.finfo(np.float32).tiny), 0.0).astype(np.float32)
    classifier, after = _calibrated(classifier, truth, scores, groups)
    counted = np.broadcast_to(checked, truth.shape) & known

    def error(values: NDArray[np.float32]) -> float:
        return expected_calibration_error(truth[counted], values[counted]).error

    roc = _each_class(roc_auc, truth, logits, known)
    unknown = np.where(checked, 0.0, np.nan)
    return Probe(
        classifier,
        method,
        tried,
        areas[method] + unknown,
        roc + unknown,
        error(scores),
        float("nan") if after is None else error(after),
    )


def _each_class(
    area: Callable[..., float], truth: NDArray[np.bool_], logits: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return an area (C,) over the known cells of each class."""
    return np.array([area(truth[k, c], logits[k, c]) for c, k in enumerate(known.T)])


def deal_folds(truth_NC: NDArray[np.bool_], groups_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each window; groups stay whole, and each class is spread over the folds.

    Groups are dealt out, those of the rarest classes first, each to the fold that has least of its classes.
    """
    count = int(groups_N.max()) + 1
    share_GC = np.zeros((count, truth_NC.shape[1]))
    np.add.at(share_GC, groups_N, truth_NC)
    share_GC /= np.maximum(share_GC.sum(axis=0), 1)
    size_G = np.bincount(groups_N, minlength=count) / len(groups_N)
    shuffled = np.random.default_rng(0).permutation(count)
    order = shuffled[np.argsort(-share_GC[shuffled].max(axis=1), kind="stable")]
    number = min(FOLDS, count)
    held_KC, size_K, fold_G = np.zeros((number, share_GC.shape[1])), np.zeros(number), np.zeros(count, np.int64)
    for group in order:
        burden = held_KC @ share_GC[group] + 1e-3 * size_K
        fold = int(np.argmin(burden))
        fold_G[group] = fold
        held_KC[fold] += share_GC[group]
        size_K[fold] += size_G[group]
    fold_N: NDArray[np.int64] = fold_G[groups_N]
    return fold_N


_Fit = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32] | None, Classifier | None], Classifier]


def _methods() -> dict[str, _Fit]:
    """Return what is tried, weak to strong, so that each logistic fit begins where the one before ended."""
    methods: dict[str, _Fit] = {"prototypes": lambda x, y, w, _: fit_prototypes(x, y, w)}
    for strength in STRENGTHS:
        methods[f"logistic C={strength:g}"] = lambda x, y, w, start, c=strength: fit_logistic(x, y, c, start, w)  # type: ignore[misc]
    return methods


def _cross_validate(
    vectors: NDArray[np.float32],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float32] | None,
    fold_N: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """Return the logits (N, C) of each method, of windows whose fold it had not seen."""
    found = {method: np.zeros(truth.shape) for method in _methods()}
    for fold in range(int(fold_N.max()) + 1):
        held_out, start = fold_N == fold, None
        for method, fit in _methods().items():
            given = None if weights is None else weights[~held_out]
            fitted = fit(vectors[~held_out], truth[~held_out], given, start)
            start = fitted if fitted.center_F is None else None
            found[method][held_out] = fitted.logits(vectors[held_out])
    return found


def _calibrated(
    classifier: Classifier, truth: NDArray[np.bool_], scores: NDArray[np.float32], groups: NDArray[np.int64]
) -> tuple[Classifier, NDArray[np.float32] | None]:
    """Return the classifier with calibrated logits, and cross-fitted probabilities; None if it was not possible.

    The calibration is `calibrate`'s. Since the logit of a score is what the classifier computes, it becomes part
    of weights and bias.
    """
    try:
        least = lowest_fitted(0.0, True)
        fit = fit_calibration(truth, scores, groups, least)
        if fit.coefficient <= 0 or any(a <= 0 for a, _ in fit.per_class.values()):
            raise InputError("higher scores are not more often right")
        after = cross_fit(truth, scores, groups, least)
    except InputError as error:
        logger.warning("the scores of the probe are not calibrated: %s", error)
        return classifier, None
    pairs = [fit.per_class.get(c, (fit.coefficient, fit.intercept)) for c in range(truth.shape[1])]
    a, b = (np.array(values) for values in zip(*pairs, strict=True))
    return classifier.scaled(a, b), after
