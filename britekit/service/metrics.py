"""Counters of ``/metrics``, in memory.

Labels are routes, classes and reasons, which are few; a path that a client makes up is ``other``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

# BentoML asks for values in mapped files below TMPDIR, and a full disk then kills the process with SIGBUS.
# The service is one process, so plain numbers do. Must run before prometheus_client is imported.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from prometheus_client import (  # noqa: E402
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()
__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """The figures of one application.

    Parameters
    ----------
    working, arriving
        Return how many recordings are being analyzed or wait for it, and how many are still arriving.
    """

    def __init__(self, working: Callable[[], float], arriving: Callable[[], float]) -> None:
        self._registry = registry = CollectorRegistry()
        place: Any = {"namespace": "britekit", "registry": registry}
        by_route = ["endpoint", "http_response_code"]
        self.requests = Counter("request_total", "Requests answered.", by_route, **place)
        self.durations = Histogram(
            "request_duration_seconds", "Time from the head of a request to the end of its answer.",
            by_route, buckets=_BUCKETS, **place,
        )  # fmt: skip
        self.in_progress = Gauge("request_in_progress", "Requests under way.", ["endpoint"], **place)
        self.audio_seconds = Counter("audio_seconds_total", "Audio analyzed; repeats are not.", **place)
        self.detections = Counter(
            "detections_total", "Detections in analyzed recordings at the model's own threshold.",
            ["class_name"], **place,
        )  # fmt: skip
        self.refusals = Counter("refusals_total", "Requests refused, by status.", ["status"], **place)
        self.jobs = Counter("jobs_ended_total", "Jobs that ended on this server, by state.", ["state"], **place)
        queue = Gauge("recordings_in_queue", "Recordings being analyzed or waiting for it.", **place)
        queue.set_function(working)
        uploads = Gauge("uploads_arriving", "Uploads that are not complete yet.", **place)
        uploads.set_function(arriving)

    def watch_jobs(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Show how many jobs of the store wait and run; ``counts`` is asked at each look."""
        gauge = Gauge(
            "jobs", "Jobs of the store that wait or run.", ["state"], namespace="britekit", registry=self._registry
        )
        for state in counts():
            gauge.labels(state).set_function(functools.partial(_value, counts, state))

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return bytes(generate_latest(self._registry))


def _value(counts: Callable[[], Mapping[str, int]], state: str) -> float:
    return counts()[state]
