"""One folder of recordings under one class, into a database that may hold them already in part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.audio.windows import WindowGrid, Windows
from britekit.config import BaseConfig
from britekit.config.audio import AudioConfig
from britekit.database.classes import find_class, get_or_add_class
from britekit.database.recordings import (
    Facts,
    add_recording,
    filenames_of_class,
    find_recording,
    get_or_add_source,
    set_seconds,
)
from britekit.database.schema import DEFAULT_NAME, Category
from britekit.database.segments import add_links, add_segments, classes_of, nearest, segments_of
from britekit.database.spectrograms import (
    add_values,
    differing_settings,
    encode,
    get_or_add_group,
    group_settings,
    segments_with_value,
)
from britekit.datasets.extraction import DEFAULT_GROUP, Extraction
from britekit.datasets.recordings_csv import Provenance, describe_beside, with_metadata
from britekit.datasets.window_streams import WindowStream, pick, spread, stream_windows
from britekit.errors import BriteKitError, InputError
from britekit.progress import track

log = logging.getLogger("britekit.datasets.extract_folder")

# Two files of one name and source whose lengths differ by more are two recordings.
_SAME_LENGTH_S = 0.1
_SAME_OFFSET_S = 1e-3


def extract_folder(
    session: Session,
    cfg: BaseConfig,
    paths: list[Path],
    class_name: str,
    code: str = "",
    category: str = "default",
    overlap: float | None = None,
    source: str = "",
    group: str = DEFAULT_GROUP,
    include_existing: bool = False,
    on_recording: Callable[[Path, int], None] | None = None,
    max_per_recording: int | None = None,
    max_recordings: int | None = None,
    at_random: bool = False,
) -> Extraction:
    """Cut recordings into segments and store their spectrograms under one class, a transaction per recording.

    A segment that exists (same recording, offset within the tolerance) is not inserted twice: the link to the
    class, or the spectrogram of this group, is added where it is missing.

    Parameters
    ----------
    session
        Of a database opened for writing; this function commits.
    cfg
        ``audio``, ``infer.overlap``, ``misc.source_regexes``, ``misc.group_regex``.
    paths
        The recordings.
    class_name, code, category
        The class, added if new.
    overlap
        Seconds; default ``infer.overlap``.
    source
        Name of the source; default: what the file names tell.
    group
        Spectrogram group, added if new.
    include_existing
        Also look at recordings that the class has already.
    on_recording
        Called with each recording and its number of new spectrograms, once they are stored.
    max_per_recording
        Most windows of a recording that are looked at, evenly spaced; at least 1.
    max_recordings
        Most recordings that are looked at, evenly spaced; those that the class has already count.
        At least 1.
    at_random
        Draw both by a lot that only the names decide, instead of spacing them evenly.

    Raises
    ------
    InputError
        Overlap not below the duration.
    DatabaseError
        The code belongs to another class, or the class has another one.
    """
    grid = WindowGrid.for_extraction(
        cfg.audio.spec_duration, cfg.infer.overlap if overlap is None else overlap
    )
    # Checks names and codes before an hour of work; nothing of it stays until a recording is stored.
    warn_of_category(session, class_name, category)
    known = filenames_of_class(session, get_or_add_class(session, class_name, code, category))
    warn_of_settings(session, get_or_add_group(session, group), group, cfg.audio)
    session.rollback()
    if max_recordings is not None:
        # Chosen before those that are there are left out: repeating the command must not add more.
        paths = pick(paths, max_recordings, class_name if at_random else None)
    described = describe_beside(paths, class_name, cfg.misc, source)
    chosen = len(paths)
    if not include_existing:
        paths = [path for path in paths if (described[path].source, path.name) not in known]
    starts = spread(grid, max_per_recording, at_random) if max_per_recording else lambda _: grid
    streams = stream_windows(paths, cfg.audio, starts)
    target = Target(class_name, code, category, group, described)
    result = store_streams(session, cfg, streams, len(paths), grid, target, on_recording)
    result.skipped = chosen - len(paths)
    return result


@dataclass(frozen=True)
class Target:
    """Under what recordings are stored: class (added if new), a spectrogram group; what is known of each."""

    class_name: str
    code: str
    category: str
    group: str
    described: Mapping[Path, Provenance]


def store_streams(
    session: Session,
    cfg: BaseConfig,
    streams: Iterable[WindowStream],
    total: int,
    grid: WindowGrid,
    target: Target,
    on_recording: Callable[[Path, int], None] | None = None,
    place: Callable[[Path], Path] = Path.absolute,
    commit: Callable[[Path], None] | None = None,
) -> Extraction:
    """Store the windows of recordings under one class, a transaction per recording.

    Parameters
    ----------
    session
        Of a database opened for writing; this function commits.
    streams, total
        The recordings and their number.
    grid
        Tells which offsets are the same segment.
    target
        Class, group, and source and facts of each recording.
    on_recording
        Called with each recording and its number of new spectrograms, once they are stored.
    place
        Returns the path that the database keeps; called when the recording's windows are known.
    commit
        Stores what was done for a recording; default: the session's commit.
    """
    result = Extraction()
    for stream in track(streams, total, "extract"):
        path = stream.path
        try:
            stream.wait()  # without the database's lock, which others may want meanwhile
            kept = place(path)
            class_id = get_or_add_class(session, target.class_name, target.code, target.category)
            group_id = get_or_add_group(session, target.group, asdict(cfg.audio))
            known = target.described[path]
            source_id = get_or_add_source(session, known.source)
            segments, spectrograms = _store(
                session, stream, cfg, known.facts, grid, source_id, class_id, group_id, kept
            )
            if commit is not None:
                commit(path)
        except (BriteKitError, OSError, MemoryError) as error:
            session.rollback()
            result.fail(path, error)
            continue
        session.commit()
        result.recordings += 1
        result.segments += segments
        result.spectrograms += spectrograms
        if on_recording is not None:
            on_recording(path, spectrograms)
    return result


def _store(
    session: Session,
    stream: WindowStream,
    cfg: BaseConfig,
    facts: Facts,
    grid: WindowGrid,
    source_id: int,
    class_id: int,
    group_id: int,
    kept: Path,
) -> tuple[int, int]:
    """Store what is missing of one recording; return the numbers of new segments and spectrograms."""
    path = stream.path
    recording = find_recording(session, source_id, path.name)
    seconds = 0.0
    if recording is None:
        facts = with_metadata(facts, path)
        # A short recording is complete by now; of a long one the length comes with its last window.
        seconds = stream.seconds
        recording_id = add_recording(session, source_id, path.name, str(kept), seconds, facts)
    else:
        recording_id = recording.id
    there = segments_of(session, recording_id) if recording is not None else {}
    known_offsets = list(there)
    linked = classes_of(session, recording_id) if there else {}
    drawn = segments_with_value(session, group_id, recording_id) if there else set()
    values: list[tuple[int, bytes]] = []
    elsewhere: dict[float, int] = {}
    new_segments = new_values = 0
    for batch in stream:
        new = []
        for offset, value in zip(batch.offsets, batch.values):
            stored = nearest(offset, known_offsets, grid.tolerance_s)
            if stored is None:
                new.append((offset, value))
                continue
            segment_id = there[stored]
            if class_id not in linked.setdefault(segment_id, set()):
                linked[segment_id].add(class_id)
                add_links(session, [(segment_id, class_id)])
            if segment_id not in drawn:
                drawn.add(segment_id)
                if abs(stored - offset) < _SAME_OFFSET_S:
                    values.append((segment_id, value))
                else:
                    elsewhere[stored] = segment_id
        segment_ids = add_segments(session, recording_id, [offset for offset, _value in new])
        add_links(session, ((segment_id, class_id) for segment_id in segment_ids))
        values += zip(segment_ids, (value for _offset, value in new))
        add_values(session, group_id, values)
        new_segments += len(new)
        new_values += len(values)
        values = []
    if recording is None:
        if not new_segments:
            session.rollback()  # too short to give a segment: not worth a row
            return 0, 0
        if stream.seconds != seconds:
            set_seconds(session, recording_id, stream.seconds)
    elif recording.seconds is not None and abs(recording.seconds - stream.seconds) > _SAME_LENGTH_S:
        raise InputError(
            f"{path} lasts {stream.seconds:g} s, but the database has a recording of that name and source "
            f"which lasts {recording.seconds:g} s; rename the file, or give another source with --src"
        )
    # A segment keeps its own offset, so its spectrogram is computed there and not on this grid.
    extra = _encode_at(path, cfg.audio, elsewhere)
    add_values(session, group_id, extra)
    return new_segments, new_values + len(extra)


def _encode_at(path: Path, cfg: AudioConfig, segments: dict[float, int]) -> list[tuple[int, bytes]]:
    """Return the spectrograms of segments given as offset → ID, leaving out those past the end."""
    if not segments:
        return []
    windows = Windows(path, cfg, segments, read_on=False)
    return [(segments[start], encode(image)) for start, image in windows if image is not None]


def warn_of_category(session: Session, class_name: str, category: str) -> None:
    """Warn if a category was asked for, but the class is in another one, where it stays."""
    found = find_class(session, class_name)
    if found is None or category in ("", DEFAULT_NAME):
        return
    held = session.scalar(select(Category.name).where(Category.id == found.category_id))
    if held != category:
        log.warning(
            'class "%s" is there already, in category "%s", and stays in it; --cat is for new classes',
            class_name, held,
        )  # fmt: skip


def warn_of_settings(session: Session, group_id: int, group: str, audio: AudioConfig) -> None:
    """Warn if a group was made with other audio settings than those in force."""
    different = differing_settings(group_settings(session, group_id), asdict(audio))
    if different:
        log.warning(
            'spectrogram group "%s" was made with other audio settings: %s; choose another with --sgroup',
            group,
            "; ".join(different),
        )
