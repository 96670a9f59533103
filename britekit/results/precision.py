"""Precision and call density, estimated from verdicts about a sample of detections.

Detections are divided into bands of score. Within a band the share of true detections is estimated from the
verdicts, each weighted by the inverse of its sampling share (Hájek's estimator); bands are added up by the
number of detections in each (post-stratification: Cochran, *Sampling Techniques*, 3rd ed., 1977, ch. 5).

The interval of a band is Jeffreys' (Brown, Cai & DasGupta, Statistical Science 16, 2001), with Kish's
effective number of verdicts where weights differ. The intervals of bands are combined by MOVER (Zou & Donner,
Statistics in Medicine 27, 2008), so limits may lie asymmetrically and remain within 0 and 1. A detection that
was heard has no uncertainty, so a band's deviation shrinks by the finite-population correction.

Shapes: N detections, V verdicts, B bands, T thresholds, G groups (a site and period, say).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

FEW = 50
"""Below this many verdicts, intervals contain the truth less often than they claim."""
_PER_BAND = 10
_MOST_BANDS = 10
# So few verdicts at or above a threshold inside a band say less than those of the whole band.
_FEW_IN_PART = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval."""

    value: float
    low: float
    high: float
    verdicts: int
    """Number of yes and no verdicts that it is based on."""

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class _Band:
    """The verdicts in one band of scores, or in the part of it at or above a threshold."""

    share: float
    low: float
    high: float
    heard: float
    """Part of the band's detections that have a verdict, 0 to 1."""


class SampledDetections:
    """The detections of one class, some of which have a verdict.

    Raises `ValueError` if there is no verdict, or a share is not above 0 and at most 1.

    Parameters
    ----------
    score_N
        Scores of all detections, 0 to 1.
    place_V
        Index of each judged detection in ``score_N``.
    yes_V
        True where the verdict is yes, False where it is no. Leave out those that are unsure.
    share_V
        Part of its stratum that was drawn when this detection was, above 0 and at most 1.
    edges
        Inner boundaries of the bands, ascending; None chooses bands that hold about ten verdicts each, at
        most ten bands.
    confidence
        Of the intervals.
    """

    def __init__(
        self, score_N: Any, place_V: Any, yes_V: Any, share_V: Any = None, edges: Any = None, confidence: float = 0.95
    ) -> None:
        self.score_N = np.asarray(score_N, np.float64)
        self.place_V = np.asarray(place_V, np.int64)
        self.yes_V = np.asarray(yes_V, bool)
        share = np.ones(len(self.place_V)) if share_V is None else np.asarray(share_V, np.float64)
        if not len(self.place_V):
            raise ValueError("there is no verdict of yes or no")
        if not ((share > 0) & (share <= 1)).all():
            raise ValueError("a sampling share must be above 0 and at most 1")
        self._weight_V = 1 / share
        self._tail = (1 - confidence) / 2
        self._z = -float(ndtri(self._tail))
        self._score_V = self.score_N[self.place_V]
        self.edges: Floats = _edges(self._score_V) if edges is None else np.asarray(edges, np.float64)
        self._band_N = np.searchsorted(self.edges, self.score_N, side="right")
        self._band_V = self._band_N[self.place_V]
        self.bands = len(self.edges) + 1

    def precision(self, threshold: float = 0.0) -> Estimate | None:
        """Estimate the precision of detections of at least ``threshold``; None if there are none."""
        above = self.score_N >= threshold
        size_B = np.bincount(self._band_N[above], minlength=self.bands).astype(np.float64)
        if not size_B.sum():
            return None
        bands = [self._band(number, threshold, size) for number, size in enumerate(size_B)]
        weight_B = size_B / size_B.sum()
        verdicts = int((self._score_V >= threshold).sum())
        return _weighted(bands, weight_B, np.zeros(self.bands), self._z, verdicts)

    def density(self, group_N: Any, groups: int, threshold: float = 0.0) -> list[Estimate]:
        """Estimate how many detections of at least ``threshold`` are true, in each group.

        Parameters
        ----------
        group_N
            Index of each detection's group, 0 to ``groups`` - 1.

        Notes
        -----
        The share of true detections in a band of scores is taken to be the same in all groups.
        """
        group_N = np.asarray(group_N, np.int64)
        above = self.score_N >= threshold
        size_GB = np.zeros((groups, self.bands))
        np.add.at(size_GB, (group_N[above], self._band_N[above]), 1)
        total_B = size_GB.sum(axis=0)
        bands = [self._band(number, threshold, size) for number, size in enumerate(total_B)]
        heard_V = self._score_V >= threshold
        verdicts_G = np.bincount(group_N[self.place_V[heard_V]], minlength=groups)
        found = []
        for size_B, verdicts in zip(size_GB, verdicts_G, strict=True):
            # A group is a sample of its bands: its own number varies about the bands' share.
            rest_B = np.divide(total_B - size_B, total_B, out=np.zeros(self.bands), where=total_B > 0)
            share_B = np.array([band.share for band in bands])
            heard_B = np.array([band.heard for band in bands])
            own_B = size_B * rest_B * share_B * (1 - share_B) * (1 - heard_B)
            number = _weighted(bands, size_B, own_B, self._z, int(verdicts))
            high = min(number.high, float(size_B.sum()))
            found.append(Estimate(number.value, max(number.low, 0.0), high, int(verdicts)))
        return found

    def _band(self, number: int, threshold: float, size: float) -> _Band:
        """Estimate the share of true detections in a band, at or above a threshold."""
        inside = self._band_V == number
        part = inside & (self._score_V >= threshold)
        share, low, high = self._share(part)
        if part.sum() < min(_FEW_IN_PART, inside.sum(), size):
            # Too few to go by: the band's own share, and an interval that holds for either.
            share, whole_low, whole_high = self._share(inside)
            low, high = min(low, whole_low), max(high, whole_high)
        heard = min(1.0, int(part.sum()) / size) if size else 0.0
        return _Band(share, low, high, heard)

    def _share(self, used_V: NDArray[np.bool_]) -> tuple[float, float, float]:
        """Return the share of yes among some verdicts, and its interval; without any, nothing is known."""
        if not used_V.any():
            return 0.5, 0.0, 1.0
        weight = self._weight_V[used_V]
        share = float(weight @ self.yes_V[used_V] / weight.sum())
        effective = float(weight.sum() ** 2 / (weight @ weight))
        return share, *jeffreys(share * effective, effective, self._tail)


