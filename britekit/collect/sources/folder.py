"""Recordings in a folder, which are copied.

The query is a folder or a pattern of files, such as ``archive/Ovenbird`` or ``archive/*/[123]-*``; relative ones are
relative to the project. With the class ``*``, the folder of a file names its class. ``annotations.csv``, Audacity
labels or Raven tables beside the recordings are their annotations: test recordings that are in none of them are
skipped; the annotations of a training recording are written beside it as Audacity labels, which extraction reads.
Unlabeled recordings are taken with those in subfolders, and annotations of them are not read.
``recordings.csv`` gives licences, authors and so on.
"""

import glob
import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from britekit.annotations.classes import find_class, known_labels
from britekit.annotations.held import Unheard, known_seconds, split_at_ends
from britekit.annotations.names import recording_key
from britekit.annotations.segments import Annotation
from britekit.audio.files import composed, find_recordings, is_recording, name_key, same_named
from britekit.collect.context import Context
from britekit.collect.offers import ANY_CLASS, Offer, SourceRow, refused
from britekit.collect.recordings_table import FILE_NAME, Details, read_recordings_table
from britekit.errors import InputError, some
from britekit.formats import read_folder, report_absent, warn_of_folders

log = logging.getLogger(__name__)


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer the recordings of a folder in the order of their names, the first `row.limit` of each class."""
    if row.split == "unlabelled":
        return _unlabelled(row, context)
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in _matching(row.query, context.project):
        by_folder[path.parent].append(path)
    offers: list[Offer] = []
    taken: Counter[str] = Counter()
    for folder, paths in sorted(by_folder.items()):
        is_test = row.split == "test"
        annotated, leave_out = _annotations_in(folder, paths, row, context)
        details = {name_key(item.recording): item.details for item in read_recordings_table(folder / FILE_NAME)}
        name = "" if is_test and annotated is not None else row.class_name
        unclear = same_named(find_recordings(folder))
        untested: list[Annotation] | None = None
        if name == ANY_CLASS and is_test and not _is_class(folder.name, context):
            log.warning(
                "%s has no annotations.csv, Audacity labels or Raven tables: its %d recordings are analyzed, but "
                "not tested until they are annotated",
                folder,
                len(paths),
            )
            name, untested = "", []
        elif name == ANY_CLASS:
            name = find_class(folder.name, context.classes, f"folder {folder}: ").name
        for path in paths:
            if annotated is not None and leave_out and recording_key(path) not in annotated:
                continue
            if row.limit is not None and taken[name] >= row.limit:
                break
            taken[name] += 1
            its_annotations = annotated.get(recording_key(path)) if annotated is not None else untested
            fetch = partial(_copy if is_test else _copy_with_labels, path, its_annotations)
            offer = Offer(path.name, name, str(path), fetch, None, details.get(recording_key(path), Details()))
            offers.append(refused(offer, unclear[path]) if path in unclear else offer)
    return offers


def _unlabelled(row: SourceRow, context: Context) -> list[Offer]:
    """Offer recordings without labels; one in a subfolder gets the folder's name, so that none collide."""
    if row.class_name != ANY_CLASS:
        raise InputError(f'unlabeled recordings have no class; write "{ANY_CLASS}" in place of "{row.class_name}"')
    place = context.project / Path(row.query).expanduser()
    root = place.resolve() if row.query and place.is_dir() else None
    paths = find_recordings(root, recursive=True) if root else _matching(row.query, context.project)
    unclear = same_named(paths)
    tables: dict[Path, dict[str, Details]] = {}
    offers = []
    for path in sorted(paths)[: row.limit]:
        if path.parent not in tables:
            rows = read_recordings_table(path.parent / FILE_NAME)
            tables[path.parent] = {name_key(item.recording): item.details for item in rows}
        below = path.relative_to(root) if root else Path(path.name)
        name = "_".join(below.parts)
        details = tables[path.parent].get(recording_key(path), Details())
        offer = Offer(name, "", str(path), partial(_copy, path, None), None, details)
        offers.append(refused(offer, unclear[path]) if path in unclear else offer)
    return offers


def _is_class(name: str, context: Context) -> bool:
    return any(composed(name) == composed(label) for label in known_labels(context.classes))


def _matching(query: str, project: Path) -> list[Path]:
    """Return the recordings of a query, sorted."""
    if not query:
        raise InputError("the query is empty; expected a folder of recordings")
    place = project / Path(query).expanduser()
    if place.exists():
        return [path.parent.resolve() / path.name for path in find_recordings(place)]
    if not glob.has_magic(query):
        raise InputError(f"folder {place} does not exist")
    found = sorted(Path(text) for text in glob.glob(str(place), recursive=True))
    found = [path.parent.resolve() / path.name for path in found if is_recording(path)]
    if not found:
        raise InputError(f"no recording matches {place}")
    return found


def _annotations_in(
    folder: Path, paths: Sequence[Path], row: SourceRow, context: Context
) -> tuple[dict[str, list[Annotation]] | None, bool]:
    """Return the annotations of a folder by recording, or None; and whether other recordings are skipped."""
    everything = find_recordings(folder)
    unnamed = "" if row.class_name == ANY_CLASS else row.class_name
    if row.split == "train":
        unnamed = unnamed or folder.name
    warn_of_folders(folder)
    found = read_folder(folder, context.misc.map_codes, unnamed)
    if not found.files:
        return None, False
    annotated: dict[str, list[Annotation]] = defaultdict(list)
    seconds = known_seconds(everything)
    for item in split_at_ends(context.species.of_a_class(found.annotations, row.split == "train"), seconds):
        annotated[item.recording].append(item)
    unheard = Unheard()
    for recording in [key for path in paths if (key := recording_key(path)) in annotated]:
        if (length := seconds(recording)) is not None:
            unheard.judge([x for x in annotated[recording] if x.label], length, [0.0], length)
    for sentence in unheard.sentences():
        log.warning("%s", sentence)
    unlisted = [path.name for path in paths if recording_key(path) not in annotated]
    # Without a table, an unlabeled training recording holds its class over its whole length.
    leave_out = found.lists_all or row.split == "test"
    there = {recording_key(path) for path in everything}
    absent = {x.recording: x.where for x in reversed(found.annotations) if x.recording not in there}
    others = [path.name for path in everything if recording_key(path) not in annotated]
    report_absent(absent, folder, others[0] if others and not found.lists_all else "")
    if unlisted and leave_out:
        log.warning(
            "%s: %d recordings are not annotated in %s and are left out (%s)",
            folder,
            len(unlisted),
            some(path.name for path in found.files),
            unlisted[0],
        )
    return dict(annotated), leave_out


def _copy(path: Path, annotations: Sequence[Annotation] | None, target: Path) -> Sequence[Annotation] | None:
    try:
        source = open(path, "rb")  # noqa: SIM115  only its opening may fail because of the recording
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    with source, open(target, "wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    return annotations


def _copy_with_labels(path: Path, annotations: Sequence[Annotation] | None, target: Path) -> None:
    _copy(path, None, target)
    if annotations is not None:
        lines = [f"{item.start:.6f}\t{item.end:.6f}\t{item.label}\n" for item in annotations if item.label]
        target.with_suffix(".txt").write_text("".join(lines), encoding="utf-8", newline="")
