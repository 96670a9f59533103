"""Traces as a collector receives them, and the log as JSON."""

import gzip
import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from britekit.errors import ConfigError
from britekit.service import tracing
from britekit.service.logs import FACTS, JsonLines, start_logging
from tests.service.running import serving
from tests.service.test_reliability import until
from tests.service.tone_model import write_tones

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector():
    """A server that takes what the exporter sends; yields its address and the spans."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sent = ExportTraceServiceRequest.FromString(body)
            for resource in sent.resource_spans:
                names = {x.key: x.value.string_value for x in resource.resource.attributes}
                spans.extend((names["service.name"], span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


def value(span, key):
    found = next(x.value for x in span.attributes if x.key == key)
    return getattr(found, found.WhichOneof("value"))


@pytest.mark.xdist_group("service")
def test_a_request_and_a_job_from_http_to_the_model(server, tmp_path, collector):
    url, spans = collector
    settings = str(server.log.parent / "settings.yaml")
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "owls", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(["-c", settings, "--jobs", "jobs"], tmp_path, BRITEKIT_LOG="json", **environment) as running:
        sound = {"audio": ("x.wav", write_tones(tmp_path / "x.wav").read_bytes())}
        httpx.post(f"{running.url}/detections", files=sound, headers={"traceparent": PARENT}).raise_for_status()
        job = httpx.post(f"{running.url}/jobs", files=sound).json()["id"]

        def named(name):
            return [span for _, span in spans if span.name == name]

        assert until(lambda: named("job") and len(named("model")) == 2), [span.name for _, span in spans]
        log = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert {service for service, _ in spans} == {"owls"}
    (request,), (submitted,) = named("POST /detections"), named("POST /jobs")
    assert request.trace_id.hex() == PARENT.split("-")[1] and request.parent_span_id.hex() == PARENT.split("-")[2]
    assert value(request, "http.response.status_code") == 200 and value(submitted, "http.response.status_code") == 202
    (work,) = named("job")
    assert work.trace_id == submitted.trace_id and work.parent_span_id == submitted.span_id
    assert value(work, "britekit.job") == job
    for whole in (request, work):
        below = {span.name: span for _, span in spans if span.parent_span_id == whole.span_id}
        assert {"decode", "spectrogram", "model", "labels"} <= set(below)
        assert ("receive" in below) == (whole is request)
        for name in ("decode", "spectrogram", "model"):
            span = below[name]
            took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
            assert whole.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= whole.end_time_unix_nano
            assert 0 < value(span, "britekit.busy_s") <= took + 1e-6, name
        assert value(below["spectrogram"], "britekit.steps") == 4  # windows of 2 s in 8 s
    access = next(line for line in log if line.get("path") == "/detections")
    assert access["trace_id"] == PARENT.split("-")[1] and (access["status"], access["method"]) == (200, "POST")


def test_without_a_collector_nothing_is_imported():
    code = (
        "import sys; from britekit.service import tracing; import britekit.service.app\n"
        "assert tracing.start({}) is False and tracing.progress() is None and tracing.traceparent() is None\n"
        "with tracing.request_span('GET', '/', []) as span: assert span is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stdout.strip() == "[]", told.stderr


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_usual_switches(off):
    assert tracing.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **off}) is False


def test_a_protocol_that_is_not_spoken():
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ConfigError, match='"grpc"'):
        tracing.start(given)


def test_lines_of_json():
    record = logging.LogRecord("britekit.x", logging.WARNING, "", 0, 'a "line"\nof %s', ("two",), None)
    setattr(record, FACTS, {"status": 200})
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    text = JsonLines().format(record)
    line = json.loads(text)
    assert "\n" not in text and line["message"] == 'a "line"\nof two' and line["status"] == 200
    assert (line["level"], line["logger"]) == ("WARNING", "britekit.x") and "ValueError: why" in line["exception"]
    with pytest.raises(ConfigError, match='BRITEKIT_LOG is "xml"'):
        start_logging({"BRITEKIT_LOG": "xml"})
