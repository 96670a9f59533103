"""One rule for names of recordings, held over every reader."""

import unicodedata
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from britekit.annotations.classes import ClassInfo
from britekit.annotations.listed import read_block_annotations, read_recording_annotations
from britekit.annotations.names import NamedFiles, RecordingNames
from britekit.annotations.recording_info import RecordingInfos
from britekit.collect.recordings_table import read_recordings_table
from britekit.database.class_segments import ClassSegments
from britekit.database.classes import add_class, get_or_add_category
from britekit.database.deletion import delete_named_recordings
from britekit.database.recordings import NamedRecordings, add_recording, get_or_add_source
from britekit.database.schema import Recording, Segment
from britekit.database.segments import add_links, add_segments
from britekit.database.session import open_database
from britekit.datasets.curation import Curation
from britekit.datasets.curation_rows import Decision
from britekit.datasets.hand_edits import HandEdits
from britekit.datasets.plans import wanted_by_csv, wanted_by_images
from britekit.datasets.recordings_csv import RecordingTable
from britekit.datasets.redo import redo
from britekit.datasets.segment_removal import remove_segments
from britekit.errors import DatabaseError
from britekit.formats import read_any_annotations
from britekit.results.recordings import Recordings

stack = ExitStack()

RAVEN = "Begin Time (s)\tEnd Time (s)\tAnnotation"
TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n5\n<exists>\n1\n"IntervalTier"\n"calls"\n'
    '0\n5\n1\n1\n2\n"Wren"\n'
)


def csv(folder, text):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def by_file(ending, content):
    def read(folder, name):
        (folder / f"{name}{ending}").write_text(content, encoding="utf-8")
        (found,) = read_any_annotations(folder)
        return found.recording

    return read


def raven_column(folder, name):
    (folder / "all.txt").write_text(f"{RAVEN}\tBegin File\n1\t2\tWren\t{name}\n", encoding="utf-8")
    return read_any_annotations(folder)[0].recording


def segments(folder, name):
    return read_any_annotations(csv(folder, f"recording,class,start_time,end_time\n{name},Wren,1,2\n"))[0].recording


def blocks(folder, name):
    return read_block_annotations(csv(folder, f"recording,block,classes\n{name},1,Wren\n"))[0].recording


def recordings(folder, name):
    return read_recording_annotations(csv(folder, f"recording,classes\n{name},Wren\n"))[0].recording


def given(folder, name):
    wanted = wanted_by_csv(folder, csv(folder, f"recording,offset\n{name},1\n"))
    return next(iter(wanted.absent)) if wanted.absent else next(iter(wanted.offsets)).stem


def credits(folder, name):
    (found,) = read_recordings_table(csv(folder, f"recording,licence\n{name},CC0\n"))
    return found.recording


def facts(folder, name):
    table = RecordingTable(csv(folder, f"recording,licence\n{name},CC0\n"))
    return next(path.stem for path in sorted(folder.glob("*.wav")) if table.find("", path.name))


def images(folder, name):
    (folder / "images").mkdir()
    (folder / "images" / f"{name}-1.00.jpeg").touch()
    wanted = wanted_by_images(folder, folder / "images")
    return next(iter(wanted.offsets)).stem


def database(folder):
    """Return a session over a database of the folder's recordings, each with a segment of Wren at 1 s."""
    session = stack.enter_context(open_database(folder / "x.db", "create"))
    source = get_or_add_source(session, "field")
    wren = add_class(session, "Wren", "W", get_or_add_category(session, "birds"))
    for path in sorted(folder.glob("*.wav")):
        key = add_recording(session, source, path.name, str(path), 5.0)
        add_links(session, [(add_segments(session, key, [1.0])[0], wren)])
    return session


def left(session):
    return set(session.scalars(select(Recording.filename).join(Segment, Segment.recording_id == Recording.id)))


def gone(folder, work):
    """Return the recording whose segment some work takes away."""
    session = database(folder)
    before = left(session)
    work(session)
    (name,) = before - left(session)
    return Path(name).stem


def names_of_a_database(folder, name):
    session = database(folder)
    (key,) = NamedRecordings(session).find(name)
    return Path(session.scalar(select(Recording.filename).where(Recording.id == key))).stem


def class_segments(folder, name):
    (found,) = ClassSegments(database(folder), "Wren").find(name, 1.0, 0.1)
    return Path(found.filename).stem


def removal_by_table(folder, name):
    table = csv(folder, f"recording,offset\n{name},1\n")
    return gone(folder, lambda session: remove_segments(HandEdits(session, None), "Wren", table=table))


def removal_by_images(folder, name):
    (folder / "images").mkdir()
    (folder / "images" / f"{name}-1.00.jpeg").touch()
    return gone(folder, lambda session: remove_segments(HandEdits(session, None), "Wren", folder / "images"))


def redone(folder, name):
    decision = Decision(2, name, 1.0, "Wren", "drop")
    return gone(folder, lambda session: redo(session, decision, NamedRecordings(session)))


def deleted(folder, name):
    return gone(folder, lambda session: delete_named_recordings(session, name))


