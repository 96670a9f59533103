"""The tables of the training database.

Attributes are lower-case words, columns keep the names that other programs know. `RecordingInfo`,
`SegmentAbsence` and `SpecGroup.Config` are additions: other programs ignore them, and a file without them is valid.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import (
    REAL,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from britekit.database.failures import OddValue

SCHEMA_VERSION = 1


class _Real(TypeDecorator[float]):
    """A number, checked when it is read: SQLite keeps any value in any column."""

    impl = Double
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        # A REAL of PostgreSQL has four bytes; offsets need the eight that SQLite's has.
        return REAL() if dialect.name == "sqlite" else Double()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or isinstance(value, (float, int)) and math.isfinite(value):
            return value
        raise OddValue(f"holds {value!r} where a number is expected")


class _Text(TypeDecorator[str]):
    """A text, checked when it is read: names that other programs stored as bytes equal no name."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or isinstance(value, str):
            return value
        raise OddValue(f"holds {value!r:.80} where a text is expected")


_NUMBERED = {"sqlite_autoincrement": True}


def _key() -> Mapped[int]:
    return mapped_column("ID", Integer, primary_key=True)


def _reference(column: str, table: str, on_delete: str = "CASCADE") -> Mapped[int | None]:
    return mapped_column(column, Integer, ForeignKey(f"{table}.ID", ondelete=on_delete))


def _inserted() -> Mapped[str | None]:
    return mapped_column("InsertedDate", _Text)


class Base(DeclarativeBase):
    """Common base of the mapped tables."""


class SchemaVersion(Base):
    """One row: the version of this schema."""

    __tablename__ = "SchemaVersion"

    version: Mapped[int] = mapped_column("Version", Integer, primary_key=False, nullable=False)
    """1; a larger number belongs to a newer program."""

    __mapper_args__ = {"primary_key": [version]}


class Category(Base):
    """A group of classes, for instance "birds"."""

    __tablename__ = "Category"
    __table_args__ = (UniqueConstraint("Name"), _NUMBERED)

    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column("Name", _Text)
    """Unique."""
    inserted_date: Mapped[str | None] = _inserted()
    """YYYY-MM-DD, or null in a database built by the pipeline."""


class Class(Base):
    """A class that a recognizer learns, usually a species."""

    __tablename__ = "Class"
    __table_args__ = (UniqueConstraint("Name"), _NUMBERED)

    id: Mapped[int] = _key()
    category_id: Mapped[int | None] = _reference("CategoryID", "Category")
    """The category it belongs to."""
    name: Mapped[str] = mapped_column("Name", _Text)
    """Unique."""
    code: Mapped[str | None] = mapped_column("Code", _Text)
    """Short form; non-empty codes are kept distinct by the commands, not by the schema."""
    alt_name: Mapped[str | None] = mapped_column("AltName", _Text)
    """Another name, usually the scientific one."""
    alt_code: Mapped[str | None] = mapped_column("AltCode", _Text)
    """Another code."""
    inserted_date: Mapped[str | None] = _inserted()


class Source(Base):
    """Where recordings come from, for instance "Xeno-Canto"."""

    __tablename__ = "Source"
    __table_args__ = (UniqueConstraint("Name"), _NUMBERED)

    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column("Name", _Text)
    """Unique."""
    inserted_date: Mapped[str | None] = _inserted()


class Recording(Base):
    """One audio file."""

    __tablename__ = "Recording"
    __table_args__ = (Index("idx_recording_filename", "FileName"), Index("idx_recording_path", "Path"), _NUMBERED)

    id: Mapped[int] = _key()
    source_id: Mapped[int | None] = _reference("SourceID", "Source")
    """Source and file name together identify a recording."""
    filename: Mapped[str] = mapped_column("FileName", _Text)
    """With extension, without folder."""
    path: Mapped[str | None] = mapped_column("Path", _Text)
    """Absolute; relative to the project in a database built by the pipeline."""
    seconds: Mapped[float | None] = mapped_column("Seconds", _Real)
    """Length."""
    inserted_date: Mapped[str | None] = _inserted()


class Segment(Base):
    """A stretch of a recording, `spec_duration` seconds long."""

    __tablename__ = "Segment"
    __table_args__ = (
        UniqueConstraint("RecordingID", "Offset"),
        Index("idx_segment_recording", "RecordingID"),
        _NUMBERED,
    )

    id: Mapped[int] = _key()
    recording_id: Mapped[int | None] = _reference("RecordingID", "Recording")
    """The recording it was cut from."""
    offset: Mapped[float] = mapped_column("Offset", _Real)
    """Where it begins, in seconds."""
    audio: Mapped[bytes | None] = mapped_column("Audio", LargeBinary, deferred=True)
    """32-bit float samples; normally empty."""
    sampling_rate: Mapped[int | None] = mapped_column("SamplingRate", Integer)
    """Of `audio`, in Hz."""
    inserted_date: Mapped[str | None] = _inserted()


