"""Writes the areas of an occurrence database alone, for programs in which people choose a place."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from britekit.errors import DatabaseError
from britekit.files import atomic_path
from britekit.occurrence.database_v2 import AREA_TABLES, OccurrenceDatabaseV2
from britekit.occurrence.failures import ExistingFile

_METADATA = """
CREATE TABLE CatalogMetadata (
    ID INTEGER PRIMARY KEY CHECK (ID = 1), SchemaVersion INTEGER NOT NULL CHECK (SchemaVersion = 1),
    RegionCode TEXT NOT NULL, RegionName TEXT NOT NULL, DataVersion TEXT NOT NULL, TaxonomyVersion TEXT,
    SourceCreatedAt TEXT NOT NULL, GeneratedAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
"""


@dataclass(frozen=True)
class LocationCatalogReport:
    """The content of a catalog."""

    region_code: str
    area_count: int
    selectable_area_count: int
    level_count: int


def compile_location_catalog(
    input_path: str | os.PathLike[str], output_path: str | os.PathLike[str]
) -> LocationCatalogReport:
    """Write areas and levels of a database of version 2 into a small database of their own.

    Raises
    ------
    InputError
        The input does not exist (also a `FileNotFoundError`), or the output does (also a `FileExistsError`).
    DatabaseError
        The input is not a valid database of version 2.
    """
    output = Path(output_path)
    if output.exists():
        raise ExistingFile(f"location catalog {output} exists already; name a new file")
    with OccurrenceDatabaseV2(Path(input_path)) as database:
        problems = database.validate()
        if problems:
            raise DatabaseError(f"{input_path} is not a valid occurrence database: {'; '.join(problems)}")
        read = database.conn.execute
        pack = read("SELECT Code, Name, DataVersion, TaxonomyVersion, CreatedAt FROM RegionPack").fetchone()
        areas = [tuple(row) for row in read("SELECT * FROM AdministrativeArea ORDER BY ID")]
        levels = [tuple(row) for row in read("SELECT * FROM AdministrativeLevel ORDER BY CountryAreaID, Level")]
        columns = [row["name"] for row in read("PRAGMA table_info(AdministrativeArea)")]
    with atomic_path(output) as partial:
        partial.unlink()
        with closing(sqlite3.connect(partial)) as catalog, catalog:
            catalog.executescript(_METADATA + AREA_TABLES)
            catalog.execute(
                "INSERT INTO CatalogMetadata (ID, SchemaVersion, RegionCode, RegionName, DataVersion, "
                "TaxonomyVersion, SourceCreatedAt) VALUES (1, 1, ?, ?, ?, ?, ?)",
                tuple(pack),
            )
            marks = ", ".join("?" * len(columns))
            catalog.executemany(f"INSERT INTO AdministrativeArea ({', '.join(columns)}) VALUES ({marks})", areas)
            catalog.executemany("INSERT INTO AdministrativeLevel VALUES (?, ?, ?, ?)", levels)
    selectable = columns.index("Selectable")
    return LocationCatalogReport(pack[0], len(areas), sum(row[selectable] for row in areas), len(levels))
