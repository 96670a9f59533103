"""`OccurrencePickler`: writes an occurrence database as a pickle, for fast access during inference."""

from __future__ import annotations

import os
import pickle
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from britekit.errors import DatabaseError, InputError
from britekit.files import atomic_path, refuse_overwriting
from britekit.occurrence.database import OccurrenceDatabase, schema_version, unpack
from britekit.occurrence.database_v2 import OccurrenceDatabaseV2
from britekit.occurrence.pickled import FORMAT
from britekit.occurrence.weeks import WEEKS, smoothed


@dataclass(frozen=True)
class OccurrencePickleReport:
    """The content of a pickle."""

    area_count: int
    class_count: int
    occurrence_count: int


class OccurrencePickler:
    """Writes a database of either version as a pickle of the same version."""

    def __init__(self, db_path: str | os.PathLike[str], output_path: str | os.PathLike[str]) -> None:
        self.db_path, self.output_path = os.fspath(db_path), os.fspath(output_path)

    @staticmethod
    def _schema_version(db_path: str) -> int:
        return version_of_database(db_path)

    def pickle(self, quiet: bool = False) -> None:
        """Write the file.

        Parameters
        ----------
        quiet
            Print nothing.

        Raises
        ------
        InputError
            The database does not exist.
        DatabaseError
            It is damaged, or a row is not 48 values.
        """
        report = write_occurrence_pickle(self.db_path, self.output_path)
        if not quiet:
            print(f"areas = {report.area_count}")
            print(f"classes = {report.class_count}")
            print(f"occurrences = {report.occurrence_count}")


def write_occurrence_pickle(
    db_path: str | os.PathLike[str], output_path: str | os.PathLike[str]
) -> OccurrencePickleReport:
    """Write a database as a pickle of its version, whole or not at all; see `OccurrencePickler`."""
    refuse_overwriting(output_path, db_path)
    version = version_of_database(db_path)
    data = v1_content(db_path) if version == 1 else v2_content(db_path)
    with atomic_path(output_path) as partial:
        partial.write_bytes(pickle.dumps(data, protocol=4 if version == 1 else 5))
    if version == 1:
        rows = sum(map(len, data["occurrences"].values()))
        return OccurrencePickleReport(len(data["counties"]), len(data["classes"]), rows)
    return OccurrencePickleReport(len(data["areas"]), len(data["class_names"]), len(data["values"]))


def version_of_database(db_path: str | os.PathLike[str]) -> int:
    """Return the schema version of an occurrence database, 1 or 2; it stays as it is.

    Raises
    ------
    InputError
        It does not exist.
    DatabaseError
        It is not an occurrence database, or of an unknown version.
    """
    if not Path(db_path).is_file():
        raise InputError(f"occurrence database {os.fspath(db_path)} does not exist")
    try:
        address = f"file:{quote(os.fsencode(Path(db_path).absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            version = schema_version(connection)
    except sqlite3.Error as error:
        raise DatabaseError(f"{os.fspath(db_path)} is not an occurrence database: {error}") from error
    if version not in (1, 2):
        stated = "states no schema version" if version is None else f"has schema version {version}"
        raise DatabaseError(f"{os.fspath(db_path)} {stated}; expected an occurrence database of version 1 or 2")
    return version


def v1_content(db_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a pickle of version 1 holds; of counties with one code the last counts, as there."""
    with OccurrenceDatabase(db_path) as database:
        counties, classes = database.get_all_counties(), database.get_all_classes()
        names = {info.id: info.name for info in classes}
        codes = {county.code: county.id for county in counties}
        rows: dict[int, dict[str, np.ndarray]] = {county.id: {} for county in counties}
        query = "SELECT CountyID, ClassID, Value FROM Occurrence ORDER BY rowid"
        for county, place, value in database.conn.execute(query):
            if place in names and county in rows:
                where = f'{db_path}, "{names[place]}" in county {county}'
                rows[county].setdefault(names[place], half_floats(value, where))
    found = {code: rows[place] for code, place in codes.items()}
    return {
        "counties": {county.code: county for county in counties},
        "classes": {info.name: info for info in classes},
        "occurrences": found,
        "smoothed": {code: {name: smoothed(row) for name, row in x.items()} for code, x in found.items()},
        "max": {code: {name: float(row.max()) for name, row in x.items()} for code, x in found.items()},
    }


def v2_content(db_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a pickle of version 2 holds: the selectable areas by ID, their rows by class."""
    with OccurrenceDatabaseV2(Path(db_path)) as database:
        problems = database.validate()
        if problems:
            raise DatabaseError(f"{db_path} is not a valid occurrence database: {'; '.join(problems)}")
        read = database.conn.execute
        region = read("SELECT Code, Name, DataVersion, TaxonomyVersion FROM RegionPack").fetchone()
        areas = read(
            "SELECT ID, Code, Name, MinLongitude, MaxLongitude, MinLatitude, MaxLatitude FROM AdministrativeArea "
            "WHERE Selectable = 1 ORDER BY ID"
        ).fetchall()
        classes = read("SELECT ID, Name FROM Class ORDER BY ID").fetchall()
        place = {row[0]: number for number, row in enumerate(classes)}
        offsets, indices, values = [0], [], []
        for area in areas:
            rows = read("SELECT ClassID, Value FROM Occurrence WHERE AreaID = ? ORDER BY ClassID", (area[0],))
            for class_id, value in rows:
                indices.append(place[class_id])
                values.append(half_floats(value, f'{db_path}, class {class_id} in area "{area[1]}"'))
            offsets.append(len(values))
    return {
        "format": FORMAT,
        "version": 2,
        "region": dict(zip(("code", "name", "data_version", "taxonomy_version"), region, strict=True)),
        "areas": [tuple(area)[1:] for area in areas],
        "class_names": tuple(row[1] for row in classes),
        "area_offsets": np.array(offsets, np.int64),
        "class_indices": np.array(indices, np.int32),
        "values": np.array(values, np.float16).reshape(-1, WEEKS),
    }


def half_floats(value: bytes, where: str) -> np.ndarray:
    """Return the 48 values of a row, float16."""
    row = unpack(value, where).astype(np.float16)
    if row.shape != (WEEKS,):
        raise DatabaseError(f"{where}: {len(row)} values, expected exactly {WEEKS}; insert them again")
    return row
