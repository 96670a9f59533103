"""Parquet: one typed table of all labels, for pandas, R (arrow), DuckDB and the like (parquet.apache.org)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from britekit.formats._base import Format, Recording, Rows, Writer

if TYPE_CHECKING:
    import pyarrow

_ROWS_PER_GROUP = 1 << 17


class ParquetWriter(Writer):
    """Writes groups of rows as they come, so that memory stays constant."""

    def begin(self) -> None:
        """Write the schema."""
        import pyarrow
        from pyarrow import parquet

        types = {
            "text": pyarrow.string(), "64-bit float": pyarrow.float64(), "32-bit float": pyarrow.float32(),
            "true or false": pyarrow.bool_(),
        }  # fmt: skip
        self._schema = pyarrow.schema(
            [
                pyarrow.field(name, types[meaning.partition(",")[0]], nullable=False)
                for name, meaning in COLUMNS.items()
            ],
            metadata={"britekit.format": "parquet", "britekit.format_version": str(FORMAT.version)},
        )
        self._file: Any = parquet.ParquetWriter(self.out, self._schema, compression="zstd")
        self._waiting: list[pyarrow.Table] = []
        self._count = 0

    def add(self, recording: Recording, rows: Rows) -> None:
        """Take labels of a recording."""
        import pyarrow

        texts = (recording.name, rows.label, rows.class_name, rows.class_code)
        columns = [pyarrow.repeat(text, len(rows)) for text in texts]
        columns += [pyarrow.array(rows.starts, pyarrow.float64()), pyarrow.array(rows.ends, pyarrow.float64())]
        columns += [pyarrow.array(rows.scores, pyarrow.float32()), pyarrow.array(rows.confirmed, pyarrow.bool_())]
        self._waiting.append(pyarrow.Table.from_arrays(columns, schema=self._schema))
        self._count += len(rows)
        if self._count >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._waiting:
            self._file.write_table(pyarrow.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._count = [], 0

    def close(self) -> None:
        """Write what waits, and the index at the end of the file."""
        self._flush()
        self._file.close()


COLUMNS = {
    "recording": "text, path below the input folder, without extension",
    "label": "text, name, code or an alternate of the class (`infer.label_field`)",
    "class_name": "text, name of the class",
    "class_code": "text, its code, or empty",
    "start_time": "64-bit float, seconds",
    "end_time": "64-bit float, seconds",
    "score": "32-bit float, 0 to 1",
    "confirmed": "true or false, true below the threshold where the class is confirmed elsewhere",
}
FORMAT = Format(
    name="parquet",
    title="Parquet",
    media_type="application/vnd.apache.parquet",
    ending="_scores.parquet",
    table="scores.parquet",
    columns=COLUMNS,
    writer=ParquetWriter,
)
