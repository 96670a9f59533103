"""How large, how long and how many uploads may be, who may ask, and how long a stop waits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from britekit.errors import ConfigError

GIB = 1024**3
HOSTS_VARIABLE = "BRITEKIT_HOSTS"
DRIFT_VARIABLE = "BRITEKIT_DRIFT_FOLDER"


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from taking the whole server."""

    max_bytes: int = GIB
    """Size of one upload; a larger one is refused while it arrives."""
    max_seconds: float = 4 * 3600.0
    """Length of one recording; a longer one is refused as soon as its header or its samples show it."""
    max_requests: int = 64
    """Recordings analyzed or waiting for their turn; more are asked to come back. An upload that is still arriving does
    not count."""
    threads: int = 2
    """Recordings analyzed side by side."""
    # Docker kills what has not ended after 10 s. From the last answer until the process had ended it took
    # 1.4 s on two idle cores, and 3.2 s with eight other processes at work on them.
    stop_seconds: float = 6.0
    """Grace period for running requests when the server is asked to stop; the rest get status 503."""
    hosts: frozenset[str] = frozenset()
    """Values that the header ``Host`` may have, without port; empty accepts any."""
    drift_folder: str | None = None
    """Folder for statistics of what is scored; None keeps none."""


class Numbers:
    """Reads positive numbers from the environment, and collects what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._environment = environment

    def positive(self, name: str, default: float) -> float:
        """Return the value of a variable, or the default for an absent or invalid one."""
        text = self._environment.get(name, "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            self.problems.append(f'environment variable {name} is "{text[:40]}", but must be a positive number')
            return default
        return value

    def check(self) -> None:
        """Raise `ConfigError` with all problems, if there are any."""
        if self.problems:
            raise ConfigError(*self.problems)


def read_limits(environment: Mapping[str, str] | None = None) -> Limits:
    """Read the limits from the environment.

    They are ``BRITEKIT_MAX_UPLOAD_MIB``, ``_MAX_HOURS``, ``_MAX_REQUESTS``, ``_THREADS``, ``_STOP_SECONDS``,
    ``_HOSTS``, ``_DRIFT_FOLDER``. They belong to the place where the service runs, not to the model, so no settings
    file holds them.

    Raises `ConfigError` if a variable is not a positive number; all of them are reported together.
    """
    environment = os.environ if environment is None else environment
    numbers = Numbers(environment)
    positive = numbers.positive
    defaults = Limits()
    limits = Limits(
        max_bytes=max(1, int(positive("BRITEKIT_MAX_UPLOAD_MIB", defaults.max_bytes / 1024**2) * 1024**2)),
        max_seconds=positive("BRITEKIT_MAX_HOURS", defaults.max_seconds / 3600) * 3600,
        max_requests=max(1, int(positive("BRITEKIT_MAX_REQUESTS", defaults.max_requests))),
        threads=max(1, int(positive("BRITEKIT_THREADS", min(defaults.threads, os.cpu_count() or 1)))),
        stop_seconds=positive("BRITEKIT_STOP_SECONDS", defaults.stop_seconds),
        hosts=frozenset(environment.get(HOSTS_VARIABLE, "").lower().replace(",", " ").split()),
        drift_folder=environment.get(DRIFT_VARIABLE, "").strip() or None,
    )
    numbers.check()
    return limits
