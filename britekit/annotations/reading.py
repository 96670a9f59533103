"""Annotations in any of the three forms people make them in: CSV, Audacity labels, Raven tables.

A folder may hold ``annotations.csv`` and text files about single recordings beside each other.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from britekit.annotations.audacity import is_audacity_line, read_audacity_labels
from britekit.annotations.classes import map_name
from britekit.annotations.raven import is_raven_header, read_raven_table
from britekit.annotations.raven_output import RAVEN_COLUMNS
from britekit.annotations.segments import COLUMNS, Annotation, read_annotations
from britekit.annotations.tables import has_columns
from britekit.annotations.text_files import read_text
from britekit.audio.files import composed
from britekit.errors import InputError
from britekit.files import require_file

TABLE_NAME = "annotations.csv"
# What programs write about their own detections is no claim of a person.
_DETECTIONS = ("_scores.txt", ".birdnet.results.txt", ".birdnet.selection.table.txt")

Form = Literal["csv", "raven", "audacity"]

log = logging.getLogger("britekit.annotations")


def read_any_annotations(
    path: str | Path, map_codes: Mapping[str, str] | None = None, default_label: str = ""
) -> list[Annotation]:
    """Read annotations from a file of any form, or from all files of a folder.

    Parameters
    ----------
    path
        A CSV with recording, class, start_time, end_time; an Audacity label file; a Raven selection table; or
        a folder, whose ``annotations.csv`` (else its only CSV with these columns), Raven tables and Audacity
        labels are read. Detections that programs wrote (``*_scores.txt``, BirdNET's, Raven tables
        beside the manifest of ``analyze``) and folders below are left out of a folder.
    map_codes
        Old label to new (`misc.map_codes`).
    default_label
        What a box or label without a text means, for instance the class in whose folder it lies; in a CSV an
        empty class stays empty.

    Returns
    -------
    list of Annotation
        In the order of the files' names, accents in names of recordings composed. A recording whose file
        holds no annotation has one row with an empty label and no times.

    Raises
    ------
    InputError
        Nothing to read, a file that cannot be understood, or one recording annotated in two forms; names the
        file, and the row where there is one.
    """
    path = Path(path)
    if not path.is_dir():
        return _mapped(_read_file(path, _form_of(path), default_label), map_codes)
    files = annotation_files(path)
    _tell_of_folders(path)
    if not files:
        raise InputError(
            f"{path} holds no annotations; expected {TABLE_NAME} ({', '.join(COLUMNS)}), Raven selection "
            "tables or Audacity labels (*.txt)"
        )
    annotations: list[Annotation] = []
    seen: dict[str, tuple[Path, Form]] = {}
    for file, form in files:
        found = _read_file(file, form, default_label)
        for recording in dict.fromkeys(item.recording for item in found):
            other, its_form = seen.setdefault(composed(recording), (file, form))
            # Several Raven tables of one recording are what Raven makes; anything else is a leftover.
            if other != file and not form == its_form == "raven":
                raise InputError(
                    f'{other} and {file} both annotate the recording "{recording}"; keep one of them'
                )
        annotations += found
    return _mapped(annotations, map_codes)


def annotation_files(folder: str | Path) -> list[tuple[Path, Form]]:
    """Return the annotation files directly in a folder, each with its form, sorted by name."""
    folder = Path(folder)
    try:
        entries = sorted(
            entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror or error}") from None
    files: list[tuple[Path, Form]] = [(table, "csv") for table in _tables(folder, entries)]
    left_out = []
    analysed = folder / "manifest.yaml" in entries
    for entry in entries:
        if entry.suffix.lower() != ".txt":
            continue
        if entry.name.lower().endswith(_DETECTIONS) or analysed and _is_raven_output(entry):
            left_out.append(entry.name)
            continue
        form = _sniffed(entry)
        if form is not None:
            files.append((entry, form))
    if left_out:
        log.info(
            "%s: %d files of detections are no annotations (%s); move a Raven table that a person has "
            "corrected away from manifest.yaml", folder, len(left_out), left_out[0],
        )  # fmt: skip
    return files


def _tell_of_folders(folder: Path) -> None:
    """Warn of annotations in the folders of a folder, which are not read."""
    below = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    found = [
        entry
        for entry in below
        if not os.path.exists(entry / "manifest.yaml")  # detections
        and (os.path.isfile(entry / TABLE_NAME) or any(map(_looks_annotated, sorted(entry.glob("*.txt")))))
    ]
    if found:
        log.warning(
            "%s: annotations in folders below it are not read (%s); list theirs in %s, recordings as %s",
            folder, found[0].name, folder / TABLE_NAME, f"{found[0].name}/NAME",
        )  # fmt: skip


def _looks_annotated(path: Path) -> bool:
    if path.name.lower().endswith(_DETECTIONS):
        return False
    line = _first_line(path)
    return is_raven_header(line) or is_audacity_line(line)


def _is_raven_output(path: Path) -> bool:
    """Return whether a file is a Raven table as ``analyze`` writes it, with its manifest beside it."""
    return _first_line(path).split("\t") == list(RAVEN_COLUMNS)


def _first_line(path: Path) -> str:
    try:
        with open(require_file(path), encoding="utf-8") as file:
            return file.readline(10_000).rstrip("\n")
    except (OSError, UnicodeDecodeError):
        return ""


def _tables(folder: Path, entries: list[Path]) -> list[Path]:
    named = folder / TABLE_NAME
    if named in entries:
        return [named]
    found = [entry for entry in entries if entry.suffix.lower() == ".csv" and has_columns(entry, COLUMNS)]
    if len(found) > 1:
        listed = ", ".join(entry.name for entry in found)
        raise InputError(
            f"{folder} holds several annotation tables ({listed}); name the right one {TABLE_NAME}"
        )
    return found


def _sniffed(path: Path) -> Form | None:
    """Return the form of a text file in a folder, None for a text that is about something else."""
    try:
        text = read_text(path)
    except InputError as error:
        log.warning("%s", error)
        return None
    lines = [line for line in text.split("\n", 20)[:20] if line.strip()]
    if not lines:
        return "audacity"  # a label track without labels
    if is_raven_header(lines[0]):
        return "raven"
    return "audacity" if is_audacity_line(lines[0]) else None


def _form_of(path: Path) -> Form:
    """Return the form of a file that somebody named: by its content, where its name leaves it open."""
    if path.suffix.lower() == ".csv":
        return "csv"
    read_text(path)  # whoever named the file is told why it cannot be read
    form = _sniffed(path)
    if form is not None:
        return form
    if has_columns(path, COLUMNS):
        return "csv"
    if path.suffix.lower() == ".txt":
        raise InputError(
            f"{path}, row 1: neither an Audacity label (start TAB end TAB class) nor the header of a Raven "
            "selection table"
        )
    return "csv"


def _read_file(path: Path, form: Form, default_label: str) -> list[Annotation]:
    if form == "csv":
        return read_annotations(path)
    if form == "raven":
        return read_raven_table(path, default_label=default_label)
    found = read_audacity_labels(path)
    return [replace(item, label=item.label or default_label) if item.end else item for item in found]


def _mapped(annotations: list[Annotation], map_codes: Mapping[str, str] | None) -> list[Annotation]:
    if not map_codes and all(item.recording.isascii() for item in annotations):
        return annotations
    return [
        replace(item, recording=composed(item.recording), label=map_name(item.label, map_codes))
        for item in annotations
    ]
