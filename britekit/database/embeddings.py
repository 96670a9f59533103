"""The stored form of an embedding, and the embeddings of a class as one matrix."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from britekit.database.schema import Recording, Segment, SegmentClass, Source, SpecValue
from britekit.errors import DatabaseError

# Embeddings are near random numbers: a higher level saves nothing.
_LEVEL = 1
_LONGEST = 1 << 20
_AT_ONCE = 4096


def encode_embedding(vector_F: NDArray[np.floating]) -> bytes:
    """Return the stored form of an embedding: zlib-compressed little-endian 32-bit floats."""
    return zlib.compress(np.ascontiguousarray(vector_F, "<f4").tobytes(), _LEVEL)


def decode_embedding(stored: bytes) -> NDArray[np.float32]:
    """Return a stored embedding, float32 (F,).

    Raises `ValueError` if it is damaged, or not whole numbers of finite 32-bit floats.
    """
    vector = np.frombuffer(_inflate(stored), "<f4").astype(np.float32, copy=False)
    if not np.isfinite(vector).all():
        raise ValueError("it holds a number that is not finite")
    return vector


def _inflate(stored: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(stored, _LONGEST)
    except (zlib.error, TypeError) as error:  # SQLite keeps a text in any column
        raise ValueError(f"it is damaged ({error})") from None
    if not unpacker.eof or not raw or len(raw) % 4:
        raise ValueError(f"it holds {len(raw)} bytes, which is not a list of 32-bit floats")
    return raw


@dataclass(frozen=True)
class EmbeddedSegments:
    """The embeddings of segments, ascending by recording and offset."""

    vectors: NDArray[np.float32]
    """Float32 (N, F)."""
    value_ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    recording_ids: NDArray[np.int64]
    """(N,) int64."""
    offsets: NDArray[np.float64]
    """(N,) float64, seconds."""
    recordings: dict[int, EmbeddedRecording]
    """Recording ID → what is known about it; also of recordings without embeddings."""

    def name(self, row: int) -> str:
        """Return the file name of a row's recording."""
        return self.recordings[int(self.recording_ids[row])].filename


@dataclass(frozen=True)
class EmbeddedRecording:
    """A recording with segments of a class: their number, and how many have an embedding."""

    filename: str
    source: str
    seconds: float
    segments: int
    embedded: int


def read_embeddings(session: Session, group_id: int, class_id: int) -> EmbeddedSegments:
    """Read the embeddings of a class in a spectrogram group.

    Raises `DatabaseError` if an embedding is damaged, or they differ in length: they were made by different models.
    """
    rows = np.array(
        [
            tuple(row)
            for row in session.execute(
                select(SpecValue.id, SpecValue.segment_id, Segment.recording_id, Segment.offset)
                .join(Segment, Segment.id == SpecValue.segment_id)
                .join(SegmentClass, SegmentClass.segment_id == Segment.id)
                .where(
                    SegmentClass.class_id == class_id,
                    SpecValue.specgroup_id == group_id,
                    SpecValue.embedding.is_not(None),
                )
                .order_by(Segment.recording_id, Segment.offset, SpecValue.id)
            )
        ],
        dtype=[("value", "i8"), ("segment", "i8"), ("recording", "i8"), ("offset", "f8")],
    )
    return EmbeddedSegments(
        vectors=_vectors(session, rows["value"].tolist(), rows["segment"].tolist()),
        value_ids=rows["value"],
        segment_ids=rows["segment"],
        recording_ids=rows["recording"],
        offsets=rows["offset"],
        recordings=_recordings(session, group_id, class_id),
    )


def write_embeddings(session: Session, embeddings: Sequence[tuple[int, bytes]]) -> None:
    """Store embeddings, given as pairs of the spectrogram's ID and the encoded value; the caller commits."""
    if embeddings:
        table = SpecValue.__table__
        # By columns and not through objects: the row may have been removed in the meantime, which is not an error.
        statement = update(SpecValue).where(bindparam("key") == table.c.ID).values(embedding=bindparam("new"))
        session.connection().execute(statement, [{"key": key, "new": value} for key, value in embeddings])


def iter_stored(session: Session, value_ids: Sequence[int], at_once: int) -> Iterator[list[tuple[int, int, bytes]]]:
    """Yield (spectrogram ID, segment ID, spectrogram) of those that still exist, ``at_once`` at a time.

    After each query the transaction is ended, so that others can write while the caller computes.
    """
    for first in range(0, len(value_ids), at_once):
        query = (
            select(SpecValue.id, SpecValue.segment_id, SpecValue.value)
            .where(SpecValue.id.in_(value_ids[first : first + at_once]))
            .order_by(SpecValue.id)
        )
        rows = [(key, segment or 0, value) for key, segment, value in session.execute(query)]
        session.rollback()
        yield rows


def _vectors(session: Session, value_ids: list[int], segments: list[int]) -> NDArray[np.float32]:
    """Return the embeddings of values, in their order, float32 (N, F)."""
    place = {key: number for number, key in enumerate(value_ids)}
    matrix = np.empty((0, 0), np.float32)
    for first in range(0, len(value_ids), _AT_ONCE):
        chunk = value_ids[first : first + _AT_ONCE]
        query = select(SpecValue.id, SpecValue.embedding).where(SpecValue.id.in_(chunk))
        rows = [(key, value or b"") for key, value in session.execute(query)]
        try:
            raw = [_inflate(value) for _key, value in rows]
            if not matrix.size:
                matrix = np.zeros((len(value_ids), len(raw[0]) // 4), np.float32)
            # One array for all of a chunk: an array for each would take longer than unpacking.
            if {len(vector) for vector in raw} != {4 * matrix.shape[1]}:
                raise ValueError("they differ in length")
            vectors = np.frombuffer(b"".join(raw), "<f4").reshape(len(rows), -1)
            if not np.isfinite(vectors).all():
                raise ValueError("not all are finite")
        except ValueError:
            raise _unusable(session, rows, dict(zip(value_ids, segments)), matrix.shape[1]) from None
        matrix[[place[key] for key, _value in rows]] = vectors
    return matrix


def _unusable(
    session: Session, rows: Sequence[tuple[int, bytes]], segment_of: dict[int, int], width: int
) -> DatabaseError:
    """Return the error that names the first embedding that cannot be used."""
    for key, value in rows:
        where = f"{session.info['where']}: the embedding of segment {segment_of[key]}"
        try:
            vector = decode_embedding(value)
        except ValueError as error:
            return DatabaseError(f"{where} cannot be used: {error}; run embed again")
        if width and len(vector) != width:
            return DatabaseError(
                f"{where} has {len(vector)} numbers, others {width}: they were made by different models; "
                "run embed again"
            )
    raise AssertionError("every embedding can be used")


def _recordings(session: Session, group_id: int, class_id: int) -> dict[int, EmbeddedRecording]:
    query = (
        select(
            Recording.id,
            Recording.filename,
            Source.name,
            Recording.seconds,
            func.count(Segment.id.distinct()),
            func.count(SpecValue.embedding),
        )
        .join(Segment, Segment.recording_id == Recording.id)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .outerjoin(Source, Source.id == Recording.source_id)
        .outerjoin(SpecValue, (SpecValue.segment_id == Segment.id) & (SpecValue.specgroup_id == group_id))
        .where(SegmentClass.class_id == class_id)
        .group_by(Recording.id, Recording.filename, Source.name, Recording.seconds)
        .order_by(Recording.id)
    )
    return {
        key: EmbeddedRecording(filename, source or "", seconds or 0.0, segments, embedded)
        for key, filename, source, seconds, segments, embedded in session.execute(query)
    }
