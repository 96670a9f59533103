"""Labels, the output of inference: Audacity and BirdNET label files and ``scores.csv``, read back."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.tables import has_columns, iter_rows, parse_number
from britekit.errors import InputError
from britekit.files import require_file

CSV_COLUMNS = ("recording", "name", "start_time", "end_time", "score")
CONFIRMED = ";confirmed"
"""Behind a label below the threshold, which is kept because the class is confirmed elsewhere."""
TEXT_ENDING, RAVEN_ENDING, BIRDNET_ENDING = "_scores.txt", ".selections.txt", ".BirdNET.results.txt"
"""Suffix of label files after the name of their recording."""
_BIRDNET_SUFFIX = BIRDNET_ENDING.removesuffix(".txt")
# Text files below a label directory are labels only if their names say so.
_BELOW_ENDINGS = (TEXT_ENDING, BIRDNET_ENDING)
_MANIFEST = "manifest.yaml"


@dataclass(frozen=True)
class Label:
    """A model's claim that a class is heard in a stretch of a recording."""

    recording: str
    """Stem of the recording."""
    name: str
    """The class by `infer.label_field`: its name, code or an alternate."""
    start: float
    """Seconds from the beginning of the recording."""
    end: float
    """Seconds."""
    score: float
    """0 to 1; 0 where the file gives none."""
    confirmed: bool = False
    """Below the threshold, and kept because the class is confirmed elsewhere in the recording."""


def read_labels(directory: str | Path) -> list[Label]:
    """Read the labels of a directory, whatever program wrote them.

    ``scores.csv`` is taken if present, else the only CSV with its columns, else all text files: Audacity
    labels with or without a score, or BirdNET's.

    Raises `InputError` if there is nothing to read, several tables could be meant, or a line cannot be understood.
    """
    directory = Path(directory)
    table = find_label_table(directory)
    if table is not None:
        return read_label_csv(table)
    return [label for path, name in label_texts(directory) for label in read_label_text(path, name)]


def label_texts(directory: Path) -> list[tuple[Path, str]]:
    """Return the label files of a directory, each with the recording it is about.

    Recordings of directories below, where ``analyze --recursive`` puts their labels, bear their path.

    Raises `InputError` if there is none, or two are about one recording.
    """
    texts = sorted(
        path
        for path in directory.glob("*.txt")
        # Raven tables say the same as the labels beside them.
        if not path.name.startswith(".") and not path.name.endswith(RAVEN_ENDING)
    )
    texts += _texts_below(directory, _BELOW_ENDINGS)
    if not texts:
        raise InputError(f"{directory} contains no labels; expected scores.csv or *_scores.txt as analyze writes them")
    owners: dict[str, Path] = {}
    for path in texts:
        recording = _named_below(directory, path)
        if recording in owners:
            raise InputError(
                f'{owners[recording]} and {path} both hold labels of the recording "{recording}"; keep one of them'
            )
        owners[recording] = path
    return [(path, recording) for recording, path in owners.items()]


def examined_recordings(directory: Path) -> list[str]:
    """Return the recordings that have a label file of ours in a directory or below, also an empty one."""
    here = sorted(path for path in directory.glob(f"*{TEXT_ENDING}") if not path.name.startswith("."))
    return [_named_below(directory, path) for path in [*here, *_texts_below(directory, (TEXT_ENDING,))]]


