"""`OccurrenceDatabaseV2`: frequencies per administrative area, class and week in SQLite, schema version 2."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from britekit.errors import DatabaseError, suggest
from britekit.occurrence.database import pack, schema_version, unpack
from britekit.occurrence.failures import ExistingFile, MissingFile, RefusedRow, UnknownArea, UnknownParent

_VERSION = 2
_BOUNDS = ("MinLongitude", "MaxLongitude", "MinLatitude", "MaxLatitude")
_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_ALL = " AND ".join(f"{name} IS NOT NULL" for name in _BOUNDS)
_NONE = " AND ".join(f"{name} IS NULL" for name in _BOUNDS)


def text_column(name: str) -> str:
    """Return the declaration of a text that must not be empty."""
    return f"{name} TEXT NOT NULL CHECK (length(trim({name})) > 0)"


AREA_COLUMNS = (
    f"ID INTEGER PRIMARY KEY, ParentID INTEGER REFERENCES AdministrativeArea(ID), {text_column('Code')} UNIQUE, "
    f"{text_column('Name')}, Level INTEGER NOT NULL CHECK (Level >= 0), {text_column('AreaType')}, "
    "Selectable INTEGER NOT NULL DEFAULT 0 CHECK (Selectable IN (0, 1)), MinLongitude REAL, MaxLongitude REAL, "
    "MinLatitude REAL, MaxLatitude REAL, DisplayOrder INTEGER NOT NULL DEFAULT 0"
)
AREA_TABLES = f"""
CREATE TABLE AdministrativeArea ({AREA_COLUMNS},
    CONSTRAINT four_bounds_in_order_or_none CHECK (
        ({_NONE}) OR ({_ALL} AND MinLongitude <= MaxLongitude AND MinLatitude <= MaxLatitude)
    )
);
CREATE INDEX AdministrativeArea_ParentID_idx ON AdministrativeArea(ParentID);
CREATE TABLE AdministrativeLevel (
    CountryAreaID INTEGER NOT NULL REFERENCES AdministrativeArea(ID) ON DELETE CASCADE,
    Level INTEGER NOT NULL CHECK (Level > 0), SingularName TEXT NOT NULL, PluralName TEXT NOT NULL,
    PRIMARY KEY (CountryAreaID, Level)
);
"""
_SCHEMA = f"""
CREATE TABLE SchemaVersion (Version INTEGER NOT NULL CHECK (Version = {_VERSION}));
INSERT INTO SchemaVersion VALUES ({_VERSION});
CREATE TABLE RegionPack (
    ID INTEGER PRIMARY KEY CHECK (ID = 1), {text_column("Code")}, {text_column("Name")},
    {text_column("DataVersion")}, TaxonomyVersion TEXT, CreatedAt TEXT NOT NULL DEFAULT ({_NOW})
);
{AREA_TABLES}
CREATE TABLE Class (ID INTEGER PRIMARY KEY, {text_column("Name")} UNIQUE);
CREATE TABLE Occurrence (
    AreaID INTEGER NOT NULL REFERENCES AdministrativeArea(ID) ON DELETE CASCADE,
    ClassID INTEGER NOT NULL REFERENCES Class(ID) ON DELETE CASCADE,
    Value BLOB NOT NULL, PRIMARY KEY (AreaID, ClassID)
);
CREATE INDEX Occurrence_ClassID_idx ON Occurrence(ClassID);
CREATE TABLE AdministrativeBoundary (
    AreaID INTEGER PRIMARY KEY REFERENCES AdministrativeArea(ID) ON DELETE CASCADE,
    GeometryFormat TEXT NOT NULL, Geometry BLOB NOT NULL
);
"""
_AREAS = """
SELECT area.ID AS id, area.ParentID AS parent_id, parent.Code AS parent_code, area.Code AS code, area.Name AS name,
    area.Level AS level, area.AreaType AS area_type, area.Selectable AS selectable,
    area.MinLongitude AS min_longitude, area.MaxLongitude AS max_longitude,
    area.MinLatitude AS min_latitude, area.MaxLatitude AS max_latitude, area.DisplayOrder AS display_order
