"""Where jobs are stored, how large and long they may be, and what they may name, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from britekit.config import without_password
from britekit.service.limits import Limits, Numbers

FOLDER_VARIABLE = "BRITEKIT_JOBS"
UPLOADS_VARIABLE = "BRITEKIT_JOBS_FOLDER"
SOURCES_VARIABLE = "BRITEKIT_JOB_SOURCES"
DAY_S = 86400.0


@dataclass(frozen=True)
class JobSettings:
    """Settings of the job store of one server."""

    folder: Path
    """Uploads, and the SQLite file."""
    sources: tuple[str, ...] = ()
    """Folders, and addresses such as ``s3://BUCKET/PREFIX``, below which jobs may name recordings."""
    max_bytes: int = 16 << 30
    """Size of one recording."""
    max_seconds: float = 48 * 3600.0
    """Length of one recording."""
    keep_s: float = 7 * DAY_S
    """Time from the end of a job until its result is deleted."""
    at_once: int = 2
    """Jobs that this server works on side by side."""
    max_waiting: int = 10_000
    """Jobs that may wait; further ones are asked to come back."""
    address: str | None = None
    """Of a PostgreSQL database in place of that file."""


def read_job_settings(limits: Limits, environment: Mapping[str, str] | None = None) -> JobSettings | None:
    """Read the settings from the environment; None without ``BRITEKIT_JOBS``.

    They are ``BRITEKIT_JOBS``, ``_JOBS_FOLDER``, ``_JOB_SOURCES``, ``_JOB_MAX_MIB``, ``_JOB_MAX_HOURS``, ``_JOB_DAYS``,
    ``_JOBS_AT_ONCE`` and ``_JOB_QUEUE``.

    Raises `ConfigError` if a number is not positive, a source is neither an absolute path nor an ``s3://`` address, or
    there are settings of jobs but no folder, or a PostgreSQL address without one.
    """
    environment = os.environ if environment is None else environment
    given = environment.get(FOLDER_VARIABLE, "").strip()
    uploads = environment.get(UPLOADS_VARIABLE, "").strip()
    address = given if given.startswith(("postgresql://", "postgres://")) else None
    folder = given if address is None else uploads
    numbers = Numbers(environment)
    settings = JobSettings(
        folder=Path(folder).absolute(),
        address=address,
        sources=tuple(x.strip() for x in environment.get(SOURCES_VARIABLE, "").split(",") if x.strip()),
        max_bytes=max(1, int(numbers.positive("BRITEKIT_JOB_MAX_MIB", 16 * 1024) * 1024**2)),
        max_seconds=numbers.positive("BRITEKIT_JOB_MAX_HOURS", 48) * 3600,
        keep_s=numbers.positive("BRITEKIT_JOB_DAYS", 7) * DAY_S,
        at_once=max(1, int(numbers.positive("BRITEKIT_JOBS_AT_ONCE", limits.threads))),
        max_waiting=max(1, int(numbers.positive("BRITEKIT_JOB_QUEUE", 10_000))),
    )
    for source in settings.sources:
        if not (source.startswith("s3://") and source[5:].strip("/")) and not os.path.isabs(source):
            numbers.problems.append(
                f'environment variable {SOURCES_VARIABLE} has "{source[:80]}", but expected absolute paths and '
                "addresses such as s3://BUCKET/PREFIX, separated by commas"
            )
    if "://" in given and address is None:
        numbers.problems.append(
            f'environment variable {FOLDER_VARIABLE} is "{without_password(given)[:80]}", but expected a folder or a '
            "postgresql:// address"
        )
    if address is not None and not uploads:
        numbers.problems.append(
            f"environment variable {FOLDER_VARIABLE} is a PostgreSQL address; set {UPLOADS_VARIABLE} too: a folder for "
            "uploads that all servers of the store see"
        )
    if uploads and address is None:
        numbers.problems.append(
            f"environment variable {UPLOADS_VARIABLE} is set, but {FOLDER_VARIABLE} is not a PostgreSQL address; "
            "unset it"
        )
    if settings.sources and not given:
        numbers.problems.append(
            f"environment variable {SOURCES_VARIABLE} is set, but {FOLDER_VARIABLE} is not; set both"
        )
    numbers.check()
    return settings if given else None
