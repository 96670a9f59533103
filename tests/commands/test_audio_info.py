"""audio-info as a person runs it."""

import csv
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import britekit as bk
from britekit.audio.file_check import inspect_recording
from britekit.cli import main
from britekit.commands._table import columns_of, shortened, table_lines
from britekit.errors import InputError

NOISE = np.random.default_rng(1).uniform(-0.5, 0.5, 16000).astype(np.float32)


@pytest.fixture
def card(tmp_path) -> Path:
    """A folder from the field: whole files, a cut one, an empty one, noise, and files of no concern."""
    folder = tmp_path / "card"
    (folder / "deeper").mkdir(parents=True)
    soundfile.write(folder / "20240501_063000Z.wav", NOISE, 8000)
    soundfile.write(folder / "two.flac", np.stack([NOISE, NOISE], 1), 44100, subtype="PCM_24")
    soundfile.write(folder / "deeper" / "дрозд 鶇.ogg", NOISE, 16000)
    whole = (folder / "20240501_063000Z.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: 44 + 2 * 4000])
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "noise.mp3").write_bytes(np.random.default_rng(2).bytes(3000))
    (folder / "x.wav").mkdir()
    (folder / "notes.txt").write_text("no recording")
    return folder


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return {row["recording"]: row for row in csv.DictReader(stream)}


def test_table_and_csv_of_a_folder(card, tmp_path, capsys):
    assert main(["audio-info", str(card), "--csv", str(tmp_path / "out" / "t.csv")]) == 1
    out, errors = capsys.readouterr()
    assert errors == ("Error: 3 of 5 recordings cannot be decoded to their end: cut.wav, empty.mp3, noise.mp3\n")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["20240501_063000Z.wav"].split()[1:] == (
        ["WAV", "16-bit", "8", "1", "2.00", "s", "2024-05-01", "06:30Z", "yes"]
    )
    assert lines["two.flac"].split()[1:] == ["FLAC", "24-bit", "44.1", "2", "0.36", "s", "yes"]
    assert "cut.wav: breaks at 0.500 s" in out and "empty.mp3: empty file" in out
    assert "recordings = 5\n" in out and "failed = 3\n" in out

    rows = rows_of(tmp_path / "out" / "t.csv")
    assert set(rows) == {"20240501_063000Z.wav", "two.flac", "cut.wav", "empty.mp3", "noise.mp3"}
    assert rows["20240501_063000Z.wav"]["time"] == "2024-05-01T06:30:00+00:00"
    assert (rows["two.flac"]["rate"], rows["two.flac"]["channels"]) == ("44100", "2")
    assert [rows[name]["decodes"] for name in ("two.flac", "cut.wav", "noise.mp3")] == ["yes", "no", "no"]
    assert float(rows["cut.wav"]["seconds"]) == 0.5


def test_whole_tree_and_standard_output(card, capsys):
    for name in ("cut.wav", "empty.mp3", "noise.mp3"):
        (card / name).unlink()
    assert main(["audio-info", str(card), "--recursive", "--csv", "-"]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["recording"] for row in table] == ["20240501_063000Z.wav", "deeper/дрозд 鶇.ogg", "two.flac"]
    assert table[1]["format"] == "Ogg Vorbis"


def test_rows_that_no_recording_uses_are_named_once(card, tmp_path, capsys):
    for name in ("cut.wav", "empty.mp3", "noise.mp3"):
        (card / name).unlink()
    (card / "recordings.csv").write_text(
        "recording,time,site\ntwo,2024-05-01,A\n20240501_063000Z,half past six,A\ngone,2024-05-01T06:30:00,A\n"
        "two.flac,,B\n"
    )
    table = tmp_path / "deployments.csv"
    table.write_text("site,folder\nHere,card\nThere,elsewhere\nYonder,nowhere\n")
    typed = ["audio-info", str(card), "--recursive", "--deployments", str(table)]
    assert main(typed) == 0
    out = capsys.readouterr().out
    where = card / "recordings.csv"
    expected = "(expected 2024-05-01T06:30:00), so its recording's own time counts"
    for line in (
        f'{where}: 1 rows have a date without a clock time {expected}: row 2, "2024-05-01"',
        f'{where}: 1 rows have a time that cannot be read {expected}: row 3, "half past six"',
        f'{where}: 1 rows have no recording in its folder or below: row 4, "gone"',
        f'{where}: 1 rows are about a recording that a row before is about: row 5, "two.flac"',
        'deployments.csv: 2 rows are about none of these recordings: row 3 ("There"), row 4 ("Yonder")',
    ):
        assert out.count(line + "\n") == 1, line
    assert main([*typed, "--csv", "-"]) == 0
    assert 'row 4, "gone"' in capsys.readouterr().err


