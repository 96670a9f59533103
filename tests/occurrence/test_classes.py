"""Databases, providers and pickles of occurrence data: values by hand, and files that cannot be used."""

import datetime
import os
import pickle
import shutil
import sqlite3
import sys
import types

import numpy as np
import pytest

import britekit as bk
from britekit import commands
from britekit.errors import DatabaseError, InputError
from britekit.occurrence.weeks import checked_week, week_of, week_of_text
from tests.occurrence import facts


@pytest.fixture
def built(tmp_path):
    facts.build(tmp_path).close()
    bk.OccurrencePickler(tmp_path / "one.db", tmp_path / "one.pkl").pickle(quiet=True)
    (tmp_path / "areas.json").write_text(facts.json.dumps(facts.METADATA))
    commands.migrate_occurrence(str(tmp_path / "one.db"), str(tmp_path / "two.db"), str(tmp_path / "areas.json"))
    bk.OccurrencePickler(tmp_path / "two.db", tmp_path / "two.pkl").pickle(quiet=True)
    return tmp_path


def drawn():
    """Return the values that `facts.build` inserts, as 16-bit floats: (county, class) to 48."""
    random = np.random.default_rng(7)
    pairs = (
        ("CA-ON-OT", "Wren"),
        ("CA-ON-OT", "Robin"),
        ("CA-QC-GA", "Robin"),
        ("CA-ON-TO", "Robin"),
        ("CA-ON-TO", "Wren"),
    )
    return {pair: (random.random(48) * (random.random(48) > 0.4)).astype(np.float16) for pair in pairs}


@pytest.mark.parametrize("file", ["one.pkl", "two.pkl"])
def test_values_are_those_inserted(built, file):
    provider, values = bk.OccurrencePickleProvider(built / file), drawn()
    for week in range(48):
        ottawa, wren = values["CA-ON-OT", "Robin"], [values["CA-ON-OT", "Wren"], values["CA-ON-TO", "Wren"]]
        around = max(ottawa[week - 1], ottawa[week], ottawa[(week + 1) % 48])
        assert provider.occurrence_value("Robin", False, "CA-ON-OT", week_num=week) == (True, True, ottawa[week])
        assert provider.occurrence_value("Robin", latitude=45.0, longitude=-76.0, week_num=week)[2] == around
        # of the three counties two have wrens, and they alone count
        mean = (float(wren[0][week]) + float(wren[1][week])) / 2
        assert provider.occurrence_value("Wren", False, "CA", week_num=week)[2] == pytest.approx(mean, abs=1e-12)
    assert provider.occurrence_value("Robin", region_code="CA-QC-GA")[2] == values["CA-QC-GA", "Robin"].max()
    assert provider.occurrence_value("Robin", latitude=0, longitude=-30) == (False, True, None)  # at sea
    assert provider.occurrence_value("Nobody", latitude=0, longitude=-30) == (False, False, None)
    assert provider.occurrence_value("Wren", region_code="CA-QC-GA") == (True, False, None)
    for week in (-1, 48, 52):
        with pytest.raises(InputError, match=f"week_num {week} does not exist"):
            provider.occurrence_value("Robin", region_code="CA", week_num=week)
    with pytest.raises(InputError, match="no place"):
        provider.occurrence_value("Robin", latitude=45.0)


