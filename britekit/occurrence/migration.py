"""Converts an occurrence database of version 1, with counties, to version 2, with areas of several levels."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from britekit.errors import DatabaseError, InputError
from britekit.files import atomic_path
from britekit.occurrence.database import schema_version
from britekit.occurrence.database_v2 import OccurrenceDatabaseV2
from britekit.occurrence.failures import ExistingFile

log = logging.getLogger(__name__)

_BOUNDS = ("min_longitude", "max_longitude", "min_latitude", "max_latitude")
_PACK = ("code", "name", "data_version")
_LEVEL = ("country_code", "level", "singular_name", "plural_name")
_AREA = {"code", "name", "level", "area_type", "parent_code", "selectable", "bounds", "display_order", *_BOUNDS}


@dataclass(frozen=True)
class OccurrenceMigrationReport:
    """The converted content: counties, areas that are none, all areas, classes, rows of values."""

    source_area_count: int
    parent_area_count: int
    total_area_count: int
    class_count: int
    occurrence_count: int


def migrate_occurrence_v1_to_v2(
    input_path: str | os.PathLike[str], output_path: str | os.PathLike[str], metadata_path: str | os.PathLike[str]
) -> OccurrenceMigrationReport:
    """Write a database of version 2 from one of version 1, which stays as it is.

    Counties become selectable areas below the area whose code is theirs without the last part (``CA-ON`` for
    ``CA-ON-OT``); a county that the metadata also describe takes name, kind, parent and order from there.
    Values are copied byte by byte.

    Raises `InputError` if a file is missing, exists already, or the metadata lack something; nothing is written.

    Parameters
    ----------
    metadata_path
        JSON with ``region_pack``, ``areas`` and, if wanted, ``levels``.
    """
    source, output = Path(input_path), Path(output_path)
    if not source.is_file():
        raise InputError(f"occurrence database {source} does not exist")
    if output.exists():
        raise ExistingFile(f"{output} exists already; name a new occurrence database")
    counties, classes, rows = _read_v1(source)
    metadata = _Metadata.read(Path(metadata_path))
    areas = metadata.with_counties(counties)
    with atomic_path(output) as partial:
        partial.unlink()
        with OccurrenceDatabaseV2(partial, create=True) as database:
            # One transaction: a commit per row would take minutes.
            database.conn.execute("PRAGMA synchronous = OFF")
            database.set_region_pack(**metadata.pack)
            ids = {area["code"]: database.insert_area(**area) for area in areas}
            for level in metadata.levels:
                database.insert_level(**level)
            for place, name in classes:
                database.insert_class(name, class_id=place)
            code_of = {county["id"]: county["code"] for county in counties}
            found = [(ids[code_of[county]], place, value) for county, place, value in rows]
            with database.conn:
                database.conn.executemany("INSERT INTO Occurrence (AreaID, ClassID, Value) VALUES (?, ?, ?)", found)
            problems = database.validate()
        if problems:
            raise DatabaseError(f"{output} would be invalid: {'; '.join(problems)}; correct {metadata_path}")
    parents = len(areas) - len(counties)
    return OccurrenceMigrationReport(len(counties), parents, len(areas), len(classes), len(rows))


def _read_v1(path: Path) -> tuple[list[dict[str, Any]], list[tuple[int, str]], list[tuple[int, int, bytes]]]:
    """Return counties, classes and rows; rows that no schema of version 2 can hold are named."""
    try:
        address = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            missing = sorted({"County", "Class", "Occurrence"} - tables)
            if missing or schema_version(connection) not in (None, 1):
                why = f"missing tables: {', '.join(missing)}" if missing else "its schema has another version"
                raise InputError(f"{path} is not an occurrence database of version 1: {why}")
            columns = ("id", "name", "code", *_BOUNDS)
            query = "SELECT ID, Name, Code, MinX, MaxX, MinY, MaxY FROM County ORDER BY ID"
            counties = [dict(zip(columns, row, strict=True)) for row in connection.execute(query)]
            classes = connection.execute("SELECT ID, Name FROM Class ORDER BY ID").fetchall()
            query = "SELECT CountyID, ClassID, Value FROM Occurrence ORDER BY rowid"
            rows = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise DatabaseError(f"{path} cannot be read as an occurrence database: {error}") from error
    codes: set[str] = set()
    for county in counties:
        if county["code"] in codes:
            raise InputError(f'{path}: two counties have the code "{county["code"]}"; delete one')
        codes.add(county["code"])
        low_x, high_x, low_y, high_y = (county[name] for name in _BOUNDS)
        if not all(isinstance(x, float) for x in (low_x, high_x, low_y, high_y)) or low_x > high_x or low_y > high_y:
            raise InputError(f'{path}: the bounds of county "{county["code"]}" are not a box; correct them')
    seen: set[tuple[int, int]] = set()
    ids, names = {county["id"] for county in counties}, dict(classes)
    for county_id, class_id, _ in rows:
        if (county_id, class_id) in seen or county_id not in ids or class_id not in names:
            why = "comes twice" if (county_id, class_id) in seen else "belongs to a county or class that does not exist"
            raise InputError(f"{path}: the row of class {class_id} in county {county_id} {why}; delete it")
        seen.add((county_id, class_id))
    return counties, classes, rows


@dataclass(frozen=True)
class _Metadata:
    """The checked content of the JSON file; areas as `OccurrenceDatabaseV2.insert_area` takes them."""

    path: Path
    pack: dict[str, Any]
    areas: list[dict[str, Any]]
    levels: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> _Metadata:
        """Read the file."""
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(content, dict) or not isinstance(content.get("region_pack"), dict):
            raise InputError(f"{path} is not an object with region_pack, areas and levels")
        pack, areas = content["region_pack"], content.get("areas")
        for name in _PACK:
            if not _is_text(pack.get(name)):
                raise InputError(f"{path}: region_pack.{name} is not a text")
        if not isinstance(areas, list) or not areas:
            raise InputError(f"{path}: areas is not a list of areas")
        _report_unused(path, "", set(content) - {"region_pack", "areas", "levels"})
        _report_unused(path, "region_pack.", set(pack) - {*_PACK, "taxonomy_version"})
        read = [_read_area(path, place, area) for place, area in enumerate(areas)]
        codes = [area["code"] for area in read]
        for code in codes:
            if codes.count(code) > 1:
                raise InputError(f'{path}: two areas have the code "{code}"; leave one out')
        levels = content.get("levels") or []
        for place, level in enumerate(levels):
            wrong = not isinstance(level, dict) or set(level) != set(_LEVEL) or not _is_int(level["level"], 1)
            if wrong or level["country_code"] not in codes or not all(_is_text(level[x]) for x in _LEVEL[2:]):
                raise InputError(f"{path}: levels[{place}] is not {', '.join(_LEVEL)} of a country among the areas")
        taxonomy = pack.get("taxonomy_version")
        named = {**{name: pack[name] for name in _PACK}, "taxonomy_version": taxonomy and str(taxonomy)}
        return cls(path, named, read, list(levels))

    def with_counties(self, counties: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return all areas, parents before children, with what the counties add."""
        described = {area["code"]: area for area in self.areas}
        missing = set()
        for county in counties:
            code, bounds = county["code"], {name: county[name] for name in _BOUNDS}
            if code in described:
                described[code] |= {**bounds, "selectable": True}
                continue
            parent = code.rpartition("-")[0] or None
            if parent is not None and parent not in described:
                missing.add(parent)
            level = code.count("-")
            described[code] = {
                "code": code, "name": county["name"], "level": level, "area_type": f"subnational{level}",
                "selectable": True, "parent_code": parent, **bounds,
            }  # fmt: skip
        missing |= {x["parent_code"] for x in self.areas if x.get("parent_code")} - described.keys()
        if missing:
            raise InputError(
                f"{self.path} is missing parent definitions: {', '.join(sorted(missing))}; add these areas"
            )
        own = {area["code"] for area in self.areas}
        # As there: the metadata's areas by level and code, then the counties in the order of the database.
        first = sorted((x for x in described.values() if x["code"] in own), key=lambda x: (x["level"], x["code"]))
        return [*first, *(x for x in described.values() if x["code"] not in own)]


