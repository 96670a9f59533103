"""Where two sources state different times or places of one recording."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import asin, cos, radians, sin, sqrt

# Recorders name a file and write its metadata up to two seconds apart.
_SAME_TIME_S = 2.0
_SAME_PLACE_KM = 1.0


def different_times(times: Sequence[tuple[str, datetime]], clocks: Sequence[tuple[str, datetime]]) -> list[str]:
    """Return a sentence for each time that is neither the first one nor shows the same on a clock."""
    found = []
    for (source, when), (_, clock) in zip(times[1:], clocks[1:], strict=True):
        first_source, first = times[0]
        shown = [first.replace(tzinfo=None), clocks[0][1].replace(tzinfo=None)]
        if clocks[0][1].tzinfo is not None:
            shown.append(clocks[0][1].astimezone(UTC).replace(tzinfo=None))
        if clock.tzinfo is None:
            gaps = [abs((at - clock).total_seconds()) for at in shown]
        else:
            gaps = []
        if when.tzinfo is not None and first.tzinfo is not None:
            gaps.append(abs((when - first).total_seconds()))
        if min(gaps, default=0.0) > _SAME_TIME_S:
            found.append(f"two times: {first.isoformat(' ')} by {first_source}, {when.isoformat(' ')} by {source}")
    return found


def different_places(told: Sequence[tuple[str | None, tuple[float | None, float | None]]]) -> list[str]:
    """Return a sentence for each place that is far from the first one."""
    found = []
    for source, place in told[1:]:
        distance = _kilometers(told[0][1], place)
        if distance > _SAME_PLACE_KM:
            found.append(f"two places, {distance:.1f} km apart: by {told[0][0]} and by {source}")
    return found


def _kilometers(one: tuple[float | None, float | None], other: tuple[float | None, float | None]) -> float:
    """Return the great-circle distance (haversine formula, mean radius of the Earth)."""
    (a, b), (c, d) = ((radians(x or 0.0), radians(y or 0.0)) for x, y in (one, other))
    return 2 * 6371.0 * asin(min(1.0, sqrt(sin((c - a) / 2) ** 2 + cos(a) * cos(c) * sin((d - b) / 2) ** 2)))
