"""Detections in the formats of `britekit.formats`, as the files of ``analyze`` have them, or as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from britekit import formats
from britekit.formats import Facts, Recording

JSON = "json"
JSON_TYPE = "application/json"


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
    name
        Of the format.
    labels
        As `formats.grouped` takes them.
    """
    form = formats.get(name)
    content = form.render(recording, formats.grouped(labels), facts)
    return content, form.media_type, recording.name + form.ending
