"""`OccurrenceDatabase`: frequencies per county, class and week in SQLite, schema version 1."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from britekit.errors import DatabaseError, InputError
from britekit.occurrence.weeks import WEEKS

log = logging.getLogger(__name__)

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS SchemaVersion (Version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS County (
    ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL, Code TEXT NOT NULL,
    MinX REAL NOT NULL, MaxX REAL NOT NULL, MinY REAL NOT NULL, MaxY REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS Class (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS Occurrence (
    CountyID INTEGER NOT NULL REFERENCES County(ID) ON DELETE CASCADE,
    ClassID INTEGER NOT NULL REFERENCES Class(ID) ON DELETE CASCADE,
    Value BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_class_name ON Class (Name);
CREATE INDEX IF NOT EXISTS idx_county_id ON Occurrence (CountyID);
CREATE INDEX IF NOT EXISTS idx_class_id ON Occurrence (ClassID);
"""


class OccurrenceDatabase:
    """SQLite database of occurrence data, made if it does not exist; each change is committed at once.

    Raises `DatabaseError` if it cannot be opened, is not a database, or has another schema version.
    """

    def __init__(self, db_path: str | os.PathLike[str] = "data/occurrence.db") -> None:
        self.path = os.fspath(db_path)
        try:
            self.conn = sqlite3.connect(self.path)
        except sqlite3.Error as error:
            raise DatabaseError(f"{self.path} cannot be opened: {error}") from error
        self.cursor = self.conn.cursor()
        try:
            version = schema_version(self.conn)
            if version not in (None, _VERSION):
                hint = "; open it as OccurrenceDatabaseV2" if version == 2 else ""
                raise DatabaseError(f"{self.path} has schema version {version}; expected {_VERSION}{hint}")
            self.conn.execute("PRAGMA foreign_keys = ON")
            self.conn.executescript(_SCHEMA)
            if version is None:
                self.conn.execute("INSERT INTO SchemaVersion VALUES (?)", (_VERSION,))
                self.conn.commit()
        except sqlite3.Error as error:
            self.conn.close()
            raise DatabaseError(f"{self.path} cannot be used as an occurrence database: {error}") from error
        except DatabaseError:
            self.conn.close()
            raise

    def __enter__(self) -> OccurrenceDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; closing it again is a no-op."""
        self.conn.close()

    def insert_county(self, name: str, code: str, min_x: float, max_x: float, min_y: float, max_y: float) -> int:
        """Insert a county with its bounding box (x is the longitude) and return its ID."""
        for field, value, limit in (
            ("min_x", min_x, 180), ("max_x", max_x, 180), ("min_y", min_y, 90), ("max_y", max_y, 90)
        ):  # fmt: skip
            if value is not None and not (_is_number(value) and abs(value) <= limit):
                raise InputError(f"{field} of county {code} is {value!r}; expected -{limit} to {limit} degrees")
        with self._reporting(f'county "{code}" cannot be inserted'):
            row = (name, code, min_x, max_x, min_y, max_y)
            self.cursor.execute("INSERT INTO County (Name, Code, MinX, MaxX, MinY, MaxY) VALUES (?,?,?,?,?,?)", row)
        if min_x > max_x or min_y > max_y:
            log.warning("no place lies in county %s: a lower bound is above the upper one", code)
        return int(self.cursor.lastrowid or 0)

    def insert_class(self, name: str) -> int:
        """Insert a class and return its ID."""
        with self._reporting(f'class "{name}" cannot be inserted'):
            self.cursor.execute("INSERT INTO Class (Name) VALUES (?)", (name,))
        return int(self.cursor.lastrowid or 0)

    def insert_occurrences(self, county_id: int, class_id: int, value: Any) -> bool:
        """Insert the 48 values of a class in a county, which are kept as 16-bit floats; return True."""
        with self._reporting(f"values of class {class_id} in county {county_id} cannot be inserted"):
            row = (county_id, class_id, pack(value, f"class {class_id} in county {county_id}"))
            self.cursor.execute("INSERT INTO Occurrence (CountyID, ClassID, Value) VALUES (?,?,?)", row)
        return True

    def delete_county(self, id: int) -> int:
        """Delete a county with its values and return the number of counties deleted."""
        with self._reporting(f"county {id} cannot be deleted"):
            return self.cursor.execute("DELETE FROM County WHERE ID = ?", (id,)).rowcount

    def delete_class(self, id: int) -> int:
        """Delete a class with its values and return the number of classes deleted."""
        with self._reporting(f"class {id} cannot be deleted"):
            return self.cursor.execute("DELETE FROM Class WHERE ID = ?", (id,)).rowcount

    def get_all_counties(self) -> list[SimpleNamespace]:
        """Return all counties: id, name, code, min_x, max_x, min_y, max_y."""
        columns = "ID AS id, Name AS name, Code AS code, MinX AS min_x, MaxX AS max_x, MinY AS min_y, MaxY AS max_y"
        return self._rows(f"SELECT {columns} FROM County ORDER BY ID")

    def get_all_classes(self) -> list[SimpleNamespace]:
        """Return all classes: id, name."""
        return self._rows("SELECT ID AS id, Name AS name FROM Class ORDER BY ID")

    def get_all_occurrences(self) -> list[SimpleNamespace]:
        """Return county_id and class_id of every row of values."""
        return self._rows("SELECT CountyID AS county_id, ClassID AS class_id FROM Occurrence ORDER BY rowid")

    def get_occurrences(self, county_id: int, class_name: str) -> Any:
        """Return the values of a class in a county, float32 (48,); an empty list if there are none.

        If there are several rows, the first one counts.
        """
        query = (
            "SELECT Value FROM Occurrence JOIN Class ON Class.ID = ClassID WHERE CountyID = ? AND Class.Name = ? "
            "ORDER BY Occurrence.rowid LIMIT 1"
        )
        with self._reporting("values cannot be read"):
            row = self.cursor.execute(query, (county_id, class_name)).fetchone()
        return [] if row is None else unpack(row[0], f'{self.path}, "{class_name}" in county {county_id}')

    def _rows(self, query: str) -> list[SimpleNamespace]:
        with self._reporting("rows cannot be read"):
            found = self.cursor.execute(query)
            names = [column[0] for column in found.description]
            return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in found]

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        """Commit what the block does; with an error undo it and turn SQLite's words into a sentence."""
        try:
            yield
            self.conn.commit()
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.ProgrammingError):  # closed
                self.conn.rollback()
            raise DatabaseError(f"{self.path}: {what}: {error}") from error


