"""Removing things, on SQLite and PostgreSQL, held against the rules written down as loops over sets."""

import random
from functools import partial

import pytest
from sqlalchemy import insert, select

from britekit.database import deletion
from britekit.database.class_segments import ClassSegments
from britekit.database.classes import add_class, get_or_add_category
from britekit.database.named import add_named
from britekit.database.recordings import Facts, NamedRecordings, add_recording, get_or_add_source
from britekit.database.schema import Category, SegmentClass, SoundType, Source, SpecGroup
from britekit.database.segments import add_links, add_segments
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.errors import DatabaseError
from tests.database.contents import contents, problems

NAMES = ["Robin", "it's", 'say "hi"', "100%_", "🦉" * 3, "y" * 10_000]


def fill(target, seed):
    """Fill a database at random; return {(source, file): {offset: set of classes}} and category by class."""
    rng = random.Random(seed)
    recordings = {}
    categories = {}
    with open_database(target, "create") as session:
        ids = {}
        for name in NAMES:
            categories[name] = rng.choice(["default", "birds", "frogs"])
            ids[name] = add_class(session, name, name[:20], get_or_add_category(session, categories[name]))
        groups = [get_or_add_group(session, name) for name in ("default", "other")]
        for number in range(12):
            source, filename = rng.choice(["default", "Wood"]), f"{rng.choice('ab')}{number // 2}.wav"
            if (source, filename) in recordings:
                continue
            facts = Facts(licence="CC0") if rng.random() < 0.5 else None
            key = add_recording(session, get_or_add_source(session, source), filename, f"/{filename}", 9.0, facts)
            offsets = sorted(rng.sample(range(9), rng.randint(1, 5)))
            held = {float(offset): set(rng.sample(NAMES, rng.choice([1, 1, 2]))) for offset in offsets}
            segments = add_segments(session, key, list(held))
            for segment, names in zip(segments, held.values()):
                add_links(session, [(segment, ids[name]) for name in names])
                for group in groups:
                    if rng.random() < 0.7 or group == groups[0]:
                        add_values(session, group, [(segment, bytes([group]))])
            recordings[source, filename] = held
    return recordings, categories


def without(recordings, doomed):
    """The rule of del-class and del-cat, recording by recording."""
    left = {}
    for key, held in recordings.items():
        classes = set().union(*held.values())
        if classes & doomed and not classes - doomed:
            continue
        kept = {offset: names - doomed for offset, names in held.items()}
        left[key] = {offset: names for offset, names in kept.items() if names}
    return left


def stored(target):
    """Return what `fill` returned, read back, after checking that nothing hangs loose."""
    assert problems(target) == []
    rows = contents(target)
    found = {(source, name): {} for source, name, *_more in rows["recordings"]}
    for source, filename, offset, name, _soundtype in rows["links"]:
        found[source, filename].setdefault(offset, set()).add(name)
    assert len(rows["segments"]) == sum(map(len, found.values()))
    assert {(source, filename, offset) for source, filename, offset, *_ in rows["spectrograms"]} == {
        (source, filename, offset) for (source, filename), held in found.items() for offset in held
    }
    assert {name for name, *_more in rows["facts"]} <= {filename for _source, filename in found}
    return found


@pytest.mark.parametrize("seed", range(4))
def test_classes_and_categories(target, seed):
    recordings, categories = fill(target, seed)
    assert stored(target) == recordings
    name = NAMES[seed]
    with open_database(target, "write") as session:
        removed = deletion.delete_class(session, name)
    expected = without(recordings, {name})
    assert stored(target) == expected
    assert removed["Class"] == 1 and removed["Recording"] == len(recordings) - len(expected)

    assert removed["SegmentClass"] == sum(len(names) for held in recordings.values() for names in held.values()) - sum(
        len(names) for held in expected.values() for names in held.values()
    )

    with open_database(target, "write") as session:
        deletion.delete_category(session, "birds") if "birds" in set(categories.values()) else None
    doomed = {key for key, category in categories.items() if category == "birds"}
    assert stored(target) == without(expected, doomed)
    assert {row[1] for row in contents(target)["classes"]} == set(NAMES) - doomed - {name}


