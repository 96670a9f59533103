"""One file per text format: how it is recognised, read, and written.

The folder is the list: a file without ``_`` before its name is a format, and ends with a `Format`.
``analyze --rtype``, the service and its page, the reader of annotations and the reference follow from it. An
underscore behind a name keeps it apart from a module of Python; ``-`` stands for other underscores.

In: lines of text and the names of recordings, or rows of labels. Out: annotations, or bytes.

- ``_base.py``: rows of labels, facts about a run, `Format` and `Writer`
- ``_reading.py``: annotations of any format, from a file or a folder
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Sequence

from britekit.errors import InputError, suggest
from britekit.formats._base import Facts, Format, Recording, Rows, Sink, Writer, grouped, in_pieces, read_rows

__all__ = [
    "BOTH", "Facts", "FolderRead", "Format", "Recording", "Rows", "Sink", "Writer", "chosen", "get", "grouped",
    "holds_annotations", "in_pieces", "is_detections", "matching", "names", "read_any_annotations",
    "read_folder", "read_rows", "report_absent", "warn_of_folders", "written",
]  # fmt: skip

BOTH = ("audacity", "csv")
"""What ``--rtype both`` stands for."""


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all formats, sorted."""
    files = (name[:-3] for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py") and name[0] != "_")
    return tuple(sorted(name.rstrip("_").replace("_", "-") for name in files))


@functools.cache
def get(name: str) -> Format:
    """Return a format; raises `InputError` for a name that is not in the folder."""
    if name not in names():
        raise InputError(f'format "{name}" is not one of {", ".join(names())}{suggest(name, names())}')
    module = name.replace("-", "_")
    if not os.path.exists(os.path.join(os.path.dirname(__file__), f"{module}.py")):
        module += "_"
    found: Format = importlib.import_module(f"{__name__}.{module}").FORMAT
    return found


@functools.cache
def written() -> tuple[str, ...]:
    """Return the names of the formats that labels are written in."""
    return tuple(name for name in names() if get(name).writer is not None)


def chosen(rtype: str) -> list[Format]:
    """Return the formats that a person asked for; ``both`` is audacity and csv.

    Several are separated by commas; an unambiguous beginning will do for each.

    Raises
    ------
    InputError
        One is unknown.
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
    """Tell whether a file holds labels that a program wrote, not annotations of a person.

    Parameters
    ----------
    name
        Of the file.
    first_line
        Of its text, if ``analyze`` has written into its folder: then the columns decide.
    """
    lowered = name.lower()
    for form in map(get, names()):
        if lowered == form.table or form.own_name and form.ending and lowered.endswith(form.ending.lower()):
            return True
        headers = ("\t".join(form.columns), "\t".join([*form.columns, *form.marked]))
        if not form.own_name and first_line in headers:
            return True
    return "birdnet" in lowered and lowered.endswith((".txt", ".csv"))


# The reader asks the formats above.
from britekit.formats._reading import (  # noqa: E402
    FolderRead,
    holds_annotations,
    read_any_annotations,
    read_folder,
    report_absent,
    warn_of_folders,
)