def schema_version(connection: sqlite3.Connection) -> int | None:
    """Return the version that an occurrence database states, None if it states none."""
    tables = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'SchemaVersion'")
    row = connection.execute("SELECT Version FROM SchemaVersion").fetchone() if tables.fetchone() else None
    return None if row is None else int(row[0])


def pack(values: Any, where: str) -> bytes:
    """Return values as databases keep them: 16-bit floats, compressed by zlib.

    Raises `InputError` if they are not numbers.
    """
    try:
        array = np.asarray(values).astype(np.float16)
    except (TypeError, ValueError):
        raise InputError(f"the values of {where} are not numbers; expected {WEEKS} of them") from None
    if array.shape != (WEEKS,):
        log.warning("%s has values of shape %s, not %d numbers; no pickle takes it", where, array.shape, WEEKS)
    return zlib.compress(array.tobytes())


def unpack(value: bytes, where: str) -> np.ndarray:
    """Return float32 values that `pack` packed; raises `DatabaseError` if they are damaged."""
    try:
        machine = zlib.decompressobj()
        data = machine.decompress(value, 1 << 16)  # no row is longer: a small one that expands is damaged
        if not machine.eof:
            raise ValueError
        return np.frombuffer(data, np.float16).astype(np.float32)
    except (zlib.error, ValueError, TypeError):
        raise DatabaseError(f"{where}: the values are damaged; insert them again") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)