def test_regions_weight_counties_by_area(built):
    with bk.OccurrenceDatabase(built / "one.db") as database:
        provider, values = bk.OccurrenceDataProvider(database), drawn()
        areas = {code: (x1 - x0) * (y1 - y0) for _, code, x0, x1, y0, y1 in facts.COUNTIES}
        robins = {code: values[code, "Robin"].astype(float) for code in areas}
        plain = sum(robins.values()) / 3
        weighted = sum(areas[code] * row for code, row in robins.items()) / sum(areas.values())
        np.testing.assert_allclose(provider.average_occurrences("CA", "Robin"), plain, rtol=1e-6)
        np.testing.assert_allclose(provider.average_occurrences("CA", "Robin", True), weighted, rtol=1e-6)
        wrens = [values[code, "Wren"].max() for code in ("CA-ON-OT", "CA-ON-TO")]
        assert provider.max_occurrences("CA", "Wren") == pytest.approx(float(sum(wrens)) / 3, rel=1e-3)  # one has none
        with pytest.raises(InputError, match='no county code begins with "XX"'):
            provider.average_occurrences("XX", "Robin")
        with pytest.raises(InputError, match='"CA-ON-OTT" is not in .*did you mean "CA-ON-OT"'):
            provider.occurrences("CA-ON-OTT", "Robin")


def test_migration_keeps_values_byte_by_byte(built):
    tables = "Occurrence JOIN County ON County.ID = CountyID JOIN Class ON Class.ID = ClassID"
    rows = f"SELECT County.Code, Class.Name, Value FROM {tables}"
    with sqlite3.connect(built / "one.db") as old, sqlite3.connect(built / "two.db") as new:
        before = sorted(old.execute(rows))
        assert before == sorted(new.execute(rows.replace("CountyID", "AreaID").replace("County", "AdministrativeArea")))
        assert len(before) == 5
    with bk.OccurrenceDatabaseV2(built / "two.db") as database:
        toronto = database.get_area("CA-ON-TO")
        assert (toronto.name, toronto.area_type, toronto.selectable, toronto.max_latitude) == (
            "Toronto!",
            "city",
            True,
            43.9,
        )
        with pytest.raises(KeyError, match='"CA-ON-OTT".*did you mean "CA-ON-OT"'):
            database.get_area("CA-ON-OTT")
        with pytest.raises(ValueError, match='area "X" has an unknown parent'):
            database.insert_area(code="X", name="X", level=1, area_type="x", selectable=True, parent_code="Y")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            database.insert_class("Robin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["areas"].pop(0), "missing parent definitions: CA-QC"),
        (lambda m: m["areas"][1].pop("area_type"), r"areas\[1\].area_type is not a text"),
        (lambda m: m["areas"].append(m["areas"][0]), 'two areas have the code "CA-QC"'),
        (lambda m: m["areas"][0].update(level="1"), r"areas\[0\].level is not a whole number"),
        (lambda m: m["areas"][0].update(level=0), "child areas do not have a greater level"),
        (lambda m: m["areas"][0].update(selectable="yes"), "neither true nor false"),
        (lambda m: m["areas"][0].update(bounds=[1, 2, 3, 4]), "bounds is not an object"),
        (lambda m: m["levels"][0].update(country_code="US"), r"levels\[0\]"),
        (lambda m: m.pop("region_pack"), "region_pack"),
        (lambda m: m.update(areas=[]), "areas is not a list"),
    ],
)
def test_migration_refuses_metadata_and_writes_nothing(built, change, message):
    metadata = facts.json.loads(facts.json.dumps(facts.METADATA))
    change(metadata)
    (built / "areas.json").write_text(facts.json.dumps(metadata))
    with pytest.raises((InputError, DatabaseError), match=message):
        commands.migrate_occurrence(str(built / "one.db"), str(built / "new.db"), str(built / "areas.json"))
    assert not (built / "new.db").exists()
    assert not list(built.glob("*partial*"))


def test_outputs_are_not_overwritten(built):
    before = (built / "two.db").read_bytes()
    with pytest.raises(FileExistsError):
        commands.migrate_occurrence(str(built / "one.db"), str(built / "two.db"), str(built / "areas.json"))
    with pytest.raises(FileExistsError):
        commands.compile_location_catalog(str(built / "two.db"), str(built / "one.db"))
    assert (built / "two.db").read_bytes() == before
    with pytest.raises(InputError, match="is read here"):
        bk.OccurrencePickler(built / "two.db", built / "two.db").pickle()


