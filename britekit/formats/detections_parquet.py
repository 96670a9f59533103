"""The same detections as one typed Parquet table (parquet.apache.org)."""

from __future__ import annotations

from typing import Any

from britekit.formats._base import Format, Recording, Rows, Writer
from britekit.formats.detections import COLUMNS, VERSION, values_of

_ROWS_PER_GROUP = 1 << 16


class DetectionsParquetWriter(Writer):
    """Writes groups of rows as they come, so that memory stays constant."""

    def begin(self) -> None:
        """Write the schema."""
        import pyarrow
        from pyarrow import parquet

        types = {"text": pyarrow.string(), "64-bit float": pyarrow.float64(), "32-bit integer": pyarrow.int32()}
        self._schema = pyarrow.schema(
            [pyarrow.field(name, types[meaning.partition(",")[0]]) for name, meaning in COLUMNS.items()],
            metadata={"britekit.format": FORMAT.name, "britekit.format_version": str(FORMAT.version)},
        )
        self._file: Any = parquet.ParquetWriter(self.out, self._schema, compression="zstd")
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, recording: Recording, rows: Rows) -> None:
        """Take labels of a recording."""
        self._waiting += values_of(recording, rows, self.facts.more)
        if len(self._waiting) >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        columns = zip(*self._waiting, strict=True) if self._waiting else ((),) * len(self._schema)
        arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._file.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))
        self._waiting = []

    def close(self) -> None:
        """Write what waits, and the index at the end of the file."""
        self._flush()
        self._file.close()


FORMAT = Format(
    name="detections-parquet",
    title="Detections (Parquet)",
    media_type="application/vnd.apache.parquet",
    ending="_detections.parquet",
    table="detections.parquet",
    columns=COLUMNS,
    version=VERSION,
    writer=DetectionsParquetWriter,
)