def _read_area(path: Path, place: int, area: Any) -> dict[str, Any]:
    if not isinstance(area, dict):
        raise InputError(f"{path}: areas[{place}] is not an object")
    for name in ("code", "name", "area_type"):
        if not _is_text(area.get(name)):
            raise InputError(f"{path}: areas[{place}].{name} is not a text")
    if not _is_int(area.get("level"), 0):
        raise InputError(f"{path}: areas[{place}].level is not a whole number of 0 or more")
    if not isinstance(area.get("selectable", False), bool):
        raise InputError(f"{path}: areas[{place}].selectable is neither true nor false")
    if not _is_int(area.get("display_order", 0), None):
        raise InputError(f"{path}: areas[{place}].display_order is not a whole number")
    _report_unused(path, f"areas[{place}].", set(area) - _AREA)
    bounds = area.get("bounds", {name: area.get(name) for name in _BOUNDS})
    if not isinstance(bounds, dict) or set(bounds) - set(_BOUNDS):
        raise InputError(f"{path}: areas[{place}].bounds is not an object with {', '.join(_BOUNDS)}")
    return {
        "code": area["code"], "name": area["name"], "level": area["level"], "area_type": area["area_type"],
        "selectable": area.get("selectable", False), "parent_code": area.get("parent_code"),
        "display_order": area.get("display_order", 0), **{name: bounds.get(name) for name in _BOUNDS},
    }  # fmt: skip


def _report_unused(path: Path, where: str, names: set[str]) -> None:
    if names:
        log.warning("%s: %s is not used", path, ", ".join(f"{where}{name}" for name in sorted(names)))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_int(value: Any, low: int | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and (low is None or value >= low)
