"""Praat TextGrids as annotations: the intervals with text, of all tiers.

Boersma & Weenink, *Praat*, manual page "TextGrid file formats": the long form names each value, the short
form only lists them; in both, values stand in the same order, so everything that is neither a number, a flag
nor a quoted text is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import Annotation, parse_stretch, raise_for_rows, without_repeats
from britekit.annotations.text_files import TextFile
from britekit.errors import InputError
from britekit.formats._base import Format

# A quote in a text is doubled; numbers and flags stand alone.
_VALUES = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?!\S)|(?<!\S)(<exists>)(?!\S)')


def is_textgrid(lines: Sequence[str]) -> bool:
    """Return whether a file begins like a TextGrid in text form."""
    head = "".join(lines[:4])
    return "ooTextFile" in head and "TextGrid" in head


def read_textgrid(file: TextFile, names: RecordingNames, default_label: str = "") -> list[Annotation]:
    """Read a TextGrid; one without text in any interval gives one row without times: nothing is heard.

    Raises `InputError` if the file is cut off, or a tier of points holds marks, which have no duration; names the row.
    """
    path, name = file.path, names.of_label_file(file.path)
    values = _values(file)

    def text() -> tuple[int, str]:
        row, value = next(values, (0, None))
        if not isinstance(value, str):
            raise _unexpected(path, row, value, "a text in quotes")
        return row, value

    def number() -> tuple[int, float]:
        row, value = next(values, (0, None))
        if not isinstance(value, float):
            raise _unexpected(path, row, value, "a number")
        return row, value

    text(), text()  # file type, object class
    number(), number()  # begin and end of the recording
    annotations, problems, tiers = [], [], []
    if next(values, (0, ""))[1] is not None:  # <exists>
        raise InputError(f"{path} is not a TextGrid with tiers; save it again in Praat as a text file")
    for _ in range(int(number()[1])):
        kind, tier = text()[1], text()[1]
        number(), number()
        count = int(number()[1])
        used = False
        for _ in range(count):
            if kind == "IntervalTier":
                (row, start), (_, end), (_, label) = number(), number(), text()
                if not label.strip():
                    continue
                used = True
                try:
                    parse_stretch(str(start), str(end), ("xmin", "xmax"))
                except ValueError as error:
                    problems.append(f"row {row}: {error}")
                annotations.append(Annotation(name, " ".join(label.split()), start, end, row, str(path)))
            else:
                (row, at), (_, label) = number(), text()
                problems.append(f'row {row}: "{label[:40]}" at {at:g} s marks a moment; use an interval tier')
        tiers += [tier] if used else []
    raise_for_rows(path, problems)
    if len(tiers) > 1:
        file.note(f"classes are read from {len(tiers)} tiers: {', '.join(tiers)}")
    file.report()
    return without_repeats(path, annotations) or [Annotation(name, "", 0.0, 0.0, 1, str(path))]


def _values(file: TextFile) -> Iterator[tuple[int, str | float | None]]:
    """Yield texts, numbers and the flag (as None), each with its row; texts may span lines."""
    content = "\n".join(file.lines)
    row, at = 1, 0
    for found in _VALUES.finditer(content):
        row += content.count("\n", at, found.start())
        at = found.start()
        if found[1] is not None:
            yield row, found[1].replace('""', '"')
        else:
            yield row, float(found[2]) if found[2] is not None else None


def _unexpected(path: Path, row: int, value: object, wanted: str) -> InputError:
    if not row:
        return InputError(f"{path} is cut off: {wanted} is missing; save the TextGrid again")
    return InputError(f"{path}, row {row}: found {value!r}; expected {wanted}, as Praat writes it")


FORMAT = Format(
    name="textgrid",
    title="Praat TextGrid",
    media_type="text/plain; charset=utf-8",
    ending="",
    columns={"xmin, xmax": "seconds of an interval", "text": "its class; empty for a gap"},
    sniff=is_textgrid,
    read=read_textgrid,
)
