"""Classifiers on vectors: logistic regression, and prototypes.

Both are one against the rest for every class, and both end in a product of matrices, so that they fit into the
head of a network. N: windows, F: numbers of a vector, C: classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]

from britekit.evaluation.platt_fit import fit_platt

# Enough for a gradient of 1e-5 on the sets that were tried.
_MOST_STEPS = 300


@dataclass(frozen=True)
class Classifier:
    """Logits = u · weights + bias; u is the vector, or the direction in which it lies from a center."""

    weights_CF: NDArray[np.float64]
    bias_C: NDArray[np.float64]
    """Float64."""
    center_F: NDArray[np.float64] | None = None
    """None: the vector itself counts."""

    @property
    def head(self) -> str:
        """Name of the head that computes the same."""
        return "basic" if self.center_F is None else "prototypes"

    def logits(self, vectors_NF: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (N, C)."""
        vectors = np.asarray(vectors_NF, np.float64)
        if self.center_F is not None:
            vectors = _directions(vectors - self.center_F)
        return vectors @ self.weights_CF.T + self.bias_C

    def scaled(self, a_C: NDArray[np.float64], b_C: NDArray[np.float64]) -> Classifier:
        """Return the classifier whose logits are a · logit + b: Platt scaling, class by class."""
        return replace(self, weights_CF=self.weights_CF * a_C[:, None], bias_C=a_C * self.bias_C + b_C)


def fit_logistic(
    vectors_NF: NDArray[np.floating],
    truth_NC: NDArray[np.bool_],
    strength: float,
    start: Classifier | None = None,
    weights_NC: NDArray[np.float32] | None = None,
) -> Classifier:
    """Fit logistic regressions on standardized vectors.

    Minimizes, for each class, strength · (summed log loss) + ½ |w|²; the bias is free. That is scikit-learn's
    ``LogisticRegression(C=strength)`` behind a ``StandardScaler``.

    Parameters
    ----------
    start
        A fit of a similar strength, to begin with.
    weights_NC
        How much each cell of the truth counts; None: 1.
    """
    x = np.asarray(vectors_NF, np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread < 1e-12] = 1.0
    z = ((x - mean) / spread).astype(np.float32)
    y = truth_NC.astype(np.float32)
    features, classes = z.shape[1], y.shape[1]

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        packed = values.reshape(features + 1, classes)
        logits = z @ packed[:-1].astype(np.float32) + packed[-1].astype(np.float32)
        # log(1 + e^x) and its derivative, neither of which may overflow.
        small = np.exp(-np.abs(logits))
        losses = np.maximum(logits, 0) + np.log1p(small) - logits * y
        residual = np.where(logits >= 0, 1.0, small) / (1.0 + small) - y
        if weights_NC is not None:
            losses, residual = losses * weights_NC, residual * weights_NC
        total = losses.sum(dtype=np.float64)
        gradient = np.empty_like(packed)
        gradient[:-1] = strength * (z.T @ residual) + packed[:-1]
        gradient[-1] = strength * residual.sum(axis=0, dtype=np.float64)
        return strength * float(total) + float(np.square(packed[:-1]).sum()) / 2, gradient.ravel()

    first = np.zeros((features + 1, classes))
    if start is None:
        share = np.clip(y.mean(axis=0, dtype=np.float64), 1e-3, 1 - 1e-3)
        first[-1] = np.log(share / (1 - share))
    else:
        first[:-1] = start.weights_CF.T * spread[:, None]
        first[-1] = start.bias_C + start.weights_CF @ mean
    found = minimize(
        loss, first.ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "ftol": 1e-9, "gtol": 1e-5},
    )  # fmt: skip
    packed = found.x.reshape(features + 1, classes)
    weights = (packed[:-1] / spread[:, None]).T
    return Classifier(weights, packed[-1] - weights @ mean)


def fit_prototypes(
    vectors_NF: NDArray[np.floating], truth_NC: NDArray[np.bool_], weights_NC: NDArray[np.float32] | None = None
) -> Classifier:
    """Fit prototypes: the mean direction of a class's windows, seen from the mean of all; scaled by `fit_platt`.

    The scaling counts each cell of the truth by its weight; None: 1.
    """
    x = np.asarray(vectors_NF, np.float64)
    center = x.mean(axis=0)
    directions = _directions(x - center)
    sums = truth_NC.T.astype(np.float64) @ directions
    prototypes = _directions(sums)
    cosines = directions @ prototypes.T
    pairs = [
        _scale(cosines[:, c], truth_NC[:, c], None if weights_NC is None else weights_NC[:, c])
        for c in range(truth_NC.shape[1])
    ]
    a, b = (np.array(values) for values in zip(*pairs, strict=True))
    return Classifier(prototypes * a[:, None], b, center)


def _scale(
    cosine_N: NDArray[np.float64], true_N: NDArray[np.bool_], weight_N: NDArray[np.float32] | None
) -> tuple[float, float]:
    """Return factor and offset that turn cosines into logits."""
    if not true_N.any():
        return 1.0, 0.0
    return fit_platt(cosine_N, true_N if weight_N is None else true_N * weight_N, weight_N, penalty=(1e-2, 0.0))


def _directions(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
