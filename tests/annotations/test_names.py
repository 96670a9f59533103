"""One rule for names of recordings, held over every reader."""

import unicodedata
from pathlib import Path

import pytest

from britekit.annotations.listed import read_block_annotations, read_recording_annotations
from britekit.annotations.names import RecordingNames
from britekit.collect.recordings_table import read_recordings_table
from britekit.datasets.plans import wanted_by_csv
from britekit.datasets.recordings_csv import RecordingTable
from britekit.errors import InputError
from britekit.formats import read_any_annotations

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


READERS = [
    segments, raven_column, blocks, recordings, given, credits, facts,
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
@pytest.mark.parametrize("read", READERS)
def test_one_rule_over_all_readers(tmp_path, read, files, written, meant):
    for name in files:
        (tmp_path / name).touch()
        if name.endswith("WAV"):
            (tmp_path / name).rename(tmp_path / name.replace("WAV", "wav"))
    assert read(tmp_path, written).strip() == meant


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


def test_names_that_no_table_can_tell_apart(tmp_path):
    (tmp_path / "a.wav").touch()
    (tmp_path / "a .wav").touch()
    with pytest.raises(InputError, match="differ only in spaces at the ends"):
        RecordingNames.beside(tmp_path)


def test_a_name_that_could_be_two_recordings_is_none():
    assert RecordingNames(["Ab", "AB"]).find("ab") is None
