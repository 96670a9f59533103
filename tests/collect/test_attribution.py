import csv

import pytest

from britekit.commands import attribution
from britekit.database.recordings import Facts, add_recording, get_or_add_source
from britekit.database.schema import Segment
from britekit.database.session import open_database
from britekit.errors import BriteKitError, InputError

from .conftest import make_recording

HEADER = "recording,class,group,source,licence,author,url,time,latitude,longitude\n"


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "recordings"
    for name in ("Bee/XC1", "Bee/XC2", "Ant/XC1", "Ant/mine"):
        make_recording(root / f"{name}.wav")
    (root / "recordings.csv").write_text(
        HEADER + "XC1,Bee,,Xeno-Canto,https://creativecommons.org/licenses/by-nc-sa/4.0/,A*nn,https://xc/1,"
        "2020-05-01 09:00,,\n"
        "XC2,Bee,,Xeno-Canto,CC-BY,Bob,https://xc/2?a=(b),,,\n"
        "XC1,,,Xeno-Canto,CC0,Eve,,,,\n"
        "gone,Bee,,Xeno-Canto,CC0,Nobody,,,,\n"
    )
    return root


def test_markdown(tree, tmp_path, capsys):
    assert attribution(dir_path=str(tree), output_path=str(tmp_path / "CREDITS.md")) == 4
    assert (tmp_path / "CREDITS.md").read_text() == (
        "# Credits\n\n4 recordings.\n\n"
        "## Xeno-Canto: CC BY\n\n- [XC2](<https://xc/2?a=(b)>), Bob\n\n"
        "## Xeno-Canto: CC BY-NC-SA (https://creativecommons.org/licenses/by-nc-sa/4.0/)\n\n"
        "- [XC1](<https://xc/1>), A\\*nn, 2020-05-01\n\n"
        "## Xeno-Canto: CC0\n\n- XC1, Eve\n\n"
        "## other sources: licence unknown: ask the author before publishing\n\n- mine, author unknown\n"
    )
    assert capsys.readouterr().out == "recordings = 4\nwithout a known licence = 1\n"


def test_text_and_table(tree, tmp_path):
    attribution(dir_path=str(tree), output_path=str(tmp_path / "c.txt"))
    text = (tmp_path / "c.txt").read_text()
    assert "XC2, Bob, https://xc/2?a=(b)" in text and "Nobody" not in text
    attribution(dir_path=str(tree), output_path=str(tmp_path / "c.csv"), licences="cc by,CC0")
    with open(tmp_path / "c.csv", newline="") as stream:
        assert [(row["recording"], row["author"]) for row in csv.DictReader(stream)] == [("XC1", "Eve"), ("XC2", "Bob")]


def test_nearest_table_counts(tree, tmp_path):
    (tree / "Ant/recordings.csv").write_text("recording,author,licence\nXC1,Near,CC-BY\n")
    attribution(dir_path=str(tree), output_path=str(tmp_path / "c.csv"))
    assert "Near" in (tmp_path / "c.csv").read_text() and "Eve" not in (tmp_path / "c.csv").read_text()


def test_recordings_that_lie_in_no_folder_of_their_class(tmp_path):
    """As `collect` lays test recordings: beside a table that names the class each was asked for."""
    for name in ("XC5", "XC6"):
        make_recording(tmp_path / f"{name}.wav")
    (tmp_path / "recordings.csv").write_text(
        "recording,class,author,licence\nXC5,Bee,Ann,CC-BY\nXC6,Bee,Bob,CC0\nXC6,Ant,Eve,CC-BY\n"
    )
    attribution(dir_path=str(tmp_path), output_path=str(tmp_path / "c.csv"))
    with open(tmp_path / "c.csv", newline="") as stream:
        found = [(row["recording"], row["author"], row["licence"]) for row in csv.DictReader(stream)]
    assert found == [("XC5", "Ann", "CC-BY"), ("XC6", "", "unknown")]


def test_from_a_database(tmp_path):
    path = tmp_path / "t.db"
    with open_database(path, "create") as session:
        source = get_or_add_source(session, "Xeno-Canto")
        for number, facts in enumerate([Facts(licence="CC-BY", author="Ann", url="https://x"), None, Facts()]):
            recording = add_recording(session, source, f"XC{number}.mp3", "", 1.0, facts)
            if number < 2:
                session.add(Segment(recording_id=recording, offset=0.0))
    assert attribution(db_path=str(path), output_path=str(tmp_path / "c.csv")) == 2
    with open(tmp_path / "c.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["recording"], row["author"], row["licence"]) for row in rows] == [
        ("XC0", "Ann", "CC-BY"), ("XC1", "", "unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options, said",
    [
        ({"output_path": "c.docx"}, "choose one of these extensions"),
        ({"licences": "CC-BY-SA"}, "no recording to credit"),
        ({"db_path": "x.db"}, "not both"),
        ({"dir_path": "nowhere"}, "does not exist"),
        ({"dir_path": "recordings/Bee/XC1.wav"}, "is a file; expected a directory"),
        ({"dir_path": None, "db_path": "none.db"}, "none.db"),
    ],
)
def test_wrong_use(tree, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, BriteKitError), match=said):
        attribution(**({"dir_path": str(tree)} | options))
    assert not list(tmp_path.glob("c*"))
