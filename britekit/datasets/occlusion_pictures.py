"""Pictures of stored spectrograms with the frames that carry the score of a class."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.config.audio import AudioConfig
from britekit.database.schema import Recording, Segment, SpecValue
from britekit.database.spectrograms import require_group
from britekit.datasets.occlusion import Occlusion
from britekit.datasets.stored_pictures import iter_images
from britekit.errors import InputError, counted, some
from britekit.plots.axis_ticks import row_centers_hz
from britekit.plots.occlusion import plot_occlusion

log = logging.getLogger(__name__)

_OFFSET_TOLERANCE_S = 0.006
"""Tables have two decimals."""


def plot_occlusions(
    session: Session,
    occlusions: Sequence[Occlusion],
    group: str,
    audio: AudioConfig,
    directory: Path,
    name: str,
    *,
    alpha: float,
    pad: int = 0,
    show_progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> int:
    """Draw ``{stem}-{offset}-seg{segment id}.jpeg`` of each row of a table; return their number.

    Pictures that exist are replaced, since they depend on the options.

    Parameters
    ----------
    occlusions
        Rows of a table of ``analyze-db --occlude``.
    alpha, pad
        See `Occlusion.active`.

    Raises
    ------
    InputError
        The database has none of the segments.
    DatabaseError
        Unknown group, or a spectrogram that is damaged or has another size.
    """
    query = (
        select(Segment.id, SpecValue.id, Recording.filename, Segment.offset)
        .join(SpecValue, SpecValue.segment_id == Segment.id)
        .join(Recording, Recording.id == Segment.recording_id)
        .where(SpecValue.specgroup_id == require_group(session, group))
    )
    stored = {segment: (value, file, offset) for segment, value, file, offset in session.execute(query)}
    found, missing, other = [], [], []
    for row in occlusions:
        if row.segment_id not in stored:
            missing.append(str(row.segment_id))
            continue
        value, file, offset = stored[row.segment_id]
        if file != row.recording or abs(offset - row.offset) > _OFFSET_TOLERANCE_S:
            other.append(
                f"segment {row.segment_id} ({row.recording} at {row.offset:g} s there, {file} at {offset:g} s)"
            )
            continue
        found.append((row, value))
    where = session.info["where"]
    if missing:
        log.warning('%s has no spectrogram in group "%s" of segments %s: not drawn', where, group, some(missing, 5))
    if other:
        log.warning("%s has another %s: not drawn; run analyze-db again", where, some(other, 3))
    if not found:
        raise InputError(
            f"{where} holds none of the {counted(len(occlusions), 'segment')} of this table; choose the "
            "database that analyze-db read, or run it again"
        )
    row_hz = row_centers_hz(audio)
    images = iter_images(session, [value for _, value in found], audio)
    for number in show_progress(range(len(found))):
        row = found[number][0]
        active = row.active(alpha, pad)
        plot_occlusion(
            directory / f"{PurePath(row.recording).stem}-{row.offset:.2f}-seg{row.segment_id}.jpeg",
            next(images),
            row_hz,
            audio.spec_duration,
            row.offset,
            f"{name} {row.score:.3f}, {row.recording}: {active.sum()} of {len(active)} frames",
            score=row.score,
            left=row.left,
            right=row.right,
            active=active,
            lost_below=alpha * row.score,
        )
    return len(found)