def curation(folder, name):
    decisions = Curation([Decision(2, name, 1.0, "Wren", "drop")], [ClassInfo("Wren", "W")])
    rows = decisions.about((path.name, "field") for path in folder.glob("*.wav"))
    ((filename, _),) = [key for key, found in rows.items() if found]
    return Path(filename).stem


def written_time(folder, name):
    (folder / "recordings.csv").write_text(f"recording,time\n{name},2024-05-01T06:30:00\n", encoding="utf-8")
    infos = RecordingInfos(folder)
    (found,) = [path for path in folder.glob("*.wav") if infos.of(path).start]
    return found.stem


def reported(folder, name):
    return Recordings(folder).find(name).stem


READERS = [
    segments, raven_column, blocks, recordings, given, images, credits, facts, names_of_a_database, class_segments,
    removal_by_table, removal_by_images, redone, deleted, curation, written_time, reported,
    by_file(".txt", "1\t2\tWren\n"), by_file("_labels.txt", "1\t2\tWren\n"),
    by_file(".Table.1.selections.txt", f"{RAVEN}\n1\t2\tWren\n"),
    by_file(".Table.1.selections_JD.txt", f"{RAVEN}\n1\t2\tWren\n"), by_file(".TextGrid", TEXTGRID),
]  # fmt: skip


@pytest.mark.parametrize(
    "files, written, meant",
    [
        (["XC123.mp3.wav"], "XC123.mp3", "XC123.mp3"),
        (["XC123.mp3.wav"], "XC123.mp3.wav", "XC123.mp3"),
        (["XC123.mp3.wav", "XC123.wav"], "XC123.mp3", "XC123.mp3"),
        (["XC123.mp3.wav", "XC123.wav"], "XC123", "XC123"),
        (["XC123.wav"], "XC123.mp3", "XC123"),
        (["xc123.WAV", "other.wav"], "XC123", "xc123"),
        (["a.wav", "A.wav"], "A", "A"),
        (["2024.05.01.wav"], "2024.05.01", "2024.05.01"),
        (["Größe.wav"], unicodedata.normalize("NFD", "Größe"), "Größe"),
        (["a .wav"], "a", "a"),
        (["a.wav"], "a", "a"),
    ],
)
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_one_rule_over_all_readers(tmp_path, monkeypatch, read, files, written, meant):
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).touch()
        if name.endswith("WAV"):
            (tmp_path / name).rename(tmp_path / name.replace("WAV", "wav"))
    with stack:
        assert read(tmp_path, written).strip() == meant


def test_a_file_name_with_extension_means_that_file(tmp_path):
    """A command writes into curation.csv which of two files of one stem it was about."""
    files = NamedFiles([("a.wav", 1), ("a.mp3", 2), ("b.mp3.wav", 3), ("b.mp3", 4), ("C.wav", 5)])
    asked = {"a.mp3": [2], "a": [1, 2], "b.mp3": [4], "b": [4], "b.mp3.wav": [3], "c": [5], "c.WAV": [5], "d": []}
    assert {name: files.find(name) for name in asked} == asked


def test_a_name_never_means_a_recording_that_another_has_exactly(tmp_path):
    """The class has a segment of "a" alone, but the table names "A", which is there too."""
    (tmp_path / "a.wav").touch()
    session = database(tmp_path)
    with stack:
        add_recording(session, get_or_add_source(session, "field"), "A.wav", "", 5.0)
        segments = ClassSegments(session, "Wren")
        assert segments.knows("A") and not segments.find("A", 1.0, 0.1)


def test_several_file_names_are_never_deleted_at_once(tmp_path):
    for name in ("a.wav", "a.mp3.wav"):
        (tmp_path / name).touch()
    session = database(tmp_path)
    with stack:
        add_recording(session, get_or_add_source(session, "field"), "a.flac", "", 5.0)
        with pytest.raises(DatabaseError, match='could be any of "a.flac", "a.wav"'):
            delete_named_recordings(session, "a")
        assert sum(delete_named_recordings(session, "a.flac").values()) == 1


def test_what_a_label_file_is_about():
    names = RecordingNames(["site1", "site1_2", "Y_labels", "north.2"])
    for name, recording in {
        "site1_2.Table.1.selections.txt": "site1_2",
        "site1.Table.1.selections_JD.txt": "site1",
        "site1.Table.2.selections JD (2).txt": "site1",
        "site1.selections-checked.csv": "site1",
        "site1_JD.txt": "site1",
        "site1_checked_JD.txt": "site1",
        "site1 (1).txt": "site1",
        "Y_labels.txt": "Y_labels",
        "north.2.txt": "north.2",
        # No recording is called so: never that of another number or place.
        "site1_3.Table.1.selections_JD.txt": "site1_3",
        "site1_east.txt": "site1_east",
        "site2_JD.txt": "site2_JD",
    }.items():
        assert names.of_label_file(Path(name)) == recording, name


def test_a_name_that_could_be_two_recordings_is_none():
    assert RecordingNames(["Ab", "AB"]).find("ab") is None
