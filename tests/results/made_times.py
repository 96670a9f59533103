"""Times of recordings from plain values."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

import numpy as np

from britekit.results.effort import RecordingTimes


def recording_times(sites: Sequence[str], starts: Sequence[datetime], seconds: Sequence[float]) -> RecordingTimes:
    """Return the times of recordings as columns."""
    names: dict[str, int] = {}
    zones: dict[tzinfo, int] = {}
    site_R = np.array([names.setdefault(site, len(names)) for site in sites], np.int64)
    zone_R = np.empty(len(starts), np.int64)
    start_R = np.empty(len(starts))
    for row, start in enumerate(starts):
        assert start.tzinfo is not None
        zone_R[row] = zones.setdefault(start.tzinfo, len(zones))
        start_R[row] = start.timestamp()
    return RecordingTimes(list(names), site_R, start_R, np.asarray(seconds, np.float64), list(zones), zone_R)
