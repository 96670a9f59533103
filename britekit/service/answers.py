"""Detections in the formats of `britekit.formats`, as the files of ``analyze`` have them, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from britekit import formats
from britekit.formats import Facts, Recording

JSON = "json"
JSON_TYPE = "application/json"
_ROWS = 256  # made into text at a time


def format_titles() -> dict[str, str]:
    """Return what the field ``format`` may be, with what people call it."""
    return {JSON: "JSON", **{name: formats.get(name).title for name in formats.written()}}


def format_names() -> list[str]:
    """Return what the field ``format`` may be."""
    return [*format_titles()]


def media_types() -> list[str]:
    """Return the media types of answers with detections, without parameters."""
    known = [formats.get(name).media_type.partition(";")[0] for name in formats.written()]
    return list(dict.fromkeys([JSON_TYPE, *known]))


def rendered(
    name: str, recording: Recording, labels: Iterable[tuple[str, str, str, float, float, float, bool]], facts: Facts
) -> tuple[bytes, str, str]:
    """Return labels in a format, its media type, and the name of the file.

    Parameters
    ----------
    labels
        As `formats.grouped` takes them.
    """
    form = formats.get(name)
    content = form.render(recording, formats.grouped(labels), facts)
    return content, form.media_type, recording.name + form.ending


def pieces(count: int, rows: Callable[[slice], list[Any]]) -> Iterator[list[Any]]:
    """Yield rows in pieces, made when they are wanted."""
    return (rows(slice(at, at + _ROWS)) for at in range(0, count, _ROWS))


def json_text(facts: dict[str, Any], name: str, parts: Iterator[list[Any]]) -> Iterator[bytes]:
    """Yield an answer piece by piece: hours of many classes are a long text, and others want their turn."""
    yield (json.dumps(facts, ensure_ascii=False)[:-1] + f', "{name}": [').encode()
    for number, part in enumerate(parts):
        yield ((", " if number else "") + json.dumps(part, ensure_ascii=False)[1:-1]).encode()
    yield b"]}"


def attachment(name: str) -> str:
    """Return the header that names a download; other than plain letters as RFC 6266 has it."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_")
    both = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{both}'
