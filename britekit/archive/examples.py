"""Examples to search for, as vectors of the archive's model."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.audio.files import find_recordings, shown
from britekit.audio.windows import Windows
from britekit.database.classes import require_class
from britekit.database.schema import Recording, Segment, SegmentClass, SpecValue
from britekit.database.spectrograms import require_group
from britekit.datasets.stored_pictures import iter_images
from britekit.datasets.storing import warn_of_settings
from britekit.errors import DatabaseError, InputError, some
from britekit.inference.embedding import Embedder

log = logging.getLogger(__name__)

# The examples of a class that are looked for; as many as keep a search of a million windows within seconds.
MOST_OF_A_CLASS = 256
_AT_ONCE = 64


def recording_examples(embedder: Embedder, path: Path, starts: Sequence[float] | None = None) -> NDArray[np.float32]:
    """Return the vectors (K, F) of a recording: of all its windows, or of those at ``starts`` seconds.

    Raises `InputError` if the recording cannot be read, is too short, or ends before one of the starts.
    """
    for start in starts or ():
        if not (np.isfinite(start) and start >= 0):
            raise InputError(f"--start {start:g}: expected a number of seconds, 0 or more")
    windows = Windows(path, embedder.audio, embedder.grid() if starts is None else set(starts))
    found, seen = [], set[float]()
    for batch in windows.batches(_AT_ONCE, sound=embedder.takes_sound):
        found.append(embedder.score(batch.spectrograms)[0])
        seen.update(batch.starts)
    late = sorted(set(starts or ()) - seen)
    if late or not found:
        at = f" at {late[0]:g} s" if late else ""
        raise InputError(f"{shown(path)} lasts {windows.seconds or 0.0:g} s, too short for a window{at}")
    return _usable(np.concatenate(found), shown(path))


def path_examples(embedder: Embedder, path: str | Path) -> NDArray[np.float32]:
    """Return the vectors of a recording, or of all recordings in a folder and below it."""
    return np.concatenate([recording_examples(embedder, each) for each in find_recordings(path, recursive=True)])


def class_examples(
    session: Session, embedder: Embedder, class_name: str, group: str = "default"
) -> tuple[NDArray[np.float32], int]:
    """Return the vectors of segments of a class of the training database, and how many segments there are.

    Models that take spectrograms get the stored ones; others get the sound of the segments. Of more segments,
    `MOST_OF_A_CLASS` are taken, evenly spread over the database.

    Raises `DatabaseError` for an unknown class or group, no segments, spectrograms of another size, or no recording is
    there.
    """
    group_id = require_group(session, group)
    class_id = require_class(session, class_name).id
    rows = session.execute(
        select(SpecValue.id, Recording.path, Segment.offset)
        .join(Segment, Segment.id == SpecValue.segment_id)
        .join(Recording, Recording.id == Segment.recording_id)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .where(SegmentClass.class_id == class_id, SpecValue.specgroup_id == group_id)
        .order_by(SpecValue.id)
    ).all()
    if not rows:
        raise DatabaseError(f'{session.info["where"]} has no segment of class "{class_name}" in group "{group}"')
    places = np.linspace(0, len(rows) - 1, min(MOST_OF_A_CLASS, len(rows))).round().astype(int)
    chosen = [rows[place] for place in places]
    if embedder.takes_sound:
        found = list(_from_sound(embedder, [(path, offset) for _, path, offset in chosen]))
        if not found:
            raise DatabaseError(
                f'no recording of class "{class_name}" is where {session.info["where"]} says, and the model of the '
                f"archive takes sound; put {shown(chosen[0][1] or 'them')} back, or give examples with -i"
            )
    else:
        warn_of_settings(session, group_id, group, embedder.audio)
        images = list(iter_images(session, [key for key, _, _ in chosen], embedder.audio))
        found = [embedder.score(np.stack(images[k : k + _AT_ONCE]))[0] for k in range(0, len(images), _AT_ONCE)]
    return _usable(np.concatenate(found), f'class "{class_name}"'), len(rows)


def _from_sound(embedder: Embedder, segments: Sequence[tuple[str | None, float]]) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors of segments whose recordings are there; name the others."""
    starts: dict[str, list[float]] = defaultdict(list)
    for path, offset in segments:
        starts[path or ""].append(offset)
    gone = [path for path in starts if not Path(path).is_file()]
    for path in starts.keys() - set(gone):
        for batch in Windows(path, embedder.audio, starts[path]).batches(_AT_ONCE, sound=True):
            yield embedder.score(batch.spectrograms)[0]
    if gone:
        log.warning(
            "%d recordings of the database are not where it says and give no example (%s)",
            *(len(gone), some(shown(path) or "without a path" for path in gone)),
        )


def _usable(vectors: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return vectors as an archive stores them, so that a window finds itself at similarity 1."""
    with np.errstate(over="ignore"):
        stored = vectors.astype(np.float16).astype(np.float32)
    if not np.isfinite(stored).all():
        raise InputError(f"{where}: the model gives a vector that is not finite or too large for 16 bits")
    return stored
