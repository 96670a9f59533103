"""Audacity label files as annotations: start TAB end TAB class, one label per line.

Lines that begin with a backslash are the frequency range of the label before. A label ``class;0.95``, as
`analyze` writes it and a person has then corrected it, is the class.
"""

import re
from pathlib import Path

from britekit.annotations.segments import Annotation, parse_stretch, raise_for_rows, without_repeats
from britekit.annotations.text_files import read_text
from britekit.audio.files import is_recording_name
from britekit.errors import InputError

_SCORE = re.compile(r";\s*(?:0(?:\.\d*)?|\.\d+|1(?:\.0*)?)$")
_TAILS = ("_labels", ".labels", "-labels", "_label", "_annotations", ".annotations", "_scores")


def is_audacity_line(line: str) -> bool:
    """Tell whether a line of a file looks like an Audacity label."""
    cells = line.split("\t")
    if len(cells) < 2:
        return False
    try:
        float(cells[0]), float(cells[1])
    except ValueError:
        return False
    return True


def recording_of_labels(path: str | Path) -> str:
    """Return the recording that a label file is about: that of its name, else without ``_labels``.

    ``X_labels.txt`` is about ``X``, unless a recording ``X_labels`` lies beside it.
    """
    path = Path(path)
    tail = next((tail for tail in _TAILS if path.stem.casefold().endswith(tail)), "")
    if not tail or path.stem == tail:
        return path.stem
    beside = path.parent.glob("*") if path.parent.is_dir() else ()
    if any(other.stem == path.stem and is_recording_name(other) for other in beside):
        return path.stem
    return path.stem[: -len(tail)]


def read_audacity_labels(path: str | Path, recording: str | None = None) -> list[Annotation]:
    """Read an Audacity label file; an empty one gives one row without times: nothing is heard.

    Parameters
    ----------
    path
        The file.
    recording
        Stem of the recording; default: told by the file's name.

    Raises
    ------
    InputError
        A line that is no label, or labels with impossible times; names the lines.
    """
    name = recording if recording is not None else recording_of_labels(path)
    annotations, problems = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        cells = line.split("\t")
        if not is_audacity_line(line):
            raise InputError(
                f"{path}, row {number}: {line[:60]!r} is not an Audacity label; "
                "expected start TAB end TAB class"
            )
        label = "\t".join(cells[2:]).strip()
        label = _SCORE.sub("", label).strip() or label
        try:
            if "\t" in label:
                raise ValueError(f"the label {label[:40]!r} holds a tab; expected start TAB end TAB class")
            if cells[0].strip() == cells[1].strip():
                raise ValueError(
                    f"the label at {cells[0].strip()} s marks a moment; stretch it over the sound"
                )
            start, end = parse_stretch(cells[0].strip(), cells[1].strip(), ("start", "end"))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
            continue
        annotations.append(Annotation(name, label, start, end, number, str(path)))
    raise_for_rows(path, problems)
    if not annotations:
        return [Annotation(name, "", 0.0, 0.0, 1, str(path))]
    return without_repeats(path, annotations)
