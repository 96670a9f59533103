"""The same number of each class from each site and day."""

from collections import defaultdict

import numpy as np

from britekit.errors import InputError
from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "a number from each site and day"


def site_and_day(candidates: Candidates, index: int) -> str:
    """Return the stratum of a detection, such as ``pond 2026-05-01``.

    Raises `InputError` if it is not known on which day the recording was made.
    """
    when = candidates.time(index)
    if when is None:
        recording = candidates.recordings[candidates.recording_M[index]]
        raise InputError(
            f"{recording}: it is not known when this was recorded, so its day is not known either; name the "
            "file like SITE_20260501_063000.wav, or choose another way than site and day"
        )
    return f"{candidates.site(index)} {when:%Y-%m-%d}".strip()


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return at most ``num`` of each class from each site and day, in the order of the days."""
    drawn = []
    for _, part in candidates.by_class():
        groups: dict[str, list[int]] = defaultdict(list)
        for index in part:
            groups[site_and_day(candidates, int(index))].append(int(index))
        for stratum in sorted(groups):
            members = groups[stratum]
            size = len(members) if num is None else min(num, len(members))
            chosen = np.sort(rng.choice(members, size, replace=False))
            drawn += [Drawn(int(index), stratum, size / len(members)) for index in chosen]
    return drawn
