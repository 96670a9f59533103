"""Occurrence at a place and in a week, as shifts of scores in log-odds.

A class whose value at the recording's place and week is v gets the shift::

    s = weight * (logit(clip(v, floor, 1 - floor)) - logit(clip(b, floor, 1 - floor)))

and its score p becomes sigmoid(logit(p) + s): Bayes' rule, where the models' own odds belong to the base rate b
and the true ones to v. b is ``infer.occurrence_base``, else the mean of the class's values above 0 over all
areas and weeks of the file. `floor` bounds the shift, so that a loud song of a bird that was never seen there
is still found. As a hard list (``infer.occurrence_use: list``) classes below the floor are withheld, and others
left as they are. Where the file says nothing (NaN, or a class in ``infer.occurrence_unknown``), s is 0.

C classes: those that labels can have.
"""

from __future__ import annotations

import copy
import functools
import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.annotations.deployments import DEFAULT_PATH, Deployment, read_deployments
from britekit.annotations.recording_info import RecordingInfo, RecordingInfos
from britekit.config import BaseConfig, InferConfig
from britekit.errors import InputError, closest, counted, some
from britekit.occurrence.table import OccurrenceTable, read_occurrence
from britekit.occurrence.weeks import checked_week, week_of, week_of_text

log = logging.getLogger(__name__)

# As `britekit.inference.platt` clips scores.
_CLIP = 1e-7
_KEPT = 500
EVERY = "*"
GIVEN = "given"


