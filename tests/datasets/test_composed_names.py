"""Files whose names come from macOS ("ü" as u and a mark) beside tables that people typed ("ü" as one)."""

import unicodedata
from pathlib import Path

import pytest

from britekit import commands
from britekit.annotations.classes import ClassInfo, find_class
from britekit.datasets.plans import wanted_by_csv
from tests.commands.test_extract import SETTINGS
from tests.datasets.conftest import write_recording
from tests.datasets.test_extract_folder import one

TYPED, ON_DISK = "NFC", "NFD"


def typed(text):
    return unicodedata.normalize(TYPED, text)


def on_disk(text):
    return unicodedata.normalize(ON_DISK, text)


@pytest.fixture(params=["typed tables", "typed files"])
def project(tmp_path, monkeypatch, request):
    if request.param == "typed files":  # the other way round: tables made from a listing, files copied
        monkeypatch.setattr(f"{__name__}.TYPED", "NFD")
        monkeypatch.setattr(f"{__name__}.ON_DISK", "NFC")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Path("params.yaml").write_text(SETTINGS)
    for stem in ("Übel", "Ärger"):
        write_recording(Path("data/recordings", on_disk("Größe"), on_disk(f"{stem}.wav")), 3.0)
    Path("data/classes.csv").write_text(typed("Name,Code\nGröße,GR\n"))
    return tmp_path


def test_a_tree(project, caplog):
    folder = Path("data/recordings", on_disk("Größe"))
    Path("data/recordings/recordings.csv").write_text(
        typed("recording,class,licence\nÜbel,Größe,CC0\nÄrger.wav,,CC-BY\n")
    )
    Path("data/curation.csv").write_text(typed("recording,offset,class,decision,new_class\nÜbel,1,Größe,drop,\n"))
    (folder / "annotations.csv").write_text(
        typed("recording,class,start_time,end_time\nÜbel,Größe,0,3\nÄrger,Größe,2,3\n")
    )
    commands.extract(strict=True)
    assert not caplog.records
    rows = one(
        "data/training.db",
        "SELECT FileName, Licence, Offset, Class.Name FROM Segment"
        " JOIN Recording ON Recording.ID = Segment.RecordingID"
        " JOIN RecordingInfo ON RecordingInfo.RecordingID = Recording.ID"
        " JOIN SegmentClass ON SegmentID = Segment.ID JOIN Class ON Class.ID = ClassID"
        " ORDER BY Licence DESC, Offset",
    )
    evil, anger = on_disk("Übel.wav"), on_disk("Ärger.wav")
    assert rows == [
        (evil, "CC0", 0.0, typed("Größe")),
        (evil, "CC0", 2.0, typed("Größe")),
        (anger, "CC-BY", 2.0, typed("Größe")),
    ]


def test_tables_of_offsets(project, capsys):
    folder = Path("data/recordings", on_disk("Größe"))
    table = Path("rows.csv")
    table.write_text(typed("recording,offset\nÜbel,0\nÜbel.wav,1\nÄrger,2\n"))
    options = {"class_name": "Song", "rec_dir": str(folder), "csv_path": "rows.csv"}
    assert commands.extract_by_csv(db_path="own.db", **options) == 3
    found = wanted_by_csv(folder, table)
    assert found.absent == {}
    assert {path.name: offsets for path, offsets in found.offsets.items()} == {
        on_disk("Übel.wav"): [0.0, 1.0],
        on_disk("Ärger.wav"): [2.0],
    }
    table.write_text(typed("recording,offset\nÜbel,0\nÄrger.wav,2\n"))
    assert commands.del_seg("own.db", "Song", csv_path="rows.csv") == 2
    Path("images").mkdir()
    Path("images", typed("Übel-1.00.jpeg")).touch()
    assert commands.del_seg("own.db", "Song", dir_path="images") == 1
    assert commands.extract_all(db_path="own.db", class_name="Song", dir_path=str(folder)) == 6
    commands.del_rec("own.db", typed("Ärger.wav"))
    assert one("own.db", "SELECT FileName FROM Recording") == [(on_disk("Übel.wav"),)]


def test_names_that_look_alike():
    assert find_class(on_disk("Größe"), [ClassInfo(typed("Größe"), "GR")]).code == "GR"
