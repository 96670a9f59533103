"""Annotations in any of the forms people make them in: CSV, Audacity labels, Raven tables, TextGrids, AOEF.

A folder may hold ``annotations.csv`` and text files about single recordings beside each other. A file that
looks like annotations and is not understood is an error, since its recording would count as not annotated.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from britekit.annotations.classes import map_name
from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import COLUMNS, Annotation
from britekit.annotations.tables import shown_line
from britekit.annotations.text_files import TextFile, read_text
from britekit.audio.files import composed
from britekit.errors import InputError
from britekit.formats._base import Format
from britekit.formats._registry import get, is_detections, matching

TABLE_NAME = "annotations.csv"
TEXT_ENDINGS = (".txt", ".csv", ".tsv", ".tab", ".lab", ".label", ".labels", ".textgrid", ".json")
# Forms of other programs, which are not read: a person must save them as one that is.
_FOREIGN_ENDINGS = (".xlsx", ".xls", ".ods", ".numbers", ".eaf", ".svl", ".svx", ".aup", ".aup3", ".xml")
# Tables that belong beside recordings and are about something else.
_OTHER_TABLES = frozenset(
    {"recordings.csv", "inat.csv", "failed.csv", "damaged.csv", "analyzed.csv", "deployments.csv"}
    | {"occurrence.csv", "withheld.csv", "sources.csv", "classes.csv", "curation.csv"}
)

log = logging.getLogger(__name__)


@dataclass
class FolderRead:
    """The annotations of a folder."""

    annotations: list[Annotation] = field(default_factory=list)
    """In the order of the files' names. A recording whose file holds none has one row with an empty label
    and no times."""
    files: list[Path] = field(default_factory=list)
    """The files they come from."""
    lists_all: bool = False
    """Whether a table says which recordings belong to the set; label files speak for one recording each."""


def read_any_annotations(
    path: str | Path, map_codes: Mapping[str, str] | None = None, default_label: str = "", known: Iterable[str] = ()
) -> list[Annotation]:
    """Read annotations from a file of any form, or from all files of a folder.

    Raises `InputError` if there is nothing to read, a file cannot be understood, or a recording is annotated in two
    forms; names the file, and the row where there is one.

    Parameters
    ----------
    path
        A table with recording, class, start_time, end_time; Audacity labels; a Raven selection table; a Praat
        TextGrid; AOEF; or a folder of these (see `read_folder`).
    map_codes
        Old label to new (`misc.map_codes`).
    default_label
        What a box or label without a text means, for instance the class in whose folder it lies; in a CSV an
        empty class stays empty.
    known
        Names of recordings, without extension, that may be meant besides those that lie there.

    Returns
    -------
    list of Annotation
        As `FolderRead` has them; accents in names of recordings are composed.
    """
    path = Path(path)
    if path.is_dir():
        warn_of_folders(path)
        found = read_folder(path, map_codes, default_label, known)
        if not found.files:
            raise InputError(
                f"{path} contains no annotations; expected {TABLE_NAME} ({', '.join(COLUMNS)}), Raven selection "
                "tables, TextGrids or Audacity labels (*.txt)"
            )
        return found.annotations
    text = read_text(path)
    if text.lines and {"verdict", "detection_start"} <= set(text.lines[0].split(",")):
        raise InputError(
            f"{path} holds verdicts, which are about single detections: what they do not mention is not known, so "
            "they are not annotations; use `britekit rpt-precision --verdicts` with them"
        )
    names = _names(path, known)
    form = matching(text.lines, path.suffix.lower())
    if form is None or form.read is None:
        if path.suffix.lower() == ".json":
            raise InputError(
                f"{path} is not annotations in AOEF (annotation_set, annotation_project or evaluation_set), as "
                "whombat and soundevent export them"
            )
        if path.suffix.lower() == ".txt":
            raise InputError(
                f"{path}, row 1: neither an Audacity label (start TAB end TAB class) nor the header of a "
                "Raven selection table"
            )
        form = get("csv")  # whose reader names the columns that are missing
    assert form.read is not None
    return _mapped(form.read(text, names, default_label), map_codes)


def read_folder(
    folder: str | Path, map_codes: Mapping[str, str] | None = None, default_label: str = "", known: Iterable[str] = ()
) -> FolderRead:
    """Read all annotation files directly in a folder.

    They are ``annotations.csv`` (else its only CSV with these columns, or AOEF), Raven tables, TextGrids and Audacity
    labels. Detections that programs wrote (``*_scores.txt``, BirdNET's, Raven tables beside the manifest of
    ``analyze``) and folders below are left out, which is logged, as are files that may be annotations of another sort.

    Raises `InputError` for a file that looks like annotations and cannot be understood, or one recording annotated in
    two forms.
    """
    folder = Path(folder)
    found = FolderRead()
    names = _names(folder, known)
    seen: dict[str, tuple[Path, str]] = {}
    for text, form in _annotation_texts(folder, names):
        assert form.read is not None
        its_own = form.read(text, names, default_label)
        if len(names) and not any(text.lines) and names.find(its_own[0].recording) is None:
            log.warning("%s is empty and named like none of the recordings; it is not read", text.path)
            continue
        for recording in dict.fromkeys(item.recording for item in its_own):
            other, its_form = seen.setdefault(recording, (text.path, form.name))
            # Several Raven tables of one recording are what Raven makes; anything else is a leftover.
            if other != text.path and not form.name == its_form == "raven":
                raise InputError(f'{other} and {text.path} both annotate the recording "{recording}"; keep one of them')
        found.annotations += its_own
        found.files.append(text.path)
        found.lists_all |= form.lists_all
    found.annotations = _mapped(found.annotations, map_codes)
    return found


def holds_annotations(folder: str | Path) -> bool:
    """Return whether annotation files are directly in a folder; raises like `read_folder`."""
    return next(_annotation_texts(Path(folder), _names(Path(folder)), quiet=True), None) is not None


def report_absent(absent: Mapping[str, str], folder: Path, unannotated: str) -> None:
    """Warn of annotated recordings, each with file and row, that are not in a folder.

    Raises `InputError` if a recording there has no annotations, which may be meant: it would count as not annotated.
    """
    for recording, where in list(absent.items())[:10]:
        if unannotated:
            raise InputError(
                f'{where}: recording "{recording}" is not in {folder}, where {unannotated} has no '
                "annotations; name the file of annotations like its recording, or move it away"
            )
        log.warning('%s: recording "%s" is not in the folder', where, recording)
    if len(absent) > 10:
        log.warning("%s: %d more annotated recordings are not there", folder, len(absent) - 10)


def _names(path: Path, known: Iterable[str] = ()) -> RecordingNames:
    names = RecordingNames.beside(path)
    for name in known:
        names.add(name)
    return names


def _annotation_texts(folder: Path, names: RecordingNames, quiet: bool = False) -> Iterator[tuple[TextFile, Format]]:
    """Yield the annotation files of a folder, each read once, with its form; the table comes first."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.name[0] != "." and entry.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror or error}") from None
    analyzed = any(entry.name == "manifest.yaml" for entry in entries)
    found: list[tuple[TextFile, Format]] = []
    detections, others = [], []
    for entry in entries:
        ending = entry.suffix.lower()
        if ending in _FOREIGN_ENDINGS:
            if ending != ".xml" and _is_named_for(entry, names):
                raise InputError(
                    f"{entry} looks like annotations, and britekit does not read {ending} files; save it as "
                    "CSV, Audacity labels or a Raven selection table, or move it away"
                )
            others.append(entry.name)
        elif ending in TEXT_ENDINGS and entry.name.lower() not in _OTHER_TABLES:
            if is_detections(entry.name):
                detections.append(entry.name)
                continue
            text = read_text(entry)
            form = matching(text.lines, ending)
            if analyzed and is_detections(entry.name, text.lines[0]):
                detections.append(entry.name)
            elif form is not None:
                found.append((text, form))
            elif ending != ".json" and (reason := _why_annotations(text, names)):
                raise InputError(
                    f"{entry}, row {reason[0]}: {shown_line(text.lines[reason[0] - 1])} {reason[1]}, but "
                    f"the file is not understood; expected a CSV with {', '.join(COLUMNS)}, lines of start "
                    "TAB end TAB class, or a Raven selection table; correct it, or move it away"
                )
            elif ending != ".txt" or _is_table(text) or _is_named_for(entry, names):
                others.append(entry.name)
    if not quiet:
        if detections:
            log.info(
                "%s: %d files of detections are not annotations (%s); move a Raven table that a person has "
                "corrected away from manifest.yaml", folder, len(detections), detections[0],
            )  # fmt: skip
        if others:
            log.warning(
                "%s: %d files are not read as annotations (%s)", folder, len(others),
                ", ".join(others[:5]) + (", …" if others[5:] else ""),
            )  # fmt: skip
    yield from _with_one_table(folder, found, quiet)