def test_catalog_has_areas_alone(built):
    report = commands.compile_location_catalog(str(built / "two.db"), str(built / "areas.db"))
    assert (report.region_code, report.area_count, report.selectable_area_count, report.level_count) == (
        "canada",
        6,
        3,
        1,
    )
    with sqlite3.connect(built / "areas.db") as catalog, sqlite3.connect(built / "two.db") as source:
        tables = {name for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {"CatalogMetadata", "AdministrativeArea", "AdministrativeLevel"}
        for table in ("AdministrativeArea", "AdministrativeLevel"):
            assert (
                catalog.execute(f"SELECT * FROM {table}").fetchall()
                == source.execute(f"SELECT * FROM {table}").fetchall()
            )
        pack = "SELECT RegionCode, RegionName, DataVersion, TaxonomyVersion FROM CatalogMetadata"
        assert catalog.execute(pack).fetchall() == [("canada", "Canada", "1", "t")]


def test_databases_of_other_kinds(built, tmp_path):
    with pytest.raises(DatabaseError, match="schema version 2.*OccurrenceDatabaseV2"):
        bk.OccurrenceDatabase(built / "two.db")
    with pytest.raises(DatabaseError, match="schema version 1.*migrate-occurrence"):
        bk.OccurrenceDatabaseV2(built / "one.db")
    with pytest.raises(FileNotFoundError):
        bk.OccurrenceDatabaseV2(tmp_path / "none.db")
    with pytest.raises(InputError, match="does not exist"):
        bk.OccurrencePickler(tmp_path / "none.db", tmp_path / "x.pkl").pickle()
    (tmp_path / "text.db").write_text("hello\n" * 1000)
    with pytest.raises(DatabaseError, match="not an occurrence database"):
        bk.OccurrencePickler(tmp_path / "text.db", tmp_path / "x.pkl").pickle()
    shutil.copy(built / "one.db", tmp_path / "newer.db")
    with sqlite3.connect(tmp_path / "newer.db") as database:
        database.execute("UPDATE SchemaVersion SET Version = 7")
    with pytest.raises(DatabaseError, match="schema version 7"):
        bk.OccurrenceDatabase(tmp_path / "newer.db")


@pytest.mark.parametrize(
    "value", [b"no zlib", __import__("zlib").compress(bytes(94)), __import__("zlib").compress(bytes(1 << 22))]
)
def test_rows_that_are_not_48_values_are_named(built, value):
    for file, column in (("one.db", "CountyID"), ("two.db", "AreaID")):
        with sqlite3.connect(built / file) as database:
            database.execute(f"UPDATE Occurrence SET Value = ? WHERE rowid = 1 AND {column} > 0", (value,))
        with pytest.raises(DatabaseError, match="expected exactly 48|the values are damaged"):
            bk.OccurrencePickler(built / file, built / "new.pkl").pickle()
    assert not (built / "new.pkl").exists()


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("file", ["one.pkl", "two.pkl"])
def test_code_in_a_pickle_does_not_run(built, file):
    content = pickle.loads((built / file).read_bytes())
    for protocol in (0, 2, 4, 5):
        for place in ("extra", "values" if file == "two.pkl" else "max"):
            (built / "evil.pkl").write_bytes(pickle.dumps({**content, place: Evil(built / "mark")}, protocol))
            with pytest.raises(ValueError, match="would run code|is not"):
                bk.OccurrencePickleProvider(built / "evil.pkl")
    for name in (
        np.load,
        np.core.multiarray.fromstring if hasattr(np.core.multiarray, "fromstring") else np.memmap,
        os.getcwd,
    ):
        (built / "evil.pkl").write_bytes(pickle.dumps({**content, "extra": name}))
        with pytest.raises(ValueError, match="would run code"):
            bk.OccurrencePickleProvider(built / "evil.pkl")
    assert not (built / "mark").exists()


@pytest.mark.parametrize("file", ["one.pkl", "two.pkl"])
def test_a_pickle_cut_anywhere_is_refused(built, file):
    whole = (built / file).read_bytes()
    for size in range(0, len(whole), 37):
        (built / "cut.pkl").write_bytes(whole[:size])
        with pytest.raises(ValueError):
            bk.OccurrencePickleProvider(built / "cut.pkl")


def test_a_changed_byte_is_refused_or_read_as_numbers(built):
    """A flipped byte gives other values or an error with the file's name, never another exception or a hang."""
    random = np.random.default_rng(3)
    for file in ("one.pkl", "two.pkl"):
        whole = bytearray((built / file).read_bytes())
        for place in random.integers(0, len(whole), 600):
            changed = bytearray(whole)
            changed[place] ^= int(random.integers(1, 256))
            (built / "changed.pkl").write_bytes(changed)
            try:
                bk.OccurrencePickleProvider(built / "changed.pkl").occurrence_value("Robin", region_code="CA")
            except InputError as error:
                assert "changed.pkl" in str(error)


def test_pickles_of_other_versions_and_layouts(built):
    two = pickle.loads((built / "two.pkl").read_bytes())
    one = pickle.loads((built / "one.pkl").read_bytes())
    older = {key: one[key] for key in ("counties", "classes", "occurrences")}  # without what can be computed
    (built / "new.pkl").write_bytes(pickle.dumps(older, 2 if sys.version_info < (3,) else 4))
    answers = facts.values_of(built / "new.pkl")
    assert facts.plain(answers) == facts.plain(facts.values_of(built / "one.pkl"))
    wrong = [
        ({**two, "version": 999}, "Unsupported occurrence pickle version 999"),
        ({**two, "format": "x"}, "does not hold occurrence data"),
        ({"name": []}, "does not hold occurrence data"),
        ([1], "does not hold occurrence data"),
        ({k: v for k, v in two.items() if k != "values"}, "has no 'values'"),
        ({**two, "class_indices": two["class_indices"] + 9}, "belongs to no class"),
        ({**two, "area_offsets": two["area_offsets"][::-1].copy()}, "do not divide"),
        ({**two, "class_names": ("a", "a", "b")}, "different texts"),
        ({**two, "values": two["values"][:, :47].copy()}, "not \\(rows, 48\\)"),
        ({**two, "areas": [(*two["areas"][0][:2], "w", 1, 2, 3), *two["areas"][1:]]}, "not four numbers"),
        ({**one, "occurrences": {"CA-XX": {}}}, "not described"),
        ({**one, "occurrences": {"CA-ON-OT": {"Robin": np.ones(47)}}}, "not 48 numbers"),
        ({**one, "counties": {"A": types.SimpleNamespace(code="B", name="B")}}, "another code"),
    ]
    for content, message in wrong:
        (built / "new.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=message):
            bk.OccurrencePickleProvider(built / "new.pkl")


def test_weeks_of_dates():
    days = {
        (1, 1): 0,
        (1, 7): 0,
        (1, 8): 1,
        (1, 15): 2,
        (1, 21): 2,
        (1, 22): 3,
        (1, 31): 3,
        (2, 29): 7,
        (12, 22): 47,
        (12, 31): 47,
    }
    for (month, day), week in days.items():
        assert week_of(datetime.date(2024, month, day)) == week
        assert week_of_text(f"{month:02d}-{day:02d}") == week
    assert week_of_text("2024-02-29") == 7
    assert [checked_week(number) for number in (1, 48)] == [0, 47]
    for text in ("2023-02-29", "2024-13-01", "02-30", "today", "20240512x", "", "2024-5-1", "05-12-2024"):
        with pytest.raises(InputError, match="is not a day"):
            week_of_text(text)
    for number in (0, 49, 53, -1):
        with pytest.raises(InputError, match=f"week {number} does not exist; expected 1 to 48"):
            checked_week(number)