@dataclass(frozen=True)
class Where:
    """A place and a week that a person states for all recordings; None where each recording's own counts."""

    latitude: float | None = None
    longitude: float | None = None
    week: int | None = None
    area: str | None = None

    @classmethod
    def stated(
        cls,
        latitude: float | None = None,
        longitude: float | None = None,
        date: str | None = None,
        week: int | None = None,
        area: str | None = None,
    ) -> Where:
        """Check what a person states.

        Raises `InputError` if a value is out of its range, or two contradict.

        Parameters
        ----------
        latitude, longitude
            Degrees, WGS84; both or none.
        date
            A day such as 2024-05-12 or 05-12.
        week
            1 to 48, in place of a date.
        area
            Code of an area, in place of latitude and longitude.
        """
        if (latitude is None) != (longitude is None):
            raise InputError("latitude and longitude belong together; one is missing")
        for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
            if value is not None and not abs(value) <= limit:  # also not a number
                raise InputError(f"{name} {value:g} does not exist; expected -{limit} to {limit} degrees")
        if area is not None and latitude is not None:
            raise InputError("an area and a place exclude each other; give one")
        if date is not None and week is not None:
            raise InputError("a date and a week exclude each other; give one")
        number = None if week is None else checked_week(week)
        return cls(latitude, longitude, number if date is None else week_of_text(date), area)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stated."""
        return self == Where()


@dataclass(frozen=True, eq=False)
class RecordingPrior:
    """Occurrence data for one recording."""

    shifts: np.ndarray
    """(C,) log-odds; -inf for a class that is withheld, 0 where scores stay."""
    values: np.ndarray
    """(C,) what they come from; NaN where nothing is known."""
    area: str = ""
    """Codes of the areas; empty if nothing is applied."""
    week: int | None = None
    """0 to 47; None: of the whole year."""
    place_source: str = ""
    week_source: str = ""
    """``given``, or what told it (`RecordingInfo`)."""
    reason: str = ""
    """Why nothing is applied; empty if something is."""


class OccurrencePrior:
    """Occurrence data for the classes of an ensemble.

    Raises `InputError` if the file is unusable, names match nothing, or no area contains the stated place.

    Parameters
    ----------
    infer
        Settings; ``occurrence`` names the file.
    info_of
        When and where a recording was made.
    where
        What a person states for all recordings.
    ignored
        Names of other classes that the file may have: those left out of labels.
    """

    def __init__(
        self,
        infer: InferConfig,
        classes: Sequence[ClassInfo],
        info_of: Callable[[Path], RecordingInfo],
        where: Where | None = None,
        ignored: Collection[str] = (),
    ) -> None:
        assert infer.occurrence is not None
        self._infer, self._info_of = infer, info_of
        self.table = read_occurrence(infer.occurrence)
        self._columns = np.array(_matched(self.table, classes, infer.occurrence_unknown or [], ignored), np.int64)
        self._bases = np.array([self._base(column) for column in self._columns])
        self._known: dict[tuple[tuple[int, ...], int | None], tuple[np.ndarray, np.ndarray]] = {}
        self._state(where or Where())

    def facts(self) -> dict[str, Any]:
        """Return what results depend on besides the settings, as plain values."""
        stated = {key: value for key, value in vars(self._where).items() if value is not None}
        return {"sha256": self.table.sha256, **stated}

    def of(self, path: Path) -> RecordingPrior:
        """Return what is known about a recording."""
        return self.of_info(None if self._stated and self._where.week is not None else self._info_of(path))

    def of_info(self, info: RecordingInfo | None) -> RecordingPrior:
        """Return what is known about a recording of which this is known; what is stated comes first."""
        week, week_source = self._where.week, GIVEN
        if week is None and info is not None and info.start is not None:
            week, week_source = week_of(info.start.date()), info.start_source or ""
        if week is None:
            week_source = ""
        areas, place_source, reason = self._stated, GIVEN, ""
        if not areas:
            areas, place_source = [], (info.place_source or "") if info is not None else ""
            if info is None or info.latitude is None or info.longitude is None:
                reason = "its place is not known"
            else:
                areas = self.table.area_at(info.latitude, info.longitude)
                reason = "" if areas else f"no area contains {info.latitude:g}, {info.longitude:g}"
        if reason:
            nothing = np.zeros(len(self._columns)), np.full(len(self._columns), np.nan)
            return RecordingPrior(*nothing, "", week, place_source, week_source, reason)
        codes = some((self.table.areas[place].code for place in areas), 3)
        return RecordingPrior(*self._shifts(tuple(areas), week), codes, week, place_source, week_source)

    def elsewhere(self, where: Where) -> OccurrencePrior:
        """Return the same data with another stated place and week."""
        other = copy.copy(self)
        other._state(where)
        return other

    def _state(self, where: Where) -> None:
        self._where, self._stated = where, []
        if where.area is not None:
            self._stated = self.table.areas_of(where.area)
        elif where.latitude is not None:
            self._stated = self._areas_at(where.latitude, where.longitude)

    def _areas_at(self, latitude: float, longitude: float | None) -> list[int]:
        assert longitude is not None
        if all(area.min_x is None for area in self.table.areas):
            codes = some((area.code for area in self.table.areas), 5)
            raise InputError(f"{self.table.source.name} states no bounds of its areas; name an area: {codes}")
        found = self.table.area_at(latitude, longitude)
        if not found:
            raise InputError(
                f"no area of {self.table.source.name} contains latitude {latitude:g}, longitude {longitude:g}"
            )
        return found

    def _base(self, column: int) -> float:
        if column < 0:
            return math.nan
        return self._infer.occurrence_base or self.table.mean_where_present(int(column))

    def _shifts(self, areas: tuple[int, ...], week: int | None) -> tuple[np.ndarray, np.ndarray]:
        found = self._known.get((areas, week))
        if found is None:
            values = np.append(self.table.values_in(list(areas), week), np.nan)[self._columns]
            found = shifts_of(values, self._bases, self._infer), values
            if len(self._known) >= _KEPT:  # a service is asked for many places
                self._known.clear()
            self._known[areas, week] = found
        return found


def shifts_of(values_C: np.ndarray, bases_C: np.ndarray, infer: InferConfig) -> np.ndarray:
    """Return the shifts (C,) of classes with these values and base rates; see the head of this file."""
    floor = infer.occurrence_floor
    if infer.occurrence_use == "list":
        return np.where(values_C < floor, -np.inf, 0.0)
    value, base = (np.clip(rates, floor, 1 - floor) for rates in (values_C, bases_C))
    shifts = infer.occurrence_weight * (np.log(value / (1 - value)) - np.log(base / (1 - base)))
    return np.where(np.isnan(shifts), 0.0, shifts)


def shifted(scores: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return scores (..., C) with shifts (C,) added in log-odds, float32; exactly 0 stays 0."""
    places = np.flatnonzero(shifts)
    scores = np.asarray(scores, np.float32)
    if not len(places):
        return scores
    found = scores.copy()
    before = scores[..., places]
    p = np.clip(before.astype(np.float64), _CLIP, 1 - _CLIP)
    after = (1.0 / (1.0 + np.exp(-(np.log(p / (1 - p)) + shifts[places])))).astype(np.float32)
    after[before == 0] = 0
    found[..., places] = after
    return found


