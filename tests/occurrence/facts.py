"""Prints what the occurrence classes of the installed britekit answer to fixed calls, as JSON.

Run by the interpreters of two packages, see `test_public.py`; it uses only what both have.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

import britekit as bk
from britekit import commands

METADATA = {
    "region_pack": {"code": "canada", "name": "Canada", "data_version": "1", "taxonomy_version": "t"},
    "areas": [
        {
            "code": "CA-QC",
            "name": "Quebec",
            "level": 1,
            "area_type": "province",
            "parent_code": "CA",
            "display_order": 2,
        },
        {"code": "CA", "name": "Canada", "level": 0, "area_type": "country"},
        {"code": "CA-ON", "name": "Ontario", "level": 1, "area_type": "province", "parent_code": "CA"},
        {"code": "CA-ON-TO", "name": "Toronto!", "level": 2, "area_type": "city", "parent_code": "CA-ON"},
    ],
    "levels": [{"country_code": "CA", "level": 1, "singular_name": "Province", "plural_name": "Provinces"}],
}
COUNTIES = (
    ("Ottawa", "CA-ON-OT", -76.5, -75.0, 44.9, 45.6),
    ("Gatineau", "CA-QC-GA", -76.2, -75.2, 45.3, 46.0),
    ("Toronto", "CA-ON-TO", -79.7, -79.0, 43.5, 43.9),
)
PLACES = ((45.4, -75.7), (45.8, -75.3), (43.6, -79.5), (0, 0), (45.6, -75.0), (46.0, -76.20001))
NAMES = ("Robin", "Wren", "Silent", "Nobody")


def plain(value):
    """Return a value as JSON has it, with what tells two results apart: type of numbers and attributes."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "type": str(value.dtype)}
    if isinstance(value, np.generic):
        return {"number": value.item(), "type": str(value.dtype)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return {k: plain(v) for k, v in sorted(vars(value).items())} if hasattr(value, "__dict__") else value


def build(folder):
    """Write a database of version 1 with values by a fixed seed."""
    random = np.random.default_rng(7)
    database = bk.OccurrenceDatabase(str(folder / "one.db"))
    counties = [database.insert_county(*county) for county in COUNTIES]
    classes = [database.insert_class(name) for name in ("Wren", "Robin", "Silent")]
    for county, place in ((0, 0), (0, 1), (1, 1), (2, 1), (2, 0)):
        values = random.random(48) * (random.random(48) > 0.4)
        database.insert_occurrences(counties[county], classes[place], values)
    return database


def answers_of(database):
    """Return what database and provider answer."""
    provider = bk.OccurrenceDataProvider(database)
    found = {
        "counties": database.get_all_counties(), "classes": database.get_all_classes(),
        "occurrences": database.get_all_occurrences(),
        "places": [provider.find_county(*place) for place in PLACES],
        "regions": [[x.code for x in provider.find_counties(code)] for code in ("CA", "CA-ON-", "", "X", "ca")],
    }  # fmt: skip
    for name in NAMES:
        found[name] = [
            database.get_occurrences(1, name), database.get_occurrences(9, name),
            provider.occurrences("CA-ON-OT", name), provider.smoothed_occurrences("CA-ON-OT", name),
            *(provider.average_occurrences(code, name, by) for code in ("CA", "CA-ON") for by in (False, True)),
            *(provider.max_occurrences(code, name, by) for code in ("CA", "CA-ON") for by in (False, True)),
        ]  # fmt: skip
    return found


def values_of(pickle_path):
    """Return what the provider of a pickle answers."""
    provider = bk.OccurrencePickleProvider(pickle_path)
    found = {"version": provider.format_version, "counties": provider.counties, "names": provider.class_names}
    found["places"] = [provider.find_county(*place) for place in PLACES]
    for name in NAMES:
        for week in (None, 0, 1, 20, 46, 47):
            for smoothed in (True, False):
                regions = [
                    provider.occurrence_value(name, smoothed, code, week_num=week) for code in ("CA", "CA-ON-OT", "X")
                ]
                places = [provider.occurrence_value(name, smoothed, None, *place, week) for place in PLACES]
                found[f"{name} {week} {smoothed}"] = [regions, places]
    return found


def main(folder, others):
    """Return all answers about files written here, and about those that another package wrote."""
    found = {"one": answers_of(build(folder))}
    (folder / "areas.json").write_text(json.dumps(METADATA))
    report = commands.migrate_occurrence(str(folder / "one.db"), str(folder / "two.db"), str(folder / "areas.json"))
    found["migrated"] = report
    found["catalog"] = commands.compile_location_catalog(str(folder / "two.db"), str(folder / "areas.db"))
    commands.pickle_occurrence(None, str(folder / "one.db"), str(folder / "one.pkl"))
    bk.OccurrencePickler(str(folder / "two.db"), str(folder / "two.pkl")).pickle(quiet=True)
    for where in (folder, others):
        if where is not None:
            with bk.OccurrenceDatabaseV2(where / "two.db") as database:
                areas = database.get_all_areas()
                found[f"two {where is others}"] = [
                    areas, database.get_area("CA-ON"), database.get_children("CA"), database.get_descendants("CA"),
                    database.validate(), [[database.get_occurrences(x.id, name) for name in NAMES] for x in areas],
                ]  # fmt: skip
            found[f"one.pkl {where is others}"] = values_of(where / "one.pkl")
            found[f"two.pkl {where is others}"] = values_of(where / "two.pkl")
    if others is not None:
        found["one of others"] = answers_of(bk.OccurrenceDatabase(str(others / "one.db")))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out = Path(sys.argv[1])
    result = main(out, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    (out / "answers.json").write_text(json.dumps(plain(result), sort_keys=True))
