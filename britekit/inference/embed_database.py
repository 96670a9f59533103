"""Compute embeddings of stored spectrograms in batches, and store them beside the spectrograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.database.classes import require_class
from britekit.database.embeddings import encode_embedding, iter_stored, write_embeddings
from britekit.database.schema import Class, SegmentClass, SpecValue
from britekit.database.spectrograms import decode, require_group
from britekit.datasets.storing import warn_of_settings
from britekit.errors import DatabaseError
from britekit.inference.embedding import SearchModel
from britekit.progress import Meter

BATCH = 512


def embed_stored(
    session: Session,
    model: SearchModel,
    class_name: str | None = None,
    group: str = "default",
    on_class: Callable[[str, int], None] | None = None,
) -> int:
    """Compute and store embeddings, one transaction per batch; return the number of spectrograms.

    Existing embeddings are recomputed, since they may be from another model. An interrupted command can simply be
    repeated.

    Raises `DatabaseError` if the class or group is unknown, there is nothing to do, or a spectrogram does not have the
    model's input size.

    Parameters
    ----------
    session
        Session of a database opened for writing; this function commits.
    class_name
        Class to embed; by default all classes, each spectrogram once.
    on_class
        Called with each class and its number of spectrograms after their embeddings are stored.
    """
    group_id = require_group(session, group)
    warn_of_settings(session, group_id, group, model.cfg.audio)
    if class_name is None:
        classes = sorted((row.name, row.id) for row in session.scalars(select(Class)))
    else:
        classes = [(class_name, require_class(session, class_name).id)]
    session.rollback()
    done: set[int] = set()
    for name, class_id in classes:
        ids = _values_of(session, group_id, class_id)
        new = [key for key in ids if key not in done]
        meter = Meter(len(new), f"embed {name}")
        try:
            for rows in iter_stored(session, new, BATCH):
                _embed_rows(session, model, rows)
                meter.advance(len(rows))
            meter.finish()
        finally:
            meter.close()
        done.update(new)
        if on_class is not None:
            on_class(name, len(ids))
    if not done:
        whose = f'class "{class_name}"' if class_name is not None else "its classes"
        raise DatabaseError(
            f'{session.info["where"]} has no spectrogram of {whose} in group "{group}"; extract some first'
        )
    return len(done)


def _values_of(session: Session, group_id: int, class_id: int) -> list[int]:
    query = (
        select(SpecValue.id)
        .join(SegmentClass, SegmentClass.segment_id == SpecValue.segment_id)
        .where(SegmentClass.class_id == class_id, SpecValue.specgroup_id == group_id)
        .order_by(SpecValue.id)
    )
    ids = list(session.scalars(query))
    session.rollback()  # end the transaction, so that others can write during the computation
    return ids


def _embed_rows(session: Session, model: SearchModel, rows: Sequence[tuple[int, int, bytes]]) -> None:
    images = np.empty((len(rows), model.height, model.width), np.float32)
    for place, (_key, segment, value) in enumerate(rows):
        try:
            images[place] = decode(value, model.height, model.width)
        except ValueError as error:
            raise DatabaseError(
                f"{session.info['where']}: the spectrogram of segment {segment} is not one of the "
                f"{model.height} × {model.width} that the search model takes: {error}; choose another "
                "--sgroup, or extract with the model's audio settings"
            ) from None
    images /= 255.0
    vectors = model.embed(images)
    stored = [(key, encode_embedding(vector)) for (key, _segment, _value), vector in zip(rows, vectors)]
    write_embeddings(session, stored)
    session.commit()
