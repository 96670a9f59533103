"""Taking duplicates out of a class: what is removed by hand, and for the next rebuild."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy import select

from britekit.database.deletion import unlink_segments
from britekit.database.embeddings import EmbeddedSegments
from britekit.database.schema import Segment, SegmentClass
from britekit.datasets.curation_rows import drop
from britekit.datasets.hand_edits import HandEdits


def remove_recordings(
    edits: HandEdits, segments: EmbeddedSegments, class_id: int, class_name: str, recordings: Iterable[int]
) -> None:
    """Remove recordings from a class; delete segments and recordings left without any class."""
    for key in recordings:
        query = (
            select(Segment.id)
            .join(SegmentClass, SegmentClass.segment_id == Segment.id)
            .where(Segment.recording_id == key, SegmentClass.class_id == class_id)
        )
        row = segments.recordings[key]
        unlink_segments(edits.session, edits.session.scalars(query).all(), class_id)
        edits.record(drop(row.filename, None, class_name, row.source))


def remove_segments(
    edits: HandEdits, segments: EmbeddedSegments, class_id: int, class_name: str, rows: Sequence[int]
) -> None:
    """Take segments, rows of ``segments``, from a class; those of no other class are deleted."""
    unlink_segments(edits.session, segments.segment_ids[np.asarray(rows, np.int64)].tolist(), class_id)
    for row in rows:
        about = segments.recordings[int(segments.recording_ids[row])]
        edits.record(drop(about.filename, float(segments.offsets[row]), class_name, about.source))