def test_one_file_and_what_is_none(card, capsys):
    assert main(["audio-info", str(card / "two.flac")]) == 0
    assert "recordings = 1\n" in capsys.readouterr().out
    assert main(["audio-info", str(card / "gone.wav")]) == 1
    assert capsys.readouterr().err.startswith("Error: ")
    assert main(["audio-info", str(card / "x.wav")]) == 1
    assert "contains no recordings" in capsys.readouterr().err
    assert main(["audio-info"]) == 2


def test_failed_recordings_leave_the_csv_whole(card, tmp_path):
    with pytest.raises(InputError, match="3 of 5"):
        bk.commands.audio_info(str(card), csv_path=str(tmp_path / "t.csv"))
    assert len(rows_of(tmp_path / "t.csv")) == 5


def test_no_csv_where_none_can_be_written(card, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["audio-info", str(card / "two.flac"), "--csv", str(tmp_path / "file" / "t.csv")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_disappears_is_a_row(card, tmp_path, monkeypatch, capsys):
    from britekit.audio import files

    found = files.find_recordings(card)
    (card / "two.flac").unlink()
    monkeypatch.setattr(files, "find_recordings", lambda *_: found)
    assert main(["audio-info", str(card)]) == 1
    assert "two.flac: cannot be read (No such file or directory)" in capsys.readouterr().out


def test_every_cut_of_every_format_is_told(tmp_path):
    """A file cut anywhere is not whole: the seconds read and the second it breaks at agree."""
    rng = np.random.default_rng(3)
    for suffix, cuts in (("wav", 8), ("flac", 8), ("ogg", 8)):
        path = tmp_path / f"x.{suffix}"
        soundfile.write(path, np.tile(NOISE, 3), 8000)
        whole = path.read_bytes()
        assert inspect_recording(path).problem is None
        for cut in rng.integers(1, len(whole) - 1, cuts):
            path.write_bytes(whole[:cut])
            found = inspect_recording(path)
            assert found.problem, f"{suffix} cut at {cut} of {len(whole)} is said to be whole"
            assert found.damaged_at in (None, found.seconds)


def test_threads_decode_side_by_side(tmp_path, monkeypatch):
    """Two files wait for each other: only threads that run at once get through."""
    from britekit.audio import file_check

    meeting = threading.Barrier(2, timeout=20)

    def wait_for_the_other(path, on_read, meter_of):
        meeting.wait()
        return file_check.Inspection(path)

    monkeypatch.setattr(file_check, "inspect_recording", wait_for_the_other)
    paths = [tmp_path / name for name in "abcd"]
    assert [item.path for item in file_check.inspect_recordings(paths, 2)] == paths


def test_table_fits():
    rows = [["a" * 60 + ".wav", "yes"], ["鳥の声" * 20 + ".wav", "to 12.30 s"], ["e\u0301.wav", ""]]
    for width in (30, 80):
        lines = table_lines(["recording", "decodes"], rows, width)
        assert all(columns_of(line) <= width for line in lines)
        assert [
            line.rstrip().endswith(end) for line, end in zip(lines, ("decodes", "yes", "12.30 s"), strict=False)
        ] == [True] * 3
    assert table_lines(["recording", "decodes"], rows, None)[1] == "a" * 60 + ".wav" + " " * 62 + "yes"


@pytest.mark.parametrize(("size", "expected"), [(20, "20240501_063000.wav"), (10, "202…00.wav"), (1, "…"), (0, "")])
def test_shortened_names_keep_their_end(size, expected):
    assert shortened("20240501_063000.wav", size) == expected
