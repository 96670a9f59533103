"""The formats of the folder: by name, by content, and for `--rtype`."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Sequence
from fnmatch import fnmatch

from britekit.annotations.tracks import of_channel
from britekit.errors import InputError, suggest
from britekit.format_names import format_names
from britekit.formats._base import Format

BOTH = ("audacity", "csv")
"""Formats of ``--rtype both``."""


def names() -> tuple[str, ...]:
    """Return the names of all formats, sorted."""
    return format_names()


@functools.cache
def get(name: str) -> Format:
    """Return a format; raises `InputError` for a name that is not in the folder."""
    if name not in names():
        raise InputError(f'format "{name}" is not one of {", ".join(names())}{suggest(name, names())}')
    module = name.replace("-", "_")
    if not os.path.exists(os.path.join(os.path.dirname(__file__), f"{module}.py")):
        module += "_"
    found: Format = importlib.import_module(f"britekit.formats.{module}").FORMAT
    return found


def written() -> tuple[str, ...]:
    """Return the names of the formats that labels are written in."""
    return format_names(written=True)


def chosen(rtype: str) -> list[Format]:
    """Return the formats that a person asked for; ``both`` is audacity and csv.

    Several are separated by commas; an unambiguous beginning will do for each.

    Raises `InputError` if one is unknown.
    """
    known = (*written(), "both")
    found: set[str] = set()
    for word in rtype.split(","):
        word = word.strip().lower()
        fits = [name for name in known if word and name.startswith(word)]
        # "raven" is also the beginning of "raven-all"
        if not fits or not all(name.startswith(fits[0]) for name in fits):
            raise InputError(f'--rtype "{rtype}": "{word}" is not one of {", ".join(known)}{suggest(word, known)}')
        found.update(BOTH if fits[0] == "both" else fits[:1])
    return [get(name) for name in sorted(found)]


def matching(lines: Sequence[str], ending: str = "") -> Format | None:
    """Return the format of a file of annotations by its lines, None for a text about something else."""
    if ending == ".csv" and not any(line.strip() for line in lines):
        return None
    forms = sorted(map(get, names()), key=lambda form: form.sniff_last)
    return next((form for form in forms if form.sniff is not None and form.sniff(lines[:100])), None)


def is_detections(name: str, first_line: str | None = None) -> bool:
    """Return whether a file holds labels that a program wrote, not annotations of a person.

    Parameters
    ----------
    name
        Of the file.
    first_line
        Of its text, if ``analyze`` has written into its folder: then the columns decide.
    """
    lowered = name.lower()
    for form in map(get, names()):
        is_table = form.table and (lowered == form.table or fnmatch(lowered, of_channel(form.table, "[0-9]*")))
        if is_table or form.own_name and form.ending and lowered.endswith(form.ending.lower()):
            return True
        headers = ("\t".join(form.columns), "\t".join([*form.columns, *form.marked]))
        if not form.own_name and first_line in headers:
            return True
    return "birdnet" in lowered and lowered.endswith((".txt", ".csv"))
