"""Taking a class from segments that people point out, by images or by a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.image_names import images_in, parse_image_name
from britekit.annotations.offsets import read_offset_rows
from britekit.database.class_segments import ClassSegments, FoundSegment
from britekit.database.deletion import unlink_segments
from britekit.database.schema import Segment
from britekit.datasets.curation_rows import TOLERANCE_S, drop
from britekit.datasets.hand_edits import HandEdits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PointedOut:
    """A reference to a segment: ``what`` for messages, and the parsed reading if there is one."""

    what: str
    recording: str = ""
    offset: float | None = None


@dataclass(frozen=True)
class Removal:
    """Numbers of segments deleted, and of segments that stay because they carry other classes."""

    deleted: int
    unlinked: int


def segments_of_images(directory: Path, segments: ClassSegments) -> Iterator[PointedOut]:
    """Yield what each image of a folder points out; raises `InputError` if there is none."""
    for name in images_in(directory):
        found = parse_image_name(name, segments.knows)
        yield PointedOut(name) if found is None else PointedOut(name, *found)


def segments_of_table(path: Path) -> Iterator[PointedOut]:
    """Yield what each row of a CSV file (``recording,offset``) points out."""
    for row in read_offset_rows(path):
        what = f'row {row.number} ("{row.recording}" at {row.offset:g} s)'
        yield PointedOut(what, row.recording, row.offset)


def remove_segments(
    edits: HandEdits, class_name: str, images: Path | None = None, table: Path | None = None
) -> Removal:
    """Take a class from the segments that images or a table point out; the caller's block commits.

    A segment that carries no other class is deleted, and a recording that has no segment left. What cannot be
    read or found is reported and skipped.

    Raises
    ------
    DatabaseError
        Unknown class.
    InputError
        No image, or a table that cannot be read.
    """
    session = edits.session
    segments = ClassSegments(session, class_name)
    pointed = segments_of_images(images, segments) if images is not None else segments_of_table(Path(table or ""))
    chosen: dict[int, FoundSegment] = {}
    for item in pointed:
        segment = _resolve(segments, item, class_name)
        if segment is not None:
            chosen[segment.segment_id] = segment
    removed = unlink_segments(session, chosen, segments.class_id)
    for segment in chosen.values():
        edits.record(drop(segment.filename, segment.offset, class_name, segment.source))
    deleted = removed[Segment.__tablename__]
    return Removal(deleted, len(chosen) - deleted)


def _resolve(segments: ClassSegments, item: PointedOut, class_name: str) -> FoundSegment | None:
    if item.offset is None:
        log.warning("%s names no recording and offset that the database has; skipped", item.what)
        return None
    found = segments.find(item.recording, item.offset, TOLERANCE_S)
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(f'"{segment.filename}" of source "{segment.source}"' for segment in found)
        log.warning(
            "%s fits several recordings (%s) and is skipped; remove it with --csv or by del-rec", item.what, places
        )
    else:
        log.warning('%s: class "%s" has no segment there; skipped', item.what, class_name)
    return None
