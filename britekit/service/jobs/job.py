"""A job, as the store has it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

QUEUED, RUNNING, DONE, FAILED, CANCELLED, EXPIRED = "queued", "running", "done", "failed", "cancelled", "expired"
COLUMNS = (
    "number, id, token, state, name, source, suffix, options, trace, created, started, finished, mark, attempts, "
    "done_s, total_s, detections, error, facts"
)


@dataclass(frozen=True)
class Job:
    """A job as it was read from the store; times are seconds since the epoch."""

    number: int
    id: str
    token: str
    """Name of the token that submitted it."""
    state: str
    name: str
    """Name of the recording in its result."""
    source: str
    """Path or address that was named; empty for an upload."""
    suffix: str
    """Of the uploaded file."""
    options: dict[str, str]
    """Fields of the form."""
    trace: str | None
    """``traceparent`` of the request."""
    created: float
    started: float | None
    finished: float | None
    mark: float | None
    """The store's age when it finished, seconds."""
    attempts: int
    done_s: float
    total_s: float | None
    detections: int | None
    error: str | None
    facts: dict[str, Any]
    """About the result; see `results`."""


def job_of(row: tuple[Any, ...]) -> Job:
    """Return the job of a row of `COLUMNS`."""
    values = dict(zip((name.strip() for name in COLUMNS.split(",")), row, strict=True))
    values["options"] = json.loads(values["options"])
    values["facts"] = json.loads(values["facts"] or "{}")
    return Job(**values)