def _matched(
    table: OccurrenceTable, classes: Sequence[ClassInfo], unknown: Sequence[str], ignored: Collection[str]
) -> list[int]:
    """Return the column of each class in the table, -1 for those that it need not know."""
    with_values = set(np.unique(table.columns).tolist())
    column = {name: place for place, name in enumerate(table.class_names) if place in with_values}
    found, missing = [], []
    for info in classes:
        keys = (info.name, info.alt_name, info.code, info.alt_code)
        place = next((column[key] for key in keys if key and key in column), -1)
        found.append(place)
        if place < 0 and info.name not in unknown and info.code not in unknown and EVERY not in unknown:
            missing.append(info.name)
    stray = set(unknown) - {EVERY} - {*ignored} - {x for info in classes for x in (info.name, info.code)}
    if stray:
        raise InputError(f"infer.occurrence_unknown: {_quoted(stray)} is not a class of the models")
    if missing:
        raise InputError(
            f"{table.source} has no values for {counted(len(missing), 'class', 'classes')} of the models: "
            f"{_quoted(missing, column)}; correct the names, or list the classes in infer.occurrence_unknown "
            '(["*"] for all), so that their scores stay as they are'
        )
    surplus = sorted(column.keys() - {table.class_names[place] for place in found if place >= 0} - {*ignored})
    if surplus and table.by_hand and EVERY not in unknown:
        names = [info.name for info in classes]
        raise InputError(
            f"{table.source} names {counted(len(surplus), 'class', 'classes')} that the models do not have: "
            f"{_quoted(surplus, names)}; correct or remove them"
        )
    if surplus:
        facts = (table.source, counted(len(surplus), "class", "classes"), some(surplus, 5))
        log.info("%s: %s of it are none of the models and are not used: %s", *facts)
    return found


def _quoted(names: Any, candidates: Any = ()) -> str:
    hints = {name: closest(name, candidates) for name in sorted(names)[:5]}
    texts = [f'"{name}"' + (f' (did you mean "{hint}"?)' if hint else "") for name, hint in hints.items()]
    return some([*texts, *sorted(names)[5:]], 5)


def load_prior(
    cfg: BaseConfig,
    classes: Sequence[ClassInfo],
    where: Where | None = None,
    root: Path | None = None,
    ignored: Collection[str] = (),
) -> OccurrencePrior | None:
    """Return the prior of the settings, None if they name no occurrence data.

    Raises `InputError` as `OccurrencePrior`, or if a place or week is stated, and there are no occurrence data.

    Parameters
    ----------
    where
        What a person states for all recordings.
    root
        The folder below which recordings lie, where ``recordings.csv`` is looked for; None: the folder of each.
    ignored
        As `OccurrencePrior` takes it.
    """
    if cfg.infer.occurrence is None:
        if where is not None and not where.is_empty:
            raise InputError("a place or week needs occurrence data; name a file (--occurrence or infer.occurrence)")
        return None
    deployments = read_deployments(DEFAULT_PATH)
    if root is None:
        info_of: Callable[[Path], RecordingInfo] = functools.partial(_info_beside, deployments, cfg.misc.time_regex)
    else:
        infos = RecordingInfos(root.absolute(), deployments, cfg.misc.time_regex)
        info_of = functools.partial(_info_below, infos)
    return OccurrencePrior(cfg.infer, classes, info_of, where, ignored)


def _info_below(infos: RecordingInfos, path: Path) -> RecordingInfo:
    return infos.of(path.absolute())


def _info_beside(deployments: list[Deployment], patterns: list[str] | None, path: Path) -> RecordingInfo:
    return RecordingInfos(path.absolute().parent, deployments, patterns).of(path.absolute())
