"""Copying a class, between files and servers in both directions."""

import sqlite3

import pytest
from sqlalchemy import insert, select, update

from britekit import commands
from britekit.database.classes import add_class, get_or_add_category
from britekit.database.copying import copy_class
from britekit.database.recordings import Facts, add_recording, find_recording, get_or_add_source
from britekit.database.schema import Segment, SegmentClass, SoundType, SpecValue
from britekit.database.segments import add_links, add_segments, segments_of
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.errors import DatabaseError, InputError
from tests.database.contents import contents, problems


@pytest.fixture
def origin(tmp_path):
    path = str(tmp_path / "origin.db")
    with open_database(path, "create") as session:
        robin = add_class(session, "Robin", "ROB", get_or_add_category(session, "birds"), "Erithacus", "E")
        wren = add_class(session, "Wren", "WREN")
        groups = [get_or_add_group(session, name, {"max_freq": n}) for n, name in enumerate(("default", "it's"))]
        song = session.scalars(insert(SoundType).values(name="song", description="d").returning(SoundType.id)).one()
        for number in range(5):
            source = get_or_add_source(session, "Wood" if number else "Field")
            facts = Facts("tape", "CC0", "me", "u", "t", 1.5, -2.5)
            key = add_recording(session, source, f"r{number}.wav", f"/r{number}", 9.0, facts)
            segments = add_segments(session, key, [0.0, 1.1, 2.2])
            add_links(session, [(segments[0], robin), (segments[1], robin), (segments[1], wren), (segments[2], wren)])
            add_values(session, groups[0], [(segment, bytes([segment])) for segment in segments])
            add_values(session, groups[1], [(segments[1], b"other")])
        session.execute(update(SegmentClass).where(SegmentClass.class_id == robin).values(soundtype_id=song))
        session.execute(update(Segment).where(Segment.id == 1).values(audio=b"1234", sampling_rate=8000))
        session.execute(update(SpecValue).where(SpecValue.id == 2).values(embedding=b"e"))
    return path


def test_everything_of_the_class_and_nothing_else(origin, target):
    assert commands.copy_class(origin, target, "Robin") == 15
    whole, copy = contents(origin), contents(target)
    assert copy["classes"] == [("birds", "Robin", "ROB", "Erithacus", "E")]
    wanted = [row for row in whole["links"] if row[3] == "Robin"]
    assert copy["links"] == wanted and {row[4] for row in wanted} == {"song"}
    places = {row[:3] for row in wanted}
    for table in ("segments", "spectrograms"):
        assert copy[table] == [row for row in whole[table] if row[:3] in places]
    for table in ("recordings", "facts"):
        assert copy[table] == whole[table]
    assert {name for (name,) in copy["categories"]} == {"default", "birds"}
    assert copy["sound types"] == [("song", "d")]
    assert problems(target) == []
    with open_database(target) as session:
        assert session.scalars(select(Segment.audio).where(Segment.audio.is_not(None))).all() == [b"1234"]


def test_what_is_there_is_used(origin, target):
    commands.copy_class(origin, target, "Robin")
    with open_database(origin) as source, open_database(target, "write") as session:
        session.execute(SpecValue.__table__.delete().where(SpecValue.value == b"other"))
        copied = copy_class(source, session, "Wren")
        # Segments at 1.1 s are there; their spectrograms of one group are missing.
        assert (copied.recordings, copied.segments, copied.spectrograms) == (0, 5, 10)
        key = find_recording(session, get_or_add_source(session, "Wood"), "r3.wav")
        assert list(segments_of(session, key.id)) == [0.0, 1.1, 2.2]
    whole, copy = contents(origin), contents(target)
    for table in whole:
        assert copy[table] == whole[table], table


def test_refusals(origin, target, tmp_path):
    with pytest.raises(DatabaseError, match='class "Robbin" is not in .*mean "Robin"'):
        commands.copy_class(origin, target, "Robbin")
    if "://" not in target:
        assert not (tmp_path / "t.db").exists()
    commands.copy_class(origin, target, "Robin")
    before = contents(target)
    with pytest.raises(DatabaseError, match='class "Robin" is already in'):
        commands.copy_class(origin, target, "Robin")
    with open_database(target, "write") as session:
        add_class(session, "Jay", "WREN")
    with pytest.raises(DatabaseError, match='code "WREN" is already used'):
        commands.copy_class(origin, target, "Wren")
    assert contents(target)["segments"] == before["segments"]
    with pytest.raises(InputError, match="the same database"):
        commands.copy_class(origin, str(tmp_path / "." / "origin.db"), "Robin")
    with pytest.raises(InputError, match="the same database"):
        commands.copy_class(target, target, "Robin")


def test_another_recording_of_that_name_is_not_taken_for_it(origin, tmp_path):
    target = str(tmp_path / "there.db")
    with open_database(target, "create") as session:
        key = add_recording(session, get_or_add_source(session, "Wood"), "r3.wav", "/else/r3", 30.0)
        add_links(session, [(add_segments(session, key, [0.0])[0], add_class(session, "Owl", "OWL"))])
    before = contents(target)
    with pytest.raises(DatabaseError, match=r"r3\.wav lasts 9 s in .*origin.*, but 30 s in .*there"):
        commands.copy_class(origin, target, "Robin")
    assert contents(target) == before


@pytest.mark.parametrize(("max_freq", "is_told"), [(0, False), (7, True)])
def test_a_group_made_with_other_settings_is_told_of(origin, tmp_path, caplog, max_freq, is_told):
    target = str(tmp_path / "there.db")
    with open_database(target, "create") as session:
        group = get_or_add_group(session, "default", {"max_freq": max_freq})
        key = add_recording(session, get_or_add_source(session, "Sea"), "s.wav", "/s", 9.0)
        add_values(session, group, [(add_segments(session, key, [0.0])[0], b"v")])
    commands.copy_class(origin, target, "Robin")
    assert ("was made with other audio settings" in caplog.text) == is_told
    assert ("max_freq 7, now 0" in caplog.text) == is_told


def test_a_day_of_one_recording(tmp_path, target):
    origin, many = str(tmp_path / "long.db"), 1_500
    with open_database(origin, "create") as session:
        key = add_recording(session, get_or_add_source(session, "Wood"), "day.wav", "/day", 86_400.0)
        segments = add_segments(session, key, [1.5 * number for number in range(many)])
        owl = add_class(session, "Owl", "OWL")
        add_links(session, [(segment, owl) for segment in segments])
    with open_database(origin) as source, open_database(target, "create") as session:
        driver = source.connection().connection.driver_connection
        driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)  # libraries allow 999 to 250,000
        assert copy_class(source, session, "Owl").segments == many
