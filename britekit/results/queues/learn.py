"""Choose what a classifier on the archive's embeddings learns most from; only for `review`."""

from __future__ import annotations

import numpy as np

from britekit.errors import InputError
from britekit.results.candidates import Candidates
from britekit.results.queues import Drawn

SUMMARY = "what a classifier on an archive's embeddings learns most from, by the verdicts so far (--archive)"
NEEDS_ARCHIVE = True
LEARNS = True


def draw(candidates: Candidates, num: int | None, rng: np.random.Generator) -> list[Drawn]:
    """Refuse: what comes next depends on what is heard (`britekit.results.learning`)."""
    raise InputError("the queue learn chooses by what is heard, so it goes with review alone; choose another way")
