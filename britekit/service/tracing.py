"""OpenTelemetry traces: a request or a job, the arrival of its recording, decoding, spectrograms, models, labels.

On where the usual variables name a collector (``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``..._TRACES_ENDPOINT``). Otherwise
nothing of OpenTelemetry is imported, and every function here returns at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import britekit
from britekit.audio.stages import Stages
from britekit.errors import ConfigError
from britekit.inference.engine import Progress

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH_MS = 500  # for the last spans, when the server stops
_tracer: Any = None
_provider: Any = None


def start(environment: Mapping[str, str] | None = None) -> bool:
    """Begin to record traces if the environment names a collector; return whether they are recorded.

    Raises `ConfigError` if the exporter is not installed, or another protocol is asked for.
    """
    global _tracer, _provider
    environment = os.environ if environment is None else environment
    named = any(environment.get(name, "").strip() for name in _ENDPOINTS)
    off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    if not named or off:
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(f"traces need the package opentelemetry-exporter-otlp-proto-http ({error})") from None
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigError(f'OTEL_EXPORTER_OTLP_PROTOCOL is "{protocol[:40]}"; this service sends http/protobuf alone')

    # The environment goes before these: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.
    default = {
        "service.name": environment.get("OTEL_SERVICE_NAME") or "britekit",
        "service.version": britekit.__version__,
    }
    _provider = TracerProvider(resource=Resource.create(default))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("britekit", britekit.__version__)
    # A collector that is away is worth a line, not a traceback per batch.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    return True


def stop() -> None:
    """Send what was recorded, if that takes no more than half a second."""
    if _provider is not None:
        _provider.force_flush(_FLUSH_MS)


def progress() -> Progress | None:
    """Return what measures the stages of a recording, or None without traces."""
    return None if _tracer is None else Progress(stages=Stages())


@contextlib.contextmanager
def span(name: str, parent: str | None = None, server: bool = False, **attributes: Any) -> Iterator[Any]:
    """Record a block as a span, and yield it, or None without traces.

    Parameters
    ----------
    parent
        A ``traceparent``; None takes the span around it.
    server
        Whether it is a request that came in.
    attributes
        Of the span; ``_`` stands for a dot.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind

    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    given = {key.replace("_", "."): value for key, value in attributes.items() if value is not None}
    context = None if parent is None else _propagator().extract({"traceparent": parent})
    with _tracer.start_as_current_span(name, context=context, kind=kind, attributes=given) as recorded:
        yield recorded


@contextlib.contextmanager
def request_span(method: str, route: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Any]:
    """Record a request as a span; its caller's ``traceparent`` is the parent."""
    if _tracer is None:
        yield None
        return
    parent = next((value.decode("latin-1") for key, value in headers if key == b"traceparent"), None)
    with span(f"{method} {route}", parent, True, http_request_method=method, http_route=route) as recorded:
        yield recorded


def answered(recorded: Any, status: int) -> None:
    """Note the status of a request's answer."""
    if recorded is not None:
        recorded.set_attribute("http.response.status_code", status)


def stage_spans(measured: Progress | None) -> None:
    """Record the stages of a recording as spans below the present one: from their first step to the last.

    Stages of a recording overlap, and wait for those of others; ``britekit.busy_s`` is the time at work.
    """
    if _tracer is None or measured is None or measured.stages is None:
        return
    for name, stage in measured.stages.stages.items():
        attributes = {"britekit.busy_s": stage.busy_ns / 1e9, "britekit.steps": stage.steps}
        recorded = _tracer.start_span(name, start_time=stage.began_ns, attributes=attributes)
        recorded.end(stage.ended_ns)


def traceparent() -> str | None:
    """Return the present span for a later one, or None."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """Return the present trace for a line of the log, or None."""
    given = traceparent()
    return given.split("-")[1] if given else None


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()