FROM AdministrativeArea AS area LEFT JOIN AdministrativeArea AS parent ON parent.ID = area.ParentID
"""
_ORDER = " ORDER BY area.Level, area.DisplayOrder, area.Name, area.ID"


class OccurrenceDatabaseV2:
    """SQLite database of occurrence data by areas of several levels; each change is committed at once.

    Raises `DatabaseError` if it cannot be opened, is not a database, or has another schema version.

    Parameters
    ----------
    db_path
        The file.
    create
        Make it; it must not exist. Otherwise it must.
    """

    def __init__(self, db_path: str | Path, *, create: bool = False) -> None:
        self.path = Path(db_path)
        if create and self.path.exists():
            raise ExistingFile(f"{self.path} exists already; name a new occurrence database")
        if not create and not self.path.exists():
            raise MissingFile(f"occurrence database {self.path} does not exist")
        try:
            self.conn = sqlite3.connect(self.path)
        except sqlite3.Error as error:
            raise DatabaseError(f"{self.path} cannot be opened: {error}") from error
        self.conn.row_factory = sqlite3.Row
        try:
            self.conn.execute("PRAGMA foreign_keys = ON")
            if create:
                self.conn.executescript(_SCHEMA)
            version = schema_version(self.conn)
        except sqlite3.Error as error:
            self.conn.close()
            raise DatabaseError(f"{self.path} is not an occurrence database: {error}") from error
        if version != _VERSION:
            self.conn.close()
            what = "no schema version" if version is None else f"schema version {version}"
            hint = '; convert it by "britekit migrate-occurrence"' if version == 1 else ""
            raise DatabaseError(f"{self.path} has {what}; expected {_VERSION}{hint}")

    def __enter__(self) -> OccurrenceDatabaseV2:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; closing it again is a no-op."""
        self.conn.close()

    def set_region_pack(self, code: str, name: str, data_version: str, taxonomy_version: str | None = None) -> None:
        """Name the region and the version of its data, once."""
        columns = "ID, Code, Name, DataVersion, TaxonomyVersion"
        self._insert("RegionPack", columns, (1, code, name, data_version, taxonomy_version))

    def insert_area(
        self,
        *,
        code: str,
        name: str,
        level: int,
        area_type: str,
        selectable: bool,
        parent_code: str | None = None,
        min_longitude: float | None = None,
        max_longitude: float | None = None,
        min_latitude: float | None = None,
        max_latitude: float | None = None,
        display_order: int = 0,
    ) -> int:
        """Insert an area and return its ID.

        Parameters
        ----------
        level
            0 for countries; a child's is greater than its parent's.
        area_type
            ``country``, ``province``, ``county`` or what else it is called.
        selectable
            Whether it has values of its own; pickles hold these areas alone.
        parent_code
            The area around it, inserted before.
        """
        parent = None
        if parent_code is not None:
            try:
                parent = self.get_area(parent_code).id
            except UnknownArea as error:
                raise UnknownParent(f'area "{code}" has an unknown parent: {error}') from None
        columns = f"ParentID, Code, Name, Level, AreaType, Selectable, {', '.join(_BOUNDS)}, DisplayOrder"
        bounds = (min_longitude, max_longitude, min_latitude, max_latitude)
        row = (parent, code, name, level, area_type, int(selectable), *bounds, display_order)
        return self._insert("AdministrativeArea", columns, row)

    def insert_level(self, country_code: str, level: int, singular_name: str, plural_name: str) -> None:
        """Set the name of the areas of a level in a country."""
        row = (self.get_area(country_code).id, level, singular_name, plural_name)
        self._insert("AdministrativeLevel", "CountryAreaID, Level, SingularName, PluralName", row)

    def insert_class(self, name: str, *, class_id: int | None = None) -> int:
        """Insert a class, with an ID of its own if one is given, and return its ID."""
        return self._insert("Class", "ID, Name", (class_id, name))

    def insert_occurrences(self, area_id: int, class_id: int, value: Any) -> None:
        """Insert the 48 values of a class in an area, which are kept as 16-bit floats."""
        self.insert_compressed_occurrences(area_id, class_id, pack(value, f"class {class_id} in area {area_id}"))

    def insert_compressed_occurrences(self, area_id: int, class_id: int, value: bytes) -> None:
        """Insert values as a database holds them: 16-bit floats, compressed by zlib."""
        self._insert("Occurrence", "AreaID, ClassID, Value", (area_id, class_id, value))

    def get_all_areas(self) -> list[SimpleNamespace]:
        """Return all areas by level, display order and name."""
        return [_area(row) for row in self._read(_AREAS + _ORDER)]

    def get_area(self, code: str) -> SimpleNamespace:
        """Return the area with a code; `KeyError` if there is none."""
        rows = self._read(f"{_AREAS} WHERE area.Code = ?", code)
        if not rows:
            codes = [row[0] for row in self._read("SELECT Code FROM AdministrativeArea")]
            raise UnknownArea(f'no area has the code "{code}"{suggest(str(code), codes)}')
        return _area(rows[0])

    def get_children(self, parent_code: str) -> list[SimpleNamespace]:
        """Return the areas whose parent is the one with a code."""
        place = self.get_area(parent_code).id
        return [_area(row) for row in self._read(f"{_AREAS} WHERE area.ParentID = ?{_ORDER}", place)]

    def get_descendants(self, code: str) -> list[SimpleNamespace]:
        """Return the areas below the one with a code, at any depth."""
        below = (
            "WITH RECURSIVE below(ID) AS (SELECT ID FROM AdministrativeArea WHERE ParentID = ? UNION "
            "SELECT child.ID FROM AdministrativeArea AS child JOIN below ON child.ParentID = below.ID) "
        )
        query = f"{below}{_AREAS} WHERE area.ID IN (SELECT ID FROM below){_ORDER}"
        return [_area(row) for row in self._read(query, self.get_area(code).id)]

    def get_occurrences(self, area_id: int, class_name: str) -> Any:
        """Return the values of a class in an area, float32 (48,); an empty list if there are none."""
        query = "SELECT Value FROM Occurrence JOIN Class ON Class.ID = ClassID WHERE AreaID = ? AND Class.Name = ?"
        rows = self._read(query, area_id, class_name)
        return unpack(rows[0][0], f'{self.path}, "{class_name}" in area {area_id}') if rows else []

    def validate(self) -> list[str]:
        """Return what is wrong with the areas, a sentence each; an empty list if nothing is."""
        found = []
        packs = self._read("SELECT count(*) FROM RegionPack")[0][0]
        if packs != 1:
            found.append(f"expected one RegionPack row, found {packs}")
        if not self._read("SELECT 1 FROM AdministrativeArea WHERE ParentID IS NULL LIMIT 1"):
            found.append("no root administrative areas")
        wrong = self._read(
            "SELECT count(*) FROM AdministrativeArea AS area JOIN AdministrativeArea AS parent "
            "ON parent.ID = area.ParentID WHERE area.Level <= parent.Level"
        )[0][0]
        if wrong:
            found.append(f"{wrong} child areas do not have a greater level")
        broken = self._read("PRAGMA foreign_key_check")
        if broken:
            found.append(f"{len(broken)} rows refer to rows that do not exist")
        return found

    def _insert(self, table: str, columns: str, row: tuple[Any, ...]) -> int:
        marks = ", ".join("?" * len(row))
        try:
            with self.conn:
                return int(self.conn.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", row).lastrowid or 0)
        except sqlite3.IntegrityError as error:
            shown = ", ".join(f"{value!r}" for value in row if not isinstance(value, bytes))
            reason = " ".join(str(error).split())
            raise RefusedRow(f"{self.path}: {table} ({shown}) cannot be inserted: {reason}") from error
        except sqlite3.Error as error:
            raise DatabaseError(f"{self.path}: {table} cannot be changed: {error}") from error

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self.conn.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise DatabaseError(f"{self.path} cannot be read: {error}") from error


def _area(row: sqlite3.Row) -> SimpleNamespace:
    found = SimpleNamespace(**dict(row))
    found.selectable = bool(found.selectable)
    return found
