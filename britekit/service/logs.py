"""The service's log: lines for people, or JSON where ``BRITEKIT_LOG=json`` asks for it."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

from britekit.errors import ConfigError
from britekit.service import tracing

VARIABLE = "BRITEKIT_LOG"
_PLAIN = "%(asctime)s %(levelname)s %(message)s"
FACTS = "facts"
"""Name of a record's further values: ``log.info("...", extra={FACTS: {...}})``."""


class JsonLines(logging.Formatter):
    """Writes each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FACTS, {}),
        }
        if trace := tracing.trace_id():
            line["trace_id"] = trace
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def start_logging(environment: Mapping[str, str] | None = None) -> None:
    """Write the log to standard error in the form that the environment asks for.

    Raises `ConfigError` if ``BRITEKIT_LOG`` is neither ``json`` nor ``text``.
    """
    form = (os.environ if environment is None else environment).get(VARIABLE, "").strip().lower() or "text"
    if form not in ("json", "text"):
        raise ConfigError(f'environment variable {VARIABLE} is "{form[:40]}"; expected json or text')
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
