"""The windows of annotated recordings in an archive, with their classes."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo, read_classes
from britekit.annotations.held import Unheard, least_held, split_at_ends
from britekit.annotations.names import RecordingNames
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.segments import Annotation
from britekit.archive.store import Archive
from britekit.audio.files import shown
from britekit.config import BaseConfig
from britekit.datasets.recordings_csv import group_from_name
from britekit.errors import InputError, counted, some
from britekit.formats import read_any_annotations

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labeled:
    """Windows with their classes."""

    vectors_NF: NDArray[np.float32]
    """float32."""
    truth_NC: NDArray[np.bool_]
    """bool."""
    groups_N: NDArray[np.int64]
    """int64; recordings of one group (``misc.group_regex``) belong together."""
    classes: list[ClassInfo]
    recordings: list[str]
    weights_NC: NDArray[np.float32] | None = None
    """How much each cell of the truth counts, 1 where it is known; None: all are known."""


def read_labeled(archive: Archive, annotations_path: str | Path, window_s: float, cfg: BaseConfig) -> Labeled:
    """Read annotations and mark the windows of an archive that hold enough of a sound.

    Annotations are complete: in a recording that is named, what is not annotated is not there.

    Raises `InputError` if the annotations cannot be read, or none is of a recording in the archive, or none of a sound.

    Parameters
    ----------
    window_s
        Seconds of a window.
    cfg
        ``misc.map_codes``, ``misc.classes_file`` and ``misc.group_regex`` are used.
    """
    if not Path(annotations_path).exists():
        raise InputError(f"{annotations_path} does not exist; expected annotations of recordings in the archive")
    known = sorted(archive.entries)
    found = read_any_annotations(annotations_path, cfg.misc.map_codes, known=known)
    items, without = _in_archive(found, known)
    if not items:
        raise InputError(
            f"no annotation of {annotations_path} is of a recording in {archive.folder}"
            + (f" (which does not hold {some(map(shown, without))})" if without else "")
            + '; add the recordings with "britekit embed --archive"'
        )
    if without:
        logger.warning(
            "%s of %s not in %s and left out: %s",
            *(counted(sum(without.values()), "annotation"), counted(len(without), "recording")),
            *(archive.folder, some(map(shown, without))),
        )
    items = split_at_ends(items, lambda name: archive.entries[name].seconds if name in archive.entries else None)
    classes, items = _with_classes(items, cfg)
    if not classes:
        raise InputError(f"{annotations_path} contains no annotation of a sound in a recording of {archive.folder}")
    by_recording: dict[str, list[Annotation]] = defaultdict(list)
    for item in items:
        if item.recording in archive.entries:
            by_recording[item.recording].append(item)
    names = [name for name in sorted(by_recording) if archive.entries[name].windows]
    if silent := sorted(by_recording.keys() - set(names)):
        logger.warning("%s too short for a window and left out: %s", counted(len(silent), "recording"), some(silent))
    if not names:
        raise InputError(f"no annotated recording of {archive.folder} is long enough for a window")
    column = {info.name: place for place, info in enumerate(classes)}
    unheard = Unheard()
    vectors, truth, groups, order = [], [], [], dict[str, int]()
    for name in names:
        entry = archive.entries[name]
        rows = slice(entry.first, entry.first + entry.windows)
        starts = np.asarray(archive.starts[rows])
        marked = np.zeros((len(starts), len(classes)), bool)
        claims = [item for item in by_recording[name] if item.label]
        for item in claims:
            inside = np.minimum(item.end, starts + window_s) - np.maximum(item.start, starts)
            marked[:, column[item.label]] |= inside >= least_held(item.end - item.start, window_s) - 1e-9
        unheard.judge(claims, entry.seconds, starts.tolist(), window_s)
        group = group_from_name(Path(name).name, cfg.misc.group_regex) or name
        groups.append(np.full(len(starts), order.setdefault(group, len(order)), np.int64))
        vectors.append(archive.take(rows))
        truth.append(marked)
    for sentence in unheard.sentences():
        logger.warning("%s", sentence)
    return Labeled(np.concatenate(vectors), np.concatenate(truth), np.concatenate(groups), classes, names)


def _in_archive(items: list[Annotation], known: list[str]) -> tuple[list[Annotation], Counter[str]]:
    """Return the annotations of recordings in the archive, and how many there are of each other one.

    A name without folders means the only recording of that name.
    """
    names = RecordingNames(known)
    below: dict[str, list[str]] = defaultdict(list)
    for name in known:
        below[name.rpartition("/")[2]].append(name)
    last = RecordingNames(name for name, paths in below.items() if len(paths) == 1)
    kept, without = [], Counter[str]()
    places: dict[str, str | None] = {"": None}

    def place(written: str) -> str | None:
        if written not in places:
            stem = last.find(written) if "/" not in written else None
            places[written] = names.find(written) or (below[stem][0] if stem is not None else None)
        return places[written]

    for item in items:
        where = place(item.recording)
        if where is None:
            without[item.recording] += 1
        else:
            kept.append(_renamed(item, where, place(item.ends_in) or ""))
    return kept, without


def _renamed(item: Annotation, recording: str, ends_in: str) -> Annotation:
    return Annotation(recording, item.label, item.start, item.end, item.row, item.file, ends_in)


def _with_classes(items: list[Annotation], cfg: BaseConfig) -> tuple[list[ClassInfo], list[Annotation]]:
    """Return the classes that are annotated, by name, and annotations labeled by these names.

    Labels that the project's classes do not have are classes of their own.
    """
    file = Path(cfg.misc.classes_file)
    reconciler = Reconciler(read_classes(file) if file.is_file() else [])
    infos: dict[str, ClassInfo] = {}
    for label in sorted({item.label for item in items} - {""}):
        infos[label] = reconciler.find(label) or ClassInfo(label, label)
    classes = sorted({info.name: info for info in infos.values()}.values(), key=lambda info: info.name)
    renamed = [
        Annotation(i.recording, infos[i.label].name if i.label else "", i.start, i.end, i.row, i.file, i.ends_in)
        for i in items
    ]
    return classes, renamed
