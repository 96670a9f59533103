"""The same number of each class from each hour of the day."""

from collections import defaultdict

import numpy as np

from britekit.errors import InputError
from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn
from britekit.results.queues.strata import spread

SUMMARY = "spread over the hours of the day"


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Return ``num`` of each class, spread evenly over its hours, at least one from each, shuffled."""
    drawn = []
    for _, part in candidates.by_class():
        groups: dict[int, list[int]] = defaultdict(list)
        for index in part:
            when = candidates.time(int(index))
            if when is None:
                recording = candidates.recordings[candidates.recording_M[index]]
                raise InputError(
                    f"{recording}: it is not known when this was recorded; name the file like "
                    "SITE_20260501_063000.wav, or choose another way than hours"
                )
            groups[when.hour].append(int(index))
        hours = sorted(groups)
        sizes = spread(np.array([len(groups[hour]) for hour in hours]), len(part) if num is None else num)
        for hour, size in zip(hours, sizes, strict=True):
            chosen = rng.choice(groups[hour], size, replace=False)
            share = int(size) / len(groups[hour])
            drawn += [Drawn(int(index), f"{hour:02d} h", share) for index in chosen]
    return [drawn[place] for place in rng.permutation(len(drawn))]