class SoundType(Base):
    """A kind of vocalisation, for instance "song"."""

    __tablename__ = "SoundType"
    __table_args__ = (UniqueConstraint("Name"), _NUMBERED)

    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column("Name", _Text)
    """Unique."""
    description: Mapped[str | None] = mapped_column("Description", _Text)
    """Free text."""
    inserted_date: Mapped[str | None] = _inserted()


class SegmentClass(Base):
    """The statement that a class is heard in a segment."""

    __tablename__ = "SegmentClass"
    __table_args__ = (
        UniqueConstraint("SegmentID", "ClassID"),
        Index("idx_segmentclass_soundtype", "SoundTypeID"),
        Index("idx_segmentclass_segment", "SegmentID"),
        Index("idx_segmentclass_class", "ClassID"),
        _NUMBERED,
    )

    id: Mapped[int] = _key()
    soundtype_id: Mapped[int | None] = _reference("SoundTypeID", "SoundType", "SET NULL")
    """Type of sound, if known."""
    segment_id: Mapped[int | None] = _reference("SegmentID", "Segment")
    """The segment."""
    class_id: Mapped[int | None] = _reference("ClassID", "Class")
    """The class."""


class SpecGroup(Base):
    """A set of spectrograms made with the same audio settings."""

    __tablename__ = "SpecGroup"
    __table_args__ = (UniqueConstraint("Name"), _NUMBERED)

    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column("Name", _Text)
    """Unique."""
    inserted_date: Mapped[str | None] = _inserted()
    # Deferred, because a file made by another program has no such column and must still be readable.
    config: Mapped[str | None] = mapped_column("Config", _Text, deferred=True)
    """The audio settings as JSON."""


class SpecValue(Base):
    """One stored spectrogram of a segment."""

    __tablename__ = "SpecValue"
    __table_args__ = (
        UniqueConstraint("SpecGroupID", "SegmentID"),
        Index("idx_specvalue_specgroup", "SpecGroupID"),
        Index("idx_specvalue_segment", "SegmentID"),
        _NUMBERED,
    )

    id: Mapped[int] = _key()
    value: Mapped[bytes] = mapped_column("Value", LargeBinary, deferred=True)
    """zlib-compressed bytes, height × width, row 0 = lowest frequency."""
    embedding: Mapped[bytes | None] = mapped_column("Embedding", LargeBinary, deferred=True)
    """zlib-compressed little-endian 32-bit floats of the search model."""
    specgroup_id: Mapped[int | None] = _reference("SpecGroupID", "SpecGroup")
    """The group."""
    segment_id: Mapped[int | None] = _reference("SegmentID", "Segment")
    """The segment."""


class RecordingInfo(Base):
    """Facts about a recording beyond its file; a table of this package."""

    __tablename__ = "RecordingInfo"

    recording_id: Mapped[int] = mapped_column(
        "RecordingID", Integer, ForeignKey("Recording.ID", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    """The recording."""
    group_name: Mapped[str | None] = mapped_column("GroupName", _Text)
    """Original that it was cut from: recordings of one group stay on one side of a split. Null = itself."""
    licence: Mapped[str | None] = mapped_column("Licence", _Text)
    """Terms of use."""
    author: Mapped[str | None] = mapped_column("Author", _Text)
    """Who recorded it."""
    url: Mapped[str | None] = mapped_column("URL", _Text)
    """Where it is published."""
    time: Mapped[str | None] = mapped_column("Time", _Text)
    """When it was recorded, as its source writes it."""
    latitude: Mapped[float | None] = mapped_column("Latitude", _Real)
    """Degrees north."""
    longitude: Mapped[float | None] = mapped_column("Longitude", _Real)
    """Degrees east."""


class SegmentAbsence(Base):
    """Verdicts about a segment of which only some classes were judged; a table of this package, created on first use.

    A segment has a row without a class, which says that only part is known of it: the classes it is linked to
    are heard, those of its further rows here are not, and nothing is known of all others.
    """

    __tablename__ = "SegmentAbsence"
    __table_args__ = (Index("idx_segmentabsence_segment", "SegmentID"),)

    id: Mapped[int] = _key()
    segment_id: Mapped[int] = mapped_column("SegmentID", Integer, ForeignKey("Segment.ID", ondelete="CASCADE"))
    """The segment."""
    class_id: Mapped[int | None] = _reference("ClassID", "Class")
    """A class that is not heard, or null."""


# In the order of creation, which is part of a rebuilt file's bytes.
TABLES: tuple[type[Base], ...] = (
    SchemaVersion,
    Category,
    Class,
    Source,
    Recording,
    Segment,
    SoundType,
    SegmentClass,
    SpecGroup,
    SpecValue,
    RecordingInfo,
)
DEFAULT_NAME = "default"
