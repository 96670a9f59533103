"""`OccurrenceDataProvider`: values of an `OccurrenceDatabase` by county code and class name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from britekit.errors import InputError, suggest
from britekit.occurrence.database import OccurrenceDatabase
from britekit.occurrence.weeks import WEEKS, smoothed


class OccurrenceDataProvider:
    """Reads values by code and name; after changes of the database call `refresh`."""

    def __init__(self, db: OccurrenceDatabase) -> None:
        self.db = db
        self.refresh()

    def refresh(self) -> None:
        """Read counties and classes again."""
        self.counties = self.db.get_all_counties()
        self.classes = self.db.get_all_classes()
        self.county_code_dict = {county.code: county.id for county in self.counties}
        self.class_dict = {info.name: info for info in self.classes}

    def find_county(self, latitude: float, longitude: float) -> SimpleNamespace | None:
        """Return the first county whose bounding box contains a place, or None."""
        return first_containing(self.counties, latitude, longitude)

    def find_counties(self, region_code: str) -> list[SimpleNamespace]:
        """Return the counties whose code begins with ``region_code``: CA, CA-ON or CA-ON-OT."""
        return [county for county in self.counties if county.code.startswith(region_code)]

    def occurrences(self, county_code: str, class_name: str) -> Any:
        """Return the values of a class in a county, float32 (48,); an empty list if there are none.

        Raises `InputError` if there is no such county.
        """
        if county_code not in self.county_code_dict:
            hint = suggest(str(county_code), self.county_code_dict)
            raise InputError(f'county "{county_code}" is not in the occurrence database{hint}')
        return self.db.get_occurrences(self.county_code_dict[county_code], class_name)

    def smoothed_occurrences(self, county_code: str, class_name: str) -> np.ndarray:
        """Return the same, float64, where each week has the highest value of it and its neighbors."""
        return smoothed(np.array(self.occurrences(county_code, class_name), np.float64))

    def average_occurrences(self, county_prefix: str, class_name: str, area_weight: bool = False) -> np.ndarray:
        """Return the mean over the counties of a region, float64 (48,); a county without values counts as 0.

        Parameters
        ----------
        county_prefix
            What the codes of the counties begin with.
        area_weight
            Weight each county by the area of its bounding box, in square degrees.

        Raises
        ------
        InputError
            No code begins so.
        """
        total, weights = np.zeros(WEEKS), 0.0
        for weight, values in self._weighted(county_prefix, class_name, area_weight):
            weights += weight
            if len(values):
                total += values * weight
        return total / weights

    def max_occurrences(self, county_prefix: str, class_name: str, area_weight: bool = False) -> float:
        """Return the mean of each county's highest value, as `average_occurrences` takes it."""
        total, weights = 0.0, 0.0
        for weight, values in self._weighted(county_prefix, class_name, area_weight):
            weights += weight
            if len(values):
                total += values.max() * weight
        return total / weights

    def _weighted(self, prefix: str, class_name: str, by_area: bool) -> list[tuple[float, Any]]:
        counties = self.find_counties(prefix)
        if not counties:
            raise InputError(f'no county code begins with "{prefix}"{suggest(prefix, self.county_code_dict)}')
        areas = [(x.max_x - x.min_x) * (x.max_y - x.min_y) if by_area else 1 for x in counties]
        return [(area, self.occurrences(x.code, class_name)) for area, x in zip(areas, counties, strict=True)]


def first_containing(counties: Any, latitude: float, longitude: float) -> Any:
    """Return the first of some areas whose bounding box contains a place, or None; its edges belong to it."""
    for county in counties:
        beside = county.min_x is None or not county.min_x <= longitude <= county.max_x
        if not beside and county.min_y <= latitude <= county.max_y:
            return county
    return None