@pytest.mark.parametrize("seed", range(2))
def test_sources_recordings_and_segments(target, seed):
    recordings, _categories = fill(target, seed)
    with open_database(target, "write") as session:
        deletion.delete_source(session, "Wood")
    expected = {key: held for key, held in recordings.items() if key[0] != "Wood"}
    assert stored(target) == expected
    key = sorted(expected)[0]
    with open_database(target, "write") as session:
        removed = deletion.delete_named_recordings(session, key[1])
    assert removed["Recording"] == 1 and removed["Segment"] == len(expected.pop(key))
    assert stored(target) == expected
    key = sorted(expected)[0]
    offset, names = sorted(expected[key].items())[0]
    with open_database(target, "write") as session:
        for name in sorted(names):
            segments = ClassSegments(session, name)
            (found,) = segments.find(key[1].removesuffix(".wav"), offset + 0.06, 0.06)
            assert (found.filename, found.source, found.offset) == (key[1], key[0], offset)
            deletion.unlink_segments(session, [found.segment_id], segments.class_id)
    del expected[key][offset]
    if not expected[key]:
        del expected[key]
    assert stored(target) == expected


def test_groups_and_sound_types(target):
    recordings, _categories = fill(target, 7)
    with open_database(target, "write") as session:
        soundtype = add_named(session, SoundType, "sound type", "song")
        session.execute(SegmentClass.__table__.update().values({"SoundTypeID": soundtype}))
    with open_database(target, "write") as session:
        removed = deletion.delete_group(session, "other")
        assert removed["SpecGroup"] == 1 and removed["SpecValue"] > 0
        assert deletion.delete_soundtype(session, "song") == {"SoundType": 1}
        assert session.scalars(select(SegmentClass.soundtype_id).distinct()).all() == [None]
    assert stored(target) == recordings


def test_unknown_and_taken_names(target):
    right = sorted(fill(target, 0)[0])[0][1]
    wrong = right + "x"
    before = contents(target)
    with open_database(target, "write") as session:
        for function, name, said in (
            (deletion.delete_class, "Robbin", 'class "Robbin" .*mean "Robin"'),
            (deletion.delete_category, "defaults", 'category "defaults" .*mean "default"'),
            (deletion.delete_source, "Wod", 'source "Wod" .*mean "Wood"'),
            (deletion.delete_group, "othr", 'spectrogram group "othr" .*mean "other"'),
            (deletion.delete_soundtype, "x", 'sound type "x" is not in'),
            (deletion.delete_named_recordings, wrong, f'recording "{wrong}" .*mean "{right}"'),
            (partial(add_named, table=Category, what="category"), "default", "already in"),
            (partial(add_named, table=Source, what="source"), "Wood", "already in"),
            (partial(add_named, table=SoundType, what="sound type"), " ", "needs a name"),
        ):
            with pytest.raises(DatabaseError, match=said):
                function(session, name=name)
    assert contents(target) == before


def test_names_that_look_like_patterns(target):
    with open_database(target, "create") as session:
        source = get_or_add_source(session, "default")
        for name in ("a%.wav", "ab.wav", "a_.wav", "a.wav", "a", "a.b.wav", "A.wav"):
            add_recording(session, source, name, name, 1.0)
        find = NamedRecordings(session).find
        assert len(find("a%")) == len(find("a_.wav")) == 1
        assert len(find("a")) == 2
        assert len(find("a.b")) == 1


def test_more_than_fits_one_statement(target, monkeypatch):
    monkeypatch.setattr(deletion, "_CHUNK", 3)
    test_classes_and_categories(target, 2)


def test_rows_that_hang_on_nothing(target):
    """A segment without recording, as a program without foreign keys may leave, does not stop a removal."""
    fill(target, 1)
    with open_database(target, "write") as session:
        session.execute(insert(SoundType).values(name="x"))
        group = session.scalar(select(SpecGroup.id).where(SpecGroup.name == "default"))
        assert group is not None
        from britekit.database.schema import Segment

        key = session.scalars(insert(Segment).values(recording_id=None, offset=0.0).returning(Segment.id)).one()
        add_links(session, [(key, ClassSegments(session, "Robin").class_id)])
        deletion.delete_class(session, "Robin")
