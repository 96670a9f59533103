"""The stored form of a spectrogram, and the groups of equal audio settings they are kept in."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, insert, select, update
from sqlalchemy.orm import Session

from britekit.config.audio import with_channels
from britekit.database.named import require_named
from britekit.database.schema import Segment, SpecGroup, SpecValue
from britekit.errors import DatabaseError

# Runs of equal bytes are nearly all there is to find: on recordings of ESC-10, looking for repetitions
# further back took twice as long and made values 0.8 % smaller; with level 6, 2 % and five times as long.
_LEVEL = 4
_COUNTED_BYTES = 1 << 26
# Without the mapped class, which takes longer than the insertion.
_ADD_VALUE = insert(cast(Table, SpecValue.__table__))


def encode(image_HW: NDArray[np.floating[Any]]) -> bytes:
    """Return the stored form of a spectrogram with values 0 to 1; row 0 is the lowest frequency."""
    levels = np.rint(np.clip(image_HW, 0.0, 1.0) * 255.0).astype(np.uint8)
    packer = zlib.compressobj(_LEVEL, strategy=zlib.Z_RLE)
    return packer.compress(levels.tobytes()) + packer.flush()


def decode(value: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Return a stored spectrogram as uint8 (height, width).

    Raises `ValueError` if the value is damaged or has another size; the text says which, for the caller to name the
    segment.
    """
    return np.frombuffer(inflate(value, height * width), dtype=np.uint8).reshape(height, width)


def inflate(value: bytes, size: int) -> bytes:
    """Return the ``size`` bytes that a stored value holds; raises `ValueError` if it holds anything else."""
    unpacker = zlib.decompressobj()
    try:
        # One byte more than wanted tells a larger value, without unpacking all of what may be a bomb.
        raw = unpacker.decompress(value, size + 1)
    except (zlib.error, TypeError) as error:  # SQLite keeps a text in any column
        raise ValueError(f"it is damaged ({error})") from None
    if len(raw) > size:
        raise ValueError(f"it holds {_full_size(unpacker, len(raw))} bytes, expected {size}")
    if not unpacker.eof:
        raise ValueError(f"it is cut short after {len(raw)} of {size} bytes")
    if len(raw) != size:
        raise ValueError(f"it holds {len(raw)} bytes, expected {size}")
    return raw


def inflated_size(value: bytes) -> int:
    """Return how many bytes a value holds, counted up to a bound; raises `ValueError` if damaged."""
    unpacker = zlib.decompressobj()
    try:
        size = len(unpacker.decompress(value, _COUNTED_BYTES))
    except (zlib.error, TypeError) as error:
        raise ValueError(f"it is damaged ({error})") from None
    if not unpacker.eof and not unpacker.unconsumed_tail:
        raise ValueError("it is cut short")
    return size


def _full_size(unpacker: Any, seen: int) -> str:
    """Return how much a value holds that is larger than it should be, counting up to a bound."""
    try:
        while unpacker.unconsumed_tail and seen < _COUNTED_BYTES:
            seen += len(unpacker.decompress(unpacker.unconsumed_tail, 1 << 20))
    except zlib.error:
        pass
    return f"more than {seen}" if unpacker.unconsumed_tail else str(seen)


def get_or_add_group(session: Session, name: str, audio: dict[str, Any] | None = None) -> int:
    """Return the ID of a spectrogram group, added if new; a group keeps its first audio settings."""
    found = session.scalar(select(SpecGroup.id).where(SpecGroup.name == name))
    config = None if audio is None else json.dumps(audio, sort_keys=True)
    if found is None:
        row = {"name": name, "config": config, "inserted_date": session.info["inserted_date"]}
        return session.scalars(insert(SpecGroup).values(row).returning(SpecGroup.id)).one()
    if config is not None:
        empty = SpecGroup.id == found, SpecGroup.config.is_(None)
        is_used = session.scalar(select(SpecValue.id).where(SpecValue.specgroup_id == found).limit(1))
        if is_used is None:  # settings of values stored by other programs are unknown
            session.execute(update(SpecGroup).where(*empty).values(config=config))
    return found


def variant_group(group: str, number: int) -> str:
    """Return the name of the group of a group's variants of this number, from 1 on (`pipeline.extract_variants`)."""
    return f"{group}-variant-{number}"


def require_group(session: Session, name: str) -> int:
    """Return the ID of a spectrogram group; raises `DatabaseError` with a suggestion if there is none."""
    return require_named(session, SpecGroup, "spectrogram group", name)


def group_settings(session: Session, group_id: int) -> dict[str, Any]:
    """Return the audio settings a group was made with, empty if they are not known."""
    if not session.info["has_group_config"]:
        return {}
    text = session.scalar(select(SpecGroup.config).where(SpecGroup.id == group_id))
    try:
        settings = json.loads(text) if text else {}
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise DatabaseError(f"{session.info['where']}: the settings of spectrogram group {group_id} cannot be read")
    return settings


def differing_settings(made_with: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return ``field old, now new`` for each audio setting in which a group differs from those in force."""
    made_with, now = with_channels(made_with), with_channels(now)
    return [
        f"{field} {made_with[field]}, now {now[field]}"
        for field in sorted(made_with.keys() & now.keys())
        if made_with[field] != now[field]
    ]


def add_values(session: Session, group_id: int, values: Sequence[tuple[int, bytes]]) -> None:
    """Store spectrograms, given as pairs of segment ID and encoded value."""
    if values:
        rows = [{"SpecGroupID": group_id, "SegmentID": segment, "Value": value} for segment, value in values]
        session.connection().execute(_ADD_VALUE, rows)


def segments_with_value(session: Session, group_id: int, recording_id: int) -> set[int]:
    """Return the segments of a recording that have a spectrogram in the group."""
    query = (
        select(SpecValue.segment_id)
        .join(Segment, Segment.id == SpecValue.segment_id)
        .where(Segment.recording_id == recording_id, SpecValue.specgroup_id == group_id)
    )
    return {segment for segment in session.scalars(query) if segment is not None}


def iter_values(session: Session, value_ids: Sequence[int], chunk: int = 256) -> Iterator[list[bytes]]:
    """Yield the stored values of ``value_ids`` in that order, with at most ``chunk`` in memory."""
    for start in range(0, len(value_ids), chunk):
        wanted = value_ids[start : start + chunk]
        query = select(SpecValue.id, SpecValue.value).where(SpecValue.id.in_(wanted))
        found = {value_id: value for value_id, value in session.execute(query)}  # noqa: C416
        yield [found[value_id] for value_id in wanted]