def _with_one_table(folder: Path, found: list[tuple[TextFile, Format]], quiet: bool) -> list[tuple[TextFile, Format]]:
    tables = [text for text, form in found if form.lists_all]
    named = [text for text in tables if text.path.name == TABLE_NAME]
    if len(tables) > 1 and not named:
        listed = ", ".join(text.path.name for text in tables)
        raise InputError(
            f"{folder} holds several annotation tables ({listed}); keep one there, or name the right one {TABLE_NAME}"
        )
    chosen = named or tables
    extra = [text.path.name for text in tables if text not in chosen]
    if extra and not quiet:
        log.warning("%s: only %s is read, not %s", folder, TABLE_NAME, ", ".join(extra[:5]))
    tables_first = sorted(found, key=lambda item: not item[1].lists_all)
    return [(text, form) for text, form in tables_first if text in chosen or not form.lists_all]


_STARTS = frozenset({"start", "begin", "onset", "from", "anfang", "beginn", "debut", "inicio"})
_ENDS = frozenset({"end", "stop", "offset", "to", "until", "duration", "ende", "dauer", "fin"})
_CLOCK = re.compile(r"\d+:\d\d(?::\d\d)?(?:[.,]\d+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


def _why_annotations(text: TextFile, names: RecordingNames) -> tuple[int, str] | None:
    """Return the row and the reason why a text that no reader understands looks like annotations."""
    for number, line in enumerate(text.lines[:100], start=1):
        cells = [cell.strip().strip('"') for cell in re.split(r"[\t;,]|\s{2,}", line) if cell.strip()]
        words = [set(re.findall("[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell).lower())) for cell in cells]
        starts = [k for k, found in enumerate(words) if found & _STARTS and len(found) < 5]
        if any(found & _ENDS and len(found) < 5 for k, found in enumerate(words) if [k] != starts) and starts:
            return number, "looks like the columns of a table of annotations"
        times = [cell for cell in re.split(r"[\t;,\s]+", line.strip())[:2] if _CLOCK.fullmatch(cell)]
        if len(times) == 2:
            return number, "looks like a label"
        numeric = [cell for cell in cells if _NUMBER.fullmatch(cell)]
        if len(numeric) >= 2 and len(cells) > 2 and _is_named_for(text.path, names):
            return number, "looks like a label"
    return None


def _is_table(text: TextFile) -> bool:
    """Return whether most lines of a text have the same number of cells, at least three."""
    for separator in "\t;,":
        counts = [line.count(separator) for line in text.lines[:100] if line.strip()]
        if counts[0] >= 2 and counts.count(counts[0]) > 0.8 * len(counts) and len(counts) > 1:
            return True
    return False


def _is_named_for(path: Path, names: RecordingNames) -> bool:
    """Return whether a file is named like a recording, or like annotations."""
    return names.find(names.of_label_file(path)) is not None or bool(
        re.search(r"annotat|label|selection", path.stem, re.IGNORECASE)
    )


def warn_of_folders(folder: Path) -> None:
    """Warn of annotations in the folders of a folder, which are not read."""
    below = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    found = [
        entry
        for entry in below
        if not os.path.exists(entry / "manifest.yaml")  # detections
        and (os.path.isfile(entry / TABLE_NAME) or any(map(_looks_annotated, _texts_in(entry))))
    ]
    if found:
        log.warning(
            "%s: annotations in folders below it are not read (%s); list theirs in %s, recordings as %s",
            folder, found[0].name, folder / TABLE_NAME, f"{found[0].name}/NAME",
        )  # fmt: skip


def _texts_in(folder: Path) -> list[Path]:
    """Return the text files of a folder; none if it may not be opened."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if entry.suffix.lower() in TEXT_ENDINGS and entry.name[0] != "."]


def _looks_annotated(path: Path) -> bool:
    if is_detections(path.name) or path.name.lower() in _OTHER_TABLES:
        return False
    try:
        text = read_text(path)
    except InputError:
        return False
    return any(text.lines) and matching(text.lines) is not None


def _mapped(annotations: list[Annotation], map_codes: Mapping[str, str] | None) -> list[Annotation]:
    if not map_codes and all(item.recording.isascii() for item in annotations):
        return annotations
    return [
        replace(item, recording=composed(item.recording), label=map_name(item.label, map_codes)) for item in annotations
    ]
