"""Named segments into a database that the pipeline builds, so that a rebuild brings them too.

A rebuild makes segments of the recordings in its tree, on its own grid, of the class of their folder; which
of them stay is decided by ``keep`` rows. So only such segments can be brought back by hand: the others would
be gone after the next `dvc repro`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from britekit.annotations.classes import read_classes
from britekit.annotations.reconciling import Reconciler
from britekit.audio.decoding import duration_of
from britekit.audio.files import find_recordings
from britekit.audio.window_grid import WindowGrid
from britekit.collect.recordings_table import FILE_NAME
from britekit.config import BaseConfig
from britekit.database.classes import require_class
from britekit.database.recordings import find_recording, get_or_add_source
from britekit.database.schema import Segment, SegmentClass
from britekit.database.spectrograms import require_group
from britekit.database.tracked import dependencies
from britekit.datasets.annotated import FolderAnnotations, classes_heard
from britekit.datasets.curation_rows import TOLERANCE_S, keep
from britekit.datasets.extraction import project_path
from britekit.datasets.hand_edits import HandEdits
from britekit.datasets.plans import Plan, Wanted
from britekit.datasets.recordings_csv import RecordingTable, describe_recording
from britekit.datasets.storing import DEFAULT_GROUP, Extraction, Place, store_plans, warn_of_settings
from britekit.errors import InputError

log = logging.getLogger(__name__)


def extract_replayed(
    edits: HandEdits,
    target: str | os.PathLike[str],
    cfg: BaseConfig,
    wanted: Wanted,
    class_name: str,
    group: str = DEFAULT_GROUP,
    on_recording: Callable[[Path, int], None] | None = None,
) -> Extraction:
    """Store named segments under their class, and note in ``curation.csv`` that they stay.

    After each recording, all segments that it has of the class are noted as kept, so that the rebuilt
    database has these and no others.

    Parameters
    ----------
    edits
        Of a database that the pipeline builds.
    wanted
        The segments; what a rebuild would not make is left out, and told.

    Raises
    ------
    InputError
        No segment is left, or recordings that are not in the class's folder of the tree.
    DatabaseError
        Unknown class, or spectrogram group: a rebuild makes no others.
    """
    if cfg.audio.channels == "each":
        raise InputError(
            "audio.channels is each, and single channels cannot be added to a database of the pipeline; put the "
            "recordings into its folder and run dvc repro, or give another database with -d"
        )
    session = edits.session
    place = Place({class_name: require_class(session, class_name).id}, require_group(session, group))
    warn_of_settings(session, place.group_id, group, cfg.audio)
    session.rollback()
    folder = _class_folder(target, class_name, wanted)
    chosen = _on_grid(cfg, wanted, folder, class_name)
    if not chosen:
        raise InputError(f'no segment named is one that a rebuild makes of class "{class_name}"; see above')
    table = RecordingTable(folder.parent / FILE_NAME)
    plans = []
    for path, starts in chosen.items():
        known = describe_recording(path.name, table.find(class_name, path.name), cfg.misc)
        plans.append(Plan(path, known.source, known.facts, [class_name], starts=starts))
    sources = {plan.path: plan.source for plan in plans}

    def note(path: Path) -> None:
        recording = find_recording(session, get_or_add_source(session, sources[path]), path.name)
        query = (
            select(Segment.offset)
            .join(SegmentClass, SegmentClass.segment_id == Segment.id)
            .where(
                Segment.recording_id == (recording.id if recording else None),
                SegmentClass.class_id == place.class_ids[class_name],
            )
            .order_by(Segment.offset)
        )
        for offset in session.scalars(query).all():
            edits.record(keep(path.name, offset, class_name, sources[path]))
        edits.commit()

    grid = WindowGrid.for_extraction(cfg.audio.spec_duration, cfg.pipeline.extract_overlap)
    result = store_plans(
        session, cfg.audio, plans, lambda: place, grid.tolerance_s,
        stored_path=project_path, commit=note, on_recording=on_recording,
    )  # fmt: skip
    result.failures += wanted.unclear.items()
    return result


def _class_folder(target: str | os.PathLike[str], class_name: str, wanted: Wanted) -> Path:
    """Return the class's folder of the tree that the pipeline reads; all recordings must lie in it."""
    folders = [(place / class_name).resolve() for place in dependencies(target) if place.is_dir()]
    for path in wanted.offsets:
        if path.parent.resolve() not in folders:
            raise InputError(
                f'{path} is not in the folder of class "{class_name}" that the pipeline reads, so a rebuild '
                f"of {target} would lose it; add it to data/sources.csv, give another database with -d, or "
                "insist with --force"
            )
    return next(path.parent for path in wanted.offsets)


def _on_grid(cfg: BaseConfig, wanted: Wanted, folder: Path, class_name: str) -> dict[Path, list[float]]:
    """Return the segments of a rebuild that the named offsets mean, telling of those that mean none."""
    reconciler = Reconciler(read_classes(cfg.misc.classes_file))
    annotated = FolderAnnotations(folder, find_recordings(folder), reconciler, cfg.misc, class_name)
    chosen: dict[Path, list[float]] = {}
    for path, offsets in wanted.offsets.items():
        annotations = annotated.of(path)
        if annotations is None and annotated.lists_all:
            log.warning("%s: its folder's annotations do not list it, so a rebuild leaves it out", path)
            continue
        starts = _window_starts(
            path, WindowGrid.for_extraction(cfg.audio.spec_duration, cfg.pipeline.extract_overlap, bool(annotations))
        )
        for offset in offsets:
            begins = min(starts, key=lambda start: abs(start - offset)) if starts else offset
            if abs(begins - offset) > TOLERANCE_S:
                log.warning("%s: no segment of a rebuild begins at %g s; left out", path, offset)
            elif annotations is not None and class_name not in classes_heard(
                annotations, begins, cfg.audio.spec_duration
            ):
                log.warning('%s: its annotations have no "%s" at %g s; left out', path, class_name, offset)
            elif begins not in chosen.setdefault(path, []):
                chosen[path].append(begins)
    return {path: sorted(offsets) for path, offsets in chosen.items() if offsets}


def _window_starts(path: Path, grid: WindowGrid) -> list[float]:
    """Return where a rebuild's segments of a recording begin; none if it cannot be read, reported later."""
    try:
        return [round(start, 6) for start in grid.starts(duration_of(path))]
    except InputError:
        return []
