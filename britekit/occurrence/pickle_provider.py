"""`OccurrencePickleProvider`: values of a pickle by class, place and week."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from britekit.errors import InputError
from britekit.occurrence.pickled import read_pickle, version_of
from britekit.occurrence.provider import first_containing
from britekit.occurrence.weeks import WEEKS, smoothed

DEFAULT_PICKLE = "data/occurrence.pkl"


class OccurrencePickleProvider:
    """Reads values from a pickle of either version.

    Raises `InputError` if the file is missing (also a `FileNotFoundError`) or unusable (also a `ValueError`).

    Parameters
    ----------
    pickle_path
        The file; None takes ``data/occurrence.pkl``.

    Attributes
    ----------
    format_version
        1 or 2.
    counties
        Areas in the order of the file: code, name and bounds (min_x, max_x, min_y, max_y; x is the longitude).
    class_names
        Every class that the file knows.
    area_offsets, class_indices, values
        Of version 2: area k has the rows from offset k to k + 1, each with the number of a class and its weeks.
    """

    def __init__(self, pickle_path: str | os.PathLike[str] | None = None) -> None:
        path = DEFAULT_PICKLE if pickle_path is None else pickle_path
        self.data = read_pickle(path)
        self.format_version = version_of(self.data, os.fspath(path))  # type: ignore[arg-type]
        if self.format_version == 1:
            self.counties = list(self.data["counties"].values())
            known = {name for rows in self.data["occurrences"].values() for name in rows}
            self.class_names = {*self.data["classes"], *known}
            return
        keys = ("code", "name", "min_x", "max_x", "min_y", "max_y")
        self.counties = [
            SimpleNamespace(index=index, **dict(zip(keys, area, strict=True)))
            for index, area in enumerate(self.data["areas"])
        ]
        self.class_names = set(self.data["class_names"])
        self.area_offsets, self.class_indices = self.data["area_offsets"], self.data["class_indices"]
        self.values = self.data["values"]
        self._place = {name: place for place, name in enumerate(self.data["class_names"])}

    def find_county(self, latitude: float, longitude: float) -> SimpleNamespace | None:
        """Return the first area whose bounding box contains a place, or None."""
        found: SimpleNamespace | None = first_containing(self.counties, latitude, longitude)
        return found

    def find_counties(self, region_code: str) -> list[SimpleNamespace]:
        """Return the areas whose code begins with ``region_code``: CA, CA-ON or CA-ON-OT."""
        return [county for county in self.counties if county.code.startswith(region_code)]

    def occurrence_value(
        self,
        class_name: str,
        smoothed: bool = True,
        region_code: str | None = None,
        latitude: float | None = None,
        longitude: float | None = None,
        week_num: int | None = None,
    ) -> tuple[bool, bool, Any]:
        """Return how often a class occurs at a place in a week.

        Parameters
        ----------
        smoothed
            Take the highest value of the week and its neighbors.
        region_code
            Region: all areas whose code begins with it; it goes before latitude and longitude.
        latitude, longitude
            Place, in degrees.
        week_num
            0 to 47; None takes the highest value of the year.

        Returns
        -------
        location_found
            Whether an area contains the place or has the code.
        class_found
            Whether the file has the class; where the location is found, whether it has values there.
        value
            The mean over the areas that have the class; None unless both are found.

        Raises
        ------
        InputError
            Neither a region nor a place is given, or there is no such week.
        """
        if week_num is not None and not 0 <= week_num < WEEKS:
            raise InputError(f"week_num {week_num} does not exist; expected 0 to {WEEKS - 1}, four per month")
        if region_code is not None:
            areas = self.find_counties(region_code)
        elif latitude is None or longitude is None:
            raise InputError("no place: give region_code, or latitude and longitude")
        else:
            county = self.find_county(latitude, longitude)
            areas = [] if county is None else [county]
        if not areas:
            return False, class_name in self.class_names, None
        values = [self._value(area, class_name, smoothed, week_num) for area in areas]
        found = [value for value in values if value is not None]
        if not found:
            return True, False, None
        if len(areas) == 1:
            return True, True, found[0]
        mean = np.mean(np.array(found, np.float64))
        return True, True, float(mean) if week_num is None else mean

    def _value(self, area: SimpleNamespace, name: str, smooth: bool, week: int | None) -> Any:
        """Return the value of a class in one area, None if it has none there."""
        if self.format_version == 1:
            if name not in self.data["occurrences"].get(area.code, {}):
                return None
            if week is None:
                return self.data["max"][area.code][name]
            return self.data["smoothed" if smooth else "occurrences"][area.code][name][week]
        first, past = self.data["area_offsets"][area.index : area.index + 2]
        rows = self.data["class_indices"][first:past]
        places = np.flatnonzero(rows == self._place.get(name, -1))
        if not len(places):
            return None
        row = self.data["values"][first + places[0]]
        if week is None:
            return float(row.max())
        return _smoothed(row)[week] if smooth else row[week]


_smoothed = smoothed  # `occurrence_value` has an argument of that name
