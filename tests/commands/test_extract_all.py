"""`extract-all` on a folder."""

import sqlite3
from pathlib import Path

import pytest

from britekit import commands
from britekit.errors import DatabaseError, InputError
from tests.commands.test_extract import SETTINGS
from tests.datasets.conftest import write_recording


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(SETTINGS)
    for number in range(2):
        write_recording(Path(f"in/{number}.wav"), 2.0, seed=number)
    return tmp_path


def test_prints_each_file_and_the_sum(project, capsys):
    assert commands.extract_all(class_name="Robin", class_code="ROB", dir_path="in") == 4
    assert capsys.readouterr().out.splitlines() == ["in/0.wav: 2", "in/1.wav: 2", "Inserted 4 spectrograms"]
    assert commands.extract_all(class_name="Robin", dir_path="in") == 0


def test_bad_recording_fails_the_command_after_the_rest(project, capsys):
    Path("in/bad.wav").write_bytes(b"?")
    with pytest.raises(InputError, match="1 of 3 recordings"):
        commands.extract_all(class_name="Robin", dir_path="in")
    assert "Inserted 4 spectrograms" in capsys.readouterr().out


def test_no_database_for_a_mistake(project):
    Path("empty").mkdir()
    for options in ({"dir_path": "empty"}, {"dir_path": "gone"}, {"dir_path": "in", "overlap": 1.0}):
        with pytest.raises(InputError):
            commands.extract_all(class_name="Robin", **options)
    with pytest.raises(InputError, match="--name"):
        commands.extract_all(class_name="", dir_path="in")
    assert not Path("data").exists()


def test_pipeline_database_is_refused(project):
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  extract:\n    outs:\n    - path: data/training.db\n")
    with pytest.raises(DatabaseError, match=r"data/sources\.csv"):
        commands.extract_all(class_name="Robin", dir_path="in")
    assert not Path("data").exists()
    assert commands.extract_all(class_name="Robin", dir_path="in", db_path="data/own.db") == 4
    assert commands.extract_all(class_name="Robin", dir_path="in", force=True) == 4


def test_what_was_skipped_and_what_changes_nothing_is_said(project, capsys, caplog):
    commands.extract_all(class_name="Robin", dir_path="in", randomize=True)
    assert "--random chooses nothing" in caplog.text
    capsys.readouterr()
    assert commands.extract_all(class_name="Robin", dir_path="in", spec_group="other") == 0
    assert capsys.readouterr().out.splitlines() == [
        'Skipped 2 recordings that "Robin" has already; see --include-existing',
        "Inserted 0 spectrograms",
    ]


def test_names_are_stored_as_class_lists_read_them(project):
    commands.extract_all(class_name=" Robin ", class_code="ROB ", dir_path="in")
    assert commands.extract_all(class_name="Robin", class_code="ROB", dir_path="in") == 0
    with pytest.raises(InputError, match=r"--name 'Ro\\tbin' contains a line break or tab"):
        commands.extract_all(class_name="Ro\tbin", dir_path="in")


@pytest.mark.parametrize("overlap, step", [(None, 0.3), (0.15, 0.15)])
def test_windows_of_bats_follow_each_other(project, overlap, step):
    Path("bat.yaml").write_text("audio:\n  spec_duration: 0.3\n")
    write_recording(Path("bat/b.wav"), 2.0)
    commands.extract_all("bat.yaml", class_name="Bat", dir_path="bat", overlap=overlap, db_path="bat.db")
    with sqlite3.connect("bat.db") as connection:
        starts = [start for (start,) in connection.execute("SELECT Offset FROM Segment ORDER BY Offset")]
    assert starts[:-1] == pytest.approx([k * step for k in range(len(starts) - 1)])
    # The last one ends with the recording; none leaves a gap.
    assert starts[-1] == pytest.approx(1.7) and starts[-1] - starts[-2] <= step + 1e-9