def _texts_below(directory: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return the files of such names in the directories below, without output directories of other runs."""
    found: list[Path] = []
    for root, folders, names in os.walk(directory):
        below = Path(root) != directory
        if below and _MANIFEST in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in names if below and name.endswith(endings) and name[0] != "."]
    return sorted(found)


def _named_below(directory: Path, path: Path) -> str:
    return (path.parent.relative_to(directory) / recording_of(path)).as_posix()


def recording_of(path: str | Path) -> str:
    """Return the recording that a label file is about, from the file's name."""
    stem = Path(path).stem
    if stem.endswith(_BIRDNET_SUFFIX):
        return stem.removesuffix(_BIRDNET_SUFFIX)
    head, underscore, _ = stem.rpartition("_")
    return head if underscore and head else stem


def read_label_text(path: str | Path, recording: str) -> list[Label]:
    """Read one Audacity or BirdNET label file; its form follows from the first label.

    Lines that begin with a backslash (Audacity's frequency ranges) and blank lines are skipped.
    """
    try:
        text = require_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); expected Audacity labels") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    labels: list[Label] = []
    parse: Callable[[list[str]], tuple[str, float]] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.split("\t")
        try:
            if len(fields) < 3:
                raise ValueError("expected start TAB end TAB label")
            start, end = parse_number(fields[0]), parse_number(fields[1])
            if start < 0 or end < start:
                raise ValueError("expected 0 <= start <= end")
            parse = parse or _form_of(fields)
            name, score = parse(fields)
            if not name:
                raise ValueError("the label is empty")
            if not 0 <= score <= 1:
                raise ValueError("expected a score from 0 to 1")
        except ValueError as error:
            reason = str(error) if str(error).startswith(("expected", "the ")) else "a number is expected"
            raise InputError(f"{path}, line {number}: {line!r} is not a label like the others; {reason}") from None
        labels.append(Label(recording, name, start, end, score))
    return labels


def _form_of(fields: list[str]) -> Callable[[list[str]], tuple[str, float]]:
    """Choose how to read the labels of a file from the fields of its first label."""
    if len(fields) >= 4:
        return _parse_birdnet
    try:
        _parse_scored(fields)
    except ValueError:
        return _parse_plain
    return _parse_scored


def _parse_birdnet(fields: list[str]) -> tuple[str, float]:
    if len(fields) < 4:
        raise ValueError("expected start TAB end TAB scientific name, common name TAB score")
    scientific, comma, common = fields[2].partition(",")
    return (common if comma else scientific).strip(), parse_number(fields[3])


def _parse_scored(fields: list[str]) -> tuple[str, float]:
    # the name itself may contain semicolons
    name, semicolon, score = fields[2].removesuffix(CONFIRMED).rpartition(";")
    if not semicolon or len(fields) != 3:
        raise ValueError("expected label;score")
    return name.strip(), parse_number(score)


def _parse_plain(fields: list[str]) -> tuple[str, float]:
    if len(fields) != 3:
        raise ValueError("expected start TAB end TAB label")
    try:
        _parse_scored(fields)
    except ValueError:
        return fields[2].strip(), 0.0
    raise ValueError("expected a label without a score")


def find_label_table(directory: Path) -> Path | None:
    """Return ``scores.csv``, else the only CSV with its columns, else None.

    Raises `InputError` if there is no such directory, or several tables could be meant.
    """
    if not directory.is_dir():
        raise InputError(f"label directory {directory} does not exist; expected the output directory of analyze")
    named = directory / "scores.csv"
    if named.is_file():
        return named
    found = [path for path in sorted(directory.glob("*.csv")) if has_columns(path, CSV_COLUMNS)]
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise InputError(f"{directory} holds several label tables ({listed}); keep one, or name it scores.csv")
    return found[0] if found else None


def read_label_csv(path: Path) -> list[Label]:
    """Read one table of labels, row by row; raises `InputError` naming the row that cannot be used."""
    labels: list[Label] = []
    for row, cells in iter_rows(path, CSV_COLUMNS):
        numbers = []
        for column in CSV_COLUMNS[2:]:
            try:
                numbers.append(parse_number(cells[column]))
            except ValueError:
                raise InputError(f'{path}, row {row}: {column} is "{cells[column]}"; expected a number') from None
        start, end, score = numbers
        if start < 0 or end < start or not 0 <= score <= 1:
            raise InputError(
                f"{path}, row {row}: start {start:g}, end {end:g}, score {score:g}; "
                "expected 0 <= start <= end and a score from 0 to 1"
            )
        if not cells["recording"] or not cells["name"]:
            raise InputError(f"{path}, row {row}: recording or name is empty")
        labels.append(Label(cells["recording"], cells["name"], start, end, score))
    return labels
