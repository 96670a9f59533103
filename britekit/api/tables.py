"""The methods of `TrainingDatabase` per table: insert, get, count, update, delete.

`britekit.api.database` gives the five functions behind them. A column that is left out is null.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import SimpleNamespace as Row
from typing import Any

from britekit.database.schema import (
    Base,
    Category,
    Class,
    Recording,
    Segment,
    SegmentClass,
    SoundType,
    Source,
    SpecGroup,
    SpecValue,
)

Filters = Mapping[str, Any] | None


def is_compressed(value: Any) -> bool:
    """Whether a value begins as zlib's bytes do (RFC 1950: method 8, a checksum of two bytes)."""
    return isinstance(value, bytes) and len(value) > 8 and value[0] & 15 == 8 and not int.from_bytes(value[:2]) % 31


class TableMethods(ABC):
    """One method per table and verb."""

    @abstractmethod
    def insert(self, table: type[Base], *values: Any, **named: Any) -> int: ...

    @abstractmethod
    def get(self, table: type[Base], filters: Filters = None, without: Sequence[str] = ()) -> list[Row]: ...

    @abstractmethod
    def count(self, table: type[Base], filters: Filters = None) -> int: ...

    @abstractmethod
    def update(self, table: type[Base], row_id: int, column: str, value: Any) -> int: ...

    @abstractmethod
    def delete(self, table: type[Base], filters: Filters = None) -> int: ...

    def insert_category(self, name: str | None = None, inserted_date: str | None = None) -> int:
        """Insert a category and return its ID."""
        return self.insert(Category, name, inserted_date)

    def get_category(self, filters: Filters = None) -> list[Row]:
        """Return the categories that match the filters, by ID."""
        return self.get(Category, filters)

    def get_category_count(self, filters: Filters = None) -> int:
        """Return the number of categories that match the filters."""
        return self.count(Category, filters)

    def update_category(self, id: int, field: str, value: Any) -> int:
        """Set one column of a category; return the number of rows changed, 0 or 1."""
        return self.update(Category, id, field, value)

    def delete_category(self, filters: Filters = None) -> int:
        """Delete the categories that match the filters, and dependents; return their number."""
        return self.delete(Category, filters)

    def insert_class(
        self,
        category_id: int | None = None,
        name: str | None = None,
        alt_name: str | None = None,
        code: str | None = None,
        alt_code: str | None = None,
        inserted_date: str | None = None,
    ) -> int:
        """Insert a class and return its ID."""
        return self.insert(Class, category_id, name, code, alt_name, alt_code, inserted_date)

    def get_class(self, filters: Filters = None) -> list[Row]:
        """Return the classes that match the filters, by name."""
        return sorted(self.get(Class, filters), key=lambda row: row.name)

    def get_class_count(self, filters: Filters = None) -> int:
        """Return the number of classes that match the filters."""
        return self.count(Class, filters)

    def update_class(self, id: int, field: str, value: Any) -> int:
        """Set one column of a class; return the number of rows changed, 0 or 1."""
        return self.update(Class, id, field, value)

    def delete_class(self, filters: Filters = None) -> int:
        """Delete the classes that match the filters, and dependents; return their number."""
        return self.delete(Class, filters)

    def insert_recording(
        self,
        source_id: int | None = None,
        filename: str | None = None,
        path: str | None = None,
        seconds: float | None = 0,
        inserted_date: str | None = None,
    ) -> int:
        """Insert a recording and return its ID."""
        return self.insert(Recording, source_id, filename, path, seconds, inserted_date)

    def get_recording(self, filters: Filters = None) -> list[Row]:
        """Return the recordings that match the filters, by ID."""
        return self.get(Recording, filters)

    def get_recording_count(self, filters: Filters = None) -> int:
        """Return the number of recordings that match the filters."""
        return self.count(Recording, filters)

    def update_recording(self, id: int, field: str, value: Any) -> int:
        """Set one column of a recording; return the number of rows changed, 0 or 1."""
        return self.update(Recording, id, field, value)

    def delete_recording(self, filters: Filters = None) -> int:
        """Delete the recordings that match the filters, and dependents; return their number."""
        return self.delete(Recording, filters)

    def insert_segment(
        self,
        recording_id: int | None = None,
        offset: float | None = None,
        audio: bytes | None = None,
        sampling_rate: int | None = None,
        inserted_date: str | None = None,
    ) -> int:
        """Insert a segment and return its ID."""
        return self.insert(Segment, recording_id, offset, audio, sampling_rate, inserted_date)

    def get_segment(self, filters: Filters = None, include_audio: bool = False) -> list[Row]:
        """Return the segments that match the filters, by ID; ``audio`` is None unless wanted."""
        return self.get(Segment, filters, () if include_audio else ("audio",))

    def get_segment_count(self, filters: Filters = None) -> int:
        """Return the number of segments that match the filters."""
        return self.count(Segment, filters)

    def update_segment(self, id: int, field: str, value: Any) -> int:
        """Set one column of a segment; return the number of rows changed, 0 or 1."""
        return self.update(Segment, id, field, value)

    def delete_segment(self, filters: Filters = None) -> int:
        """Delete the segments that match the filters, and dependents; return their number."""
        return self.delete(Segment, filters)

    def insert_segment_class(
        self, segment_id: int | None = None, class_id: int | None = None, soundtype_id: int | None = None
    ) -> int:
        """Insert a class of a segment and return its ID."""
        return self.insert(SegmentClass, soundtype_id, segment_id, class_id)

    def get_segment_class(self, filters: Filters = None) -> list[Row]:
        """Return the classes of segments that match the filters, by ID."""
        return self.get(SegmentClass, filters)

    def get_segment_class_count(self, filters: Filters = None) -> int:
        """Return the number of classes of segments that match the filters."""
        return self.count(SegmentClass, filters)

    def update_segment_class(self, id: int, field: str, value: Any) -> int:
        """Set one column of a class of a segment; return the number of rows changed, 0 or 1."""
        return self.update(SegmentClass, id, field, value)

    def delete_segment_class(self, filters: Filters = None) -> int:
        """Delete the classes of segments that match the filters, and dependents; return their number."""
        return self.delete(SegmentClass, filters)

    def insert_soundtype(
        self, name: str | None = None, description: str | None = None, inserted_date: str | None = None
    ) -> int:
        """Insert a sound type and return its ID."""
        return self.insert(SoundType, name, description, inserted_date)

    def get_soundtype(self, filters: Filters = None) -> list[Row]:
        """Return the sound types that match the filters, by ID."""
        return self.get(SoundType, filters)

    def get_soundtype_count(self, filters: Filters = None) -> int:
        """Return the number of sound types that match the filters."""
        return self.count(SoundType, filters)

    def update_soundtype(self, id: int, field: str, value: Any) -> int:
        """Set one column of a sound type; return the number of rows changed, 0 or 1."""
        return self.update(SoundType, id, field, value)

    def delete_soundtype(self, filters: Filters = None) -> int:
        """Delete the sound types that match the filters, and dependents; return their number."""
        return self.delete(SoundType, filters)

    def insert_source(self, name: str | None = None, inserted_date: str | None = None) -> int:
        """Insert a source and return its ID."""
        return self.insert(Source, name, inserted_date)

    def get_source(self, filters: Filters = None) -> list[Row]:
        """Return the sources that match the filters, by ID."""
        return self.get(Source, filters)

    def get_source_count(self, filters: Filters = None) -> int:
        """Return the number of sources that match the filters."""
        return self.count(Source, filters)

    def update_source(self, id: int, field: str, value: Any) -> int:
        """Set one column of a source; return the number of rows changed, 0 or 1."""
        return self.update(Source, id, field, value)

    def delete_source(self, filters: Filters = None) -> int:
        """Delete the sources that match the filters, and dependents; return their number."""
        return self.delete(Source, filters)

    def insert_specgroup(
        self, name: str | None = None, inserted_date: str | None = None, config: str | None = None
    ) -> int:
        """Insert a spectrogram group and return its ID."""
        return self.insert(SpecGroup, name, inserted_date, config)

    def get_specgroup(self, filters: Filters = None) -> list[Row]:
        """Return the spectrogram groups that match the filters, by ID."""
        return self.get(SpecGroup, filters)

    def get_specgroup_count(self, filters: Filters = None) -> int:
        """Return the number of spectrogram groups that match the filters."""
        return self.count(SpecGroup, filters)

    def update_specgroup(self, id: int, field: str, value: Any) -> int:
        """Set one column of a spectrogram group; return the number of rows changed, 0 or 1."""
        return self.update(SpecGroup, id, field, value)

    def delete_specgroup(self, filters: Filters = None) -> int:
        """Delete the spectrogram groups that match the filters, and dependents; return their number."""
        return self.delete(SpecGroup, filters)

    def insert_specvalue(
        self,
        value: Any = None,
        spec_group_id: int | None = None,
        segment_id: int | None = None,
        embedding: bytes | None = None,
    ) -> int:
        """Insert a spectrogram and return its ID; warn if the value is not a compressed one."""
        if not is_compressed(value):
            warnings.warn(
                f"the value of the spectrogram of segment {segment_id} ({value!r:.40}) is not made by "
                "bk.util.compress_spectrogram: pickle and train cannot use it",
                stacklevel=2,
            )
        return self.insert(SpecValue, value, embedding, spec_group_id, segment_id)

    def get_specvalue(self, filters: Filters = None) -> list[Row]:
        """Return the spectrograms that match the filters, by ID."""
        return self.get(SpecValue, filters)

    def get_specvalue_count(self, filters: Filters = None) -> int:
        """Return the number of spectrograms that match the filters."""
        return self.count(SpecValue, filters)

    def update_specvalue(self, id: int, field: str, value: Any) -> int:
        """Set one column of a spectrogram; return the number of rows changed, 0 or 1."""
        return self.update(SpecValue, id, field, value)

    def delete_specvalue(self, filters: Filters = None) -> int:
        """Delete the spectrograms that match the filters, and dependents; return their number."""
        return self.delete(SpecValue, filters)
