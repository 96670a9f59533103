"""Sunrise and sunset at a site, by the package ``astral``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, tzinfo


def sun_times(
    place: tuple[float, float, tzinfo | None] | None, days: Sequence[date]
) -> list[tuple[float, float] | None] | None:
    """Return the hours (0 to 24, local clock) of sunrise and sunset on each day.

    Parameters
    ----------
    place
        Latitude, longitude and time zone of a site, or None.

    Returns
    -------
    list or None
        None where the place is not known; an entry is None where the sun does not rise or set.
    """
    if place is None:
        return None
    from astral import Observer
    from astral.sun import sunrise, sunset

    latitude, longitude, zone = place
    observer = Observer(latitude, longitude)
    found: list[tuple[float, float] | None] = []
    for day in days:
        try:
            moments = [work(observer, day, tzinfo=zone or UTC) for work in (sunrise, sunset)]
        except ValueError:  # polar day or night
            found.append(None)
            continue
        rise, down = (moment.hour + moment.minute / 60 + moment.second / 3600 for moment in moments)
        found.append((rise, down))
    return found
