"""Recordings into a training database: a whole tree from nothing, or one folder into what is there."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo, read_classes
from britekit.annotations.held import Unheard
from britekit.audio.files import shown
from britekit.audio.windows import WindowGrid
from britekit.config import BaseConfig
from britekit.database.classes import add_class, get_or_add_category, segment_counts
from britekit.database.deletion import delete_category, delete_group, delete_source
from britekit.database.recordings import add_recording, get_or_add_source, set_seconds
from britekit.database.schema import DEFAULT_NAME, Recording, SoundType, Source, SpecGroup
from britekit.database.segments import add_links, add_segments
from britekit.database.session import publish_database
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.database.tracked import note_applied_rows
from britekit.datasets.curation import Curation, read_curation, report_problems
from britekit.datasets.tree import PlannedRecording, read_tree
from britekit.datasets.window_streams import WindowStream, stream_windows
from britekit.errors import BriteKitError, InputError, some
from britekit.progress import track

log = logging.getLogger("britekit.datasets.extraction")

DEFAULT_GROUP = "default"


@dataclass
class Extraction:
    """What an extraction stored, and what it could not read.

    Attributes
    ----------
    recordings, segments, spectrograms
        Numbers of new rows.
    skipped
        Recordings that the class has already and that were not looked at; of a folder only.
    failures
        Recordings that could not be read, with the reason.
    per_class
        Segments by class name; of a tree only.
    unheard
        Annotations that no segment holds; of a tree only.
    """

    recordings: int = 0
    segments: int = 0
    spectrograms: int = 0
    skipped: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)
    per_class: dict[str, int] = field(default_factory=dict)
    unheard: Unheard = field(default_factory=Unheard)

    def fail(self, path: Path, error: Exception) -> None:
        """Note a recording that could not be read, and say so."""
        reason = str(error) or type(error).__name__
        self.failures.append((path, reason))
        log.warning("%s is left out: %s", shown(path), reason.removeprefix(shown(path)).lstrip(": "))

    def raise_for_failures(self) -> None:
        """Raise `InputError` if any recording could not be read; the others are stored."""
        if self.failures:
            total = len(self.failures) + self.recordings
            raise InputError(
                f"{len(self.failures)} of {total} recordings could not be read and are left out, the first "
                f"is {shown(self.failures[0][0])}; repair or remove them and repeat the command"
            )


def build_training_database(
    cfg: BaseConfig,
    root: Path,
    classes_path: Path,
    curation_path: Path | None,
    target: str | os.PathLike[str],
    group: str = DEFAULT_GROUP,
    strict: bool = False,
) -> Extraction:
    """Build the training database of a project from a tree ``<class>/<recording>``.

    The same recordings, settings and decisions give the same bytes. An unreadable recording is reported and
    left out; whether any was is in the result. Whatever was at ``target`` stays until the new one is
    complete.

    Parameters
    ----------
    cfg
        ``audio``, ``pipeline.extract_overlap``, ``misc.source_regexes``, ``misc.group_regex``.
    root
        The tree, with an optional ``recordings.csv``.
    classes_path
        The class list; a folder that is not in it, or a class without recordings, is an error.
    curation_path
        Decisions about segments, or None.
    target
        The database, a file.
    group
        Name of the spectrogram group.
    strict
        Make a decision that matches no segment an error.
    """
    duration, overlap = cfg.audio.spec_duration, cfg.pipeline.extract_overlap
    grids = [WindowGrid.for_extraction(duration, overlap, annotated) for annotated in (False, True)]
    classes = read_classes(classes_path)
    curation = read_curation(curation_path, classes)
    curation.step_s = grids[0].step_s
    planned = read_tree(root, classes, cfg.misc)
    _check_every_class(root, classes_path, classes, planned, curation)
    result = Extraction()
    seen = 0
    with publish_database(target) as session:
        class_ids = _add_classes(session, curation)
        group_id = get_or_add_group(session, group, asdict(cfg.audio))
        session.commit()
        annotated = {recording.path: recording.is_annotated for recording in planned}
        streams = stream_windows(list(annotated), cfg.audio, lambda path: grids[annotated[path]])
        for recording, stream in track(zip(planned, streams), len(planned), "extract"):
            try:
                stored, computed = _store_planned(
                    session, recording, stream, class_ids, group_id, curation, duration, result.unheard
                )
            except (BriteKitError, OSError, MemoryError) as error:
                session.rollback()
                result.fail(recording.path, error)
                continue
            session.commit()
            result.recordings += 1
            seen += computed
            result.segments += stored
            result.spectrograms += stored
        for sentence in result.unheard.sentences():
            log.warning("%s", sentence)
        if not seen:
            result.raise_for_failures()
            raise InputError(f"{root}: no recording gives a segment; see the warnings above")
        _settle_names(session, curation)
        note_applied_rows(session, curation.count)
        report_problems(curation, curation_path, strict)
        counts = segment_counts(session)
        result.per_class = {name: counts[class_id] for name, class_id in class_ids.items()}
    for name, count in result.per_class.items():
        if not count:
            log.warning('class "%s" has no segment in %s', name, target)
    return result


def _store_planned(
    session: Session,
    recording: PlannedRecording,
    stream: WindowStream,
    class_ids: dict[str, int],
    group_id: int,
    curation: Curation,
    duration: float,
    unheard: Unheard,
) -> tuple[int, int]:
    """Store one recording of the tree; return how many segments it has now, and had before decisions.

    The caller commits.
    """
    decisions = curation.about(recording.filename, recording.source)
    source_id = recording_id = None
    stored = 0
    computed: list[float] = []
    for batch in stream:
        kept = []
        computed += batch.offsets
        if source_id is None:
            # A source stays when people decide against all of its recordings; only del-src removes it.
            source_id = get_or_add_source(session, recording.source)
        for offset, value in zip(batch.offsets, batch.values):
            names = curation.classes_of(decisions, recording.classes_at(offset, duration), offset)
            if names:
                kept.append((offset, value, names))
        if not kept:
            continue
        if recording_id is None:
            recording_id = add_recording(
                session, source_id, recording.filename, project_path(recording.path), 0.0, recording.facts
            )
        segment_ids = add_segments(session, recording_id, [offset for offset, _value, _names in kept])
        rows = list(zip(segment_ids, kept))
        add_links(session, ((segment, class_ids[name]) for segment, (_, _, names) in rows for name in names))
        add_values(session, group_id, [(segment, value) for segment, (_offset, value, _names) in rows])
        stored += len(kept)
    if recording_id is not None:
        set_seconds(session, recording_id, stream.seconds)
    unheard.judge(recording.annotations, stream.seconds, computed, duration)
    return stored, len(computed)


def _add_classes(session: Session, curation: Curation) -> dict[str, int]:
    """Add the categories, classes and sound types that decisions leave; return class IDs by name."""
    catalogue = curation.catalogue
    categories = {name: get_or_add_category(session, name) for name in catalogue.categories}
    for name in catalogue.soundtypes:
        session.execute(insert(SoundType).values(name=name, inserted_date=session.info["inserted_date"]))
    return {
        name: add_class(
            session,
            name,
            info.code,
            categories[category],
            alt_name=info.alt_name,
            alt_code=info.alt_code,
        )
        for name, (category, info) in catalogue.classes.items()
    }


def _settle_names(session: Session, curation: Curation) -> None:
    """Bring sources, groups and the default category to what decisions leave."""
    catalogue = curation.catalogue
    for name in catalogue.removed_sources:
        # Recordings that it has in spite of its removal were brought back by later rows.
        has_recording = select(Recording.id).where(Recording.source_id == Source.id).exists()
        if session.scalar(select(Source.id).where(Source.name == name, ~has_recording)) is not None:
            delete_source(session, name)
    for name in catalogue.added_sources:
        get_or_add_source(session, name)
    if DEFAULT_NAME not in catalogue.categories:
        delete_category(session, DEFAULT_NAME)
    for name in sorted(catalogue.removed_groups):
        if session.scalar(select(SpecGroup.id).where(SpecGroup.name == name)) is not None:
            delete_group(session, name)


def project_path(path: Path) -> str:
    """Return a path relative to the working directory, so that a clone elsewhere builds the same bytes."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # on another drive of Windows
        return path.absolute().as_posix()


def _check_every_class(
    root: Path,
    classes_path: Path,
    classes: Sequence[ClassInfo],
    planned: Sequence[PlannedRecording],
    curation: Curation,
) -> None:
    found = {name for recording in planned for name in recording.every_class} | curation.targets()
    # What was removed by a decision needs no recordings.
    found |= {info.name for info in classes} - curation.catalogue.classes.keys()
    missing = [info.name for info in classes if info.name not in found]
    if missing:
        listed = some([f'"{name}"' for name in missing], 10)
        raise InputError(
            f"{root} has no recordings of {listed}, listed in {classes_path}; "
            f"expected them in {root / missing[0]}, or the class removed from the list"
        )
