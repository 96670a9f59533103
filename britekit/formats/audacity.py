"""Audacity labels: start TAB end TAB class, one label per line; a file per recording.

Lines that begin with a backslash are the frequency range of the label before. A label ``class;0.95``, as
`analyze` writes it and a person has then corrected it, is the class. Semicolons, commas or spaces in place of
tabs, decimal commas and lines above the first label are accepted, and reported.
"""

import re
from collections.abc import Iterable, Sequence

from britekit.annotations.labels import CONFIRMED, TEXT_ENDING
from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import Annotation, parse_stretch, raise_for_rows, without_repeats
from britekit.annotations.tables import shown_line
from britekit.annotations.text_files import TextFile, with_points
from britekit.errors import InputError
from britekit.formats._base import Format, Recording, Rows, Writer, one_line

_SCORE = re.compile(r";\s*(?:0(?:\.\d*)?|\.\d+|1(?:\.0*)?)$")
_NUMBER = r"\s*[+-]?(?:\d+(?:[.,]\d*)*(?:[eE][+-]?\d+)?|[.,]\d+|nan|inf(?:inity)?)\s*"
_POINTS = _NUMBER.replace("[.,]", "[.]")
# Separator, as it is spoken of, and a label.
_FORMS = {
    "tabs": re.compile(rf"({_NUMBER})\t({_NUMBER})(?:\t(.*))?", re.IGNORECASE),
    "semicolons": re.compile(rf"({_NUMBER});({_NUMBER})(?:;(.*))?", re.IGNORECASE),
    "commas": re.compile(rf"({_POINTS}),({_POINTS}),(\s*[^\W\d].*)", re.IGNORECASE),
    "spaces": re.compile(rf"({_NUMBER}) +({_NUMBER})(?: +(.*))?", re.IGNORECASE),
}


def form_of_labels(lines: Sequence[str]) -> str:
    """Return what separates cells of labels: tabs, semicolons, commas or spaces; "" if there are none.

    With tabs one label among the lines will do, otherwise half of the lines must be labels.
    """
    lines = [line for line in lines if line.strip() and not line.startswith("\\")]
    for separator, form in _FORMS.items():
        count = sum(form.fullmatch(line) is not None for line in lines)
        if count >= (1 if separator == "tabs" else max(1, len(lines) / 2)):
            return separator
    return ""


def is_heading(line: str) -> bool:
    """Return whether a line above the labels is a heading: a comment, or cells that begin with no digit."""
    cells = line.split("\t")
    return line.lstrip().startswith(("#", "%", "//")) or not any(
        cell.strip()[:1].isdigit() or cell.strip()[:1] in ("+", "-", ".", ",") for cell in cells[:2]
    )


def read_audacity_labels(file: TextFile, names: RecordingNames, default_label: str = "") -> list[Annotation]:
    """Read an Audacity label file; an empty one gives one row without times: nothing is heard.

    Raises `InputError` for a line that is not a label, or labels with impossible times; names the lines.

    Parameters
    ----------
    names
        Recordings, of which the file's name tells one.
    default_label
        What a label without text means.
    """
    path, name = file.path, names.of_label_file(file.path)
    separator = form_of_labels(file.lines[:100]) or "tabs"
    form = _FORMS[separator]
    if separator != "tabs":
        file.note(f"labels are separated by {separator}")
    rows: list[tuple[int, str, str, str]] = []
    for number, line in enumerate(file.lines, start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        found = form.fullmatch(line)
        if found is not None:
            rows.append((number, found[1].strip(), found[2].strip(), (found[3] or "").strip()))
        elif not rows and is_heading(line):
            file.note(f"row {number} is a heading: {shown_line(line)}")
        else:
            raise InputError(
                f"{path}, row {number}: {line[:60]!r} is not an Audacity label; expected start TAB end TAB class"
            )
    times, commas = with_points(text for row in rows for text in row[1:3])
    if commas:
        file.note("numbers have decimal commas")
    annotations, problems = [], []
    for place, (number, _, _, label) in enumerate(rows):
        start_text, end_text = times[2 * place : 2 * place + 2]
        label = _SCORE.sub("", label.removesuffix(CONFIRMED)).strip() or label
        try:
            if "\t" in label:
                raise ValueError(f"the label {label[:40]!r} holds a tab; expected start TAB end TAB class")
            if start_text == end_text:
                raise ValueError(f"the label at {start_text} s marks a moment; stretch it over the sound")
            start, end = parse_stretch(start_text, end_text, ("start", "end"))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
            continue
        annotations.append(Annotation(name, label or default_label, start, end, number, str(path)))
    raise_for_rows(path, problems)
    file.report()
    return without_repeats(path, annotations) or [Annotation(name, "", 0.0, 0.0, 1, str(path))]


class AudacityWriter(Writer):
    """Writes start TAB end TAB ``label;score``; no label gives an empty file: the recording was examined."""

    def lines(self, recording: Recording, rows: Rows) -> Iterable[str]:
        """Return the lines of one class."""
        label = one_line(rows.label)
        tails = {False: "\n", True: f"{CONFIRMED}\n"}
        return [
            f"{start:.2f}\t{end:.2f}\t{label};{score:.3f}{tails[confirmed]}"
            for start, end, score, confirmed in zip(rows.starts, rows.ends, rows.scores, rows.confirmed, strict=True)
        ]


FORMAT = Format(
    name="audacity",
    title="Audacity labels",
    media_type="text/plain; charset=utf-8",
    ending=TEXT_ENDING,
    columns={
        "(start)": "seconds, two decimals",
        "(end)": "seconds, two decimals",
        "(label)": "label;score, the score with three decimals; then ;confirmed below the threshold",
    },
    writer=AudacityWriter,
    sniff=lambda lines: bool(form_of_labels(lines)) or not any(line.strip() for line in lines),
    sniff_last=True,
    read=read_audacity_labels,
)