def pooled(classes: list[SampledDetections], threshold: float = 0.0) -> Estimate | None:
    """Estimate the precision over several classes, each class by its number of detections."""
    estimates = [(each.precision(threshold), float((each.score_N >= threshold).sum())) for each in classes]
    known = [(estimate, size) for estimate, size in estimates if estimate is not None]
    if not known:
        return None
    total = sum(size for _, size in known)
    value = sum(estimate.value * size for estimate, size in known) / total
    below = math.sqrt(sum(((item.value - item.low) * size) ** 2 for item, size in known)) / total
    over = math.sqrt(sum(((item.high - item.value) * size) ** 2 for item, size in known)) / total
    verdicts = sum(estimate.verdicts for estimate, _ in known)
    return Estimate(value, max(0.0, value - below), min(1.0, value + over), verdicts)


def verdicts_needed(estimate: Estimate, half_width: float, detections: int) -> int:
    """Return how many more verdicts would bring an interval to a wanted half-width.

    Half-widths fall with the square root of the number of verdicts; never more than there are detections.
    """
    if estimate.half_width <= half_width:
        return 0
    wanted = math.ceil(estimate.verdicts * (estimate.half_width / half_width) ** 2)
    return max(0, min(wanted, detections) - estimate.verdicts)


def jeffreys(yes: float, total: float, tail: float = 0.025) -> tuple[float, float]:
    """Return Jeffreys' interval of a share; it begins at 0 if nothing is true, and ends at 1 if all is."""
    low = 0.0 if yes <= 0 else float(betaincinv(yes + 0.5, total - yes + 0.5, tail))
    high = 1.0 if yes >= total else float(betaincinv(yes + 0.5, total - yes + 0.5, 1 - tail))
    return low, high


def cohens_kappa(first: Any, second: Any) -> float | None:
    """Return the agreement of two people beyond chance, -1 to 1 (Cohen, Educ. Psychol. Meas. 20, 1960).

    Parameters
    ----------
    first, second
        What each said about the same items, in the same order.

    Returns
    -------
    float or None
        None where it is not defined: no items, or both gave one and the same answer throughout.
    """
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        return None
    answers = {answer for pair in pairs for answer in pair}
    agreed = sum(one == other for one, other in pairs) / len(pairs)
    by_chance = sum(
        (sum(one == answer for one, _ in pairs) / len(pairs))
        * (sum(other == answer for _, other in pairs) / len(pairs))
        for answer in answers
    )
    return None if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)


def _weighted(bands: list[_Band], weight_B: Floats, own_B: Floats, z: float, verdicts: int) -> Estimate:
    """Add bands up by their weights; ``own_B`` (B,) is variance that the weights' own detections add.

    ``z`` is the normal quantile of the confidence.
    """
    used = [(band, weight, own) for band, weight, own in zip(bands, weight_B, own_B, strict=True) if weight]
    value = sum(band.share * weight for band, weight, _ in used)
    below = over = 0.0
    for band, weight, own in used:
        rest = 1 - band.heard
        below += rest * (weight * (band.share - band.low)) ** 2 + z * z * own
        over += rest * (weight * (band.high - band.share)) ** 2 + z * z * own
    total = float(sum(weight for _, weight, _ in used))
    low, high = value - math.sqrt(below), value + math.sqrt(over)
    return Estimate(float(value), max(0.0, low), min(total, high), verdicts)


def _edges(score_V: Floats) -> Floats:
    """Return boundaries between bands that hold about as many verdicts each."""
    bands = max(1, min(_MOST_BANDS, len(score_V) // _PER_BAND))
    edges = np.quantile(score_V, np.arange(1, bands) / bands)
    return np.unique(edges[edges > score_V.min()])
