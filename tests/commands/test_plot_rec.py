"""plot-rec and plot-dir as a person runs them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import britekit as bk
from britekit.annotations.image_names import parse_image_name
from britekit.cli import main


def sound(seconds, rate=8000, seed=1):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate)).astype(np.float32)


@pytest.fixture
def recordings(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "a.wav", sound(12), 8000)
    soundfile.write(folder / "дрозд 'q'.flac", sound(3, seed=2), 8000)
    (tmp_path / "small.yaml").write_text(
        "audio: {spec_height: 32, spec_width: 96, spec_duration: 3.0, sampling_rate: 8000, max_freq: 3800}\n"
    )
    return folder


def run(*arguments, tmp_path):
    return main([*arguments, "-c", str(tmp_path / "small.yaml"), "-o", str(tmp_path / "out")])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_segments_and_their_names(recordings, tmp_path, capsys):
    assert run("plot-rec", "-i", str(recordings / "a.wav"), tmp_path=tmp_path) == 0
    assert names(tmp_path / "out") == ["a-0.0.jpeg", "a-3.0.jpeg", "a-6.0.jpeg", "a-9.0.jpeg"]
    assert capsys.readouterr().out == "Plotted 4 spectrograms\n"
    assert all(Image.open(path).format == "JPEG" for path in (tmp_path / "out").iterdir())
    assert {parse_image_name(name, {"a"}) for name in names(tmp_path / "out")} == (
        {("a", 0.0), ("a", 3.0), ("a", 6.0), ("a", 9.0)}
    )


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("1.5", ["0.0", "1.5", "10.5", "3.0", "4.5", "6.0", "7.5", "9.0"]),
        ("0.75", ["0.00", "2.25", "4.50", "6.75", "9.00"]),
        # the step is what is left of a window, however short
        ("2.9", [f"{k / 10:.1f}" for k in range(111)]),
    ],
)
def test_overlap(overlap, expected, recordings, tmp_path):
    given = ("--overlap", overlap, "--ndims")
    assert run("plot-rec", "-i", str(recordings / "a.wav"), *given, tmp_path=tmp_path) == 0
    assert names(tmp_path / "out") == sorted(f"a-{offset}.jpeg" for offset in expected)


def test_existing_pictures_stay(recordings, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-3.0.jpeg").write_text("mine")
    assert run("plot-rec", "-i", str(recordings / "a.wav"), tmp_path=tmp_path) == 0
    assert (tmp_path / "out" / "a-3.0.jpeg").read_text() == "mine"
    assert capsys.readouterr().out == "Plotted 3 spectrograms\nkept = 1\n"


@pytest.mark.parametrize(("seconds", "width"), [(0.6, 640), (30, 640), (100, 1000), (500, 4000)])
@pytest.mark.parametrize("bare", [True, False])
def test_whole_recordings(seconds, width, bare, recordings, tmp_path):
    soundfile.write(recordings / "long.wav", np.tile(sound(1), 500)[: int(seconds * 8000)], 8000)
    more = ("--all", "--ndims") if bare else ("--all",)
    assert run("plot-rec", "-i", str(recordings / "long.wav"), *more, tmp_path=tmp_path) == 0
    assert Image.open(tmp_path / "out" / "long.jpeg").size == (width, 300)


def test_exponent_changes_the_picture_only(recordings, tmp_path):
    """`--power` is for the eye: below 1 the picture is darker, and the settings stay as they are."""
    light = []
    for power in ("1", "0.3"):
        out = tmp_path / power
        arguments = ["-i", str(recordings / "a.wav"), "-o", str(out), "--ndims", "--power", power]
        assert main(["plot-rec", *arguments, "-c", str(tmp_path / "small.yaml")]) == 0
        light.append(np.asarray(Image.open(out / "a-0.0.jpeg").convert("L")).mean())
    assert light[1] < light[0] - 10
    assert bk.get_config().audio.power == 1.0


def test_a_directory(recordings, tmp_path, capsys):
    assert run("plot-dir", "-i", str(recordings), tmp_path=tmp_path) == 0
    assert names(tmp_path / "out") == (["a-0.0.jpeg", "a-3.0.jpeg", "a-6.0.jpeg", "a-9.0.jpeg", "дрозд 'q'-0.0.jpeg"])
    assert run("plot-dir", "-i", str(recordings), "--sheet", tmp_path=tmp_path) == 0
    assert Image.open(tmp_path / "out" / "in-sheet.jpeg").size[0] > 1000
    assert "Plotted 5 spectrograms\nsheet = " in capsys.readouterr().out


def test_only_the_rows_of_a_table(recordings, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("recording,offset\na,1.25\na.wav,4\nдрозд 'q',0\na,11.5\nnobody,1\na,4.0\n")
    assert run("plot-dir", "-i", str(recordings), "--csv", str(tmp_path / "t.csv"), tmp_path=tmp_path) == 0
    assert names(tmp_path / "out") == ["a-1.25.jpeg", "a-4.00.jpeg", "дрозд 'q'-0.0.jpeg"]
    errors = capsys.readouterr().err
    assert 'recording "nobody" is not in' in errors and "too little sound left at 11.5 s" in errors


@pytest.mark.parametrize("row", ["a,x", "a,-1", "a,", "a,nan"])
def test_tables_that_cannot_be_read(row, recordings, tmp_path, capsys):
    (tmp_path / "t.csv").write_text(f"recording,offset\n{row}\n")
    assert run("plot-dir", "-i", str(recordings), "--csv", str(tmp_path / "t.csv"), tmp_path=tmp_path) == 1
    assert "row 2" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_bad_recordings_do_not_stop_the_others(recordings, tmp_path, capsys):
    (recordings / "empty.wav").write_bytes(b"")
    (recordings / "noise.mp3").write_bytes(np.random.default_rng(1).bytes(3000))
    (recordings / "folder.wav").mkdir()
    soundfile.write(recordings / "short.wav", sound(0.14), 8000)
    assert run("plot-dir", "-i", str(recordings), tmp_path=tmp_path) == 1
    errors = capsys.readouterr().err
    assert "Error: 3 of 5 recordings could not be drawn" in errors and "Traceback" not in errors
    assert len(names(tmp_path / "out")) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["plot-rec", "-i", "{in}"],
        ["plot-rec", "-i", "{in}/gone.wav"],
        ["plot-rec", "-i", "{in}/a.wav", "--overlap", "3"],
        ["plot-rec", "-i", "{in}/a.wav", "--overlap", "-1"],
        ["plot-rec", "-i", "{in}/a.wav", "--power", "0"],
        ["plot-rec", "-i", "{in}/short.wav"],
        ["plot-rec", "-i", "{in}/short.wav", "--all"],
        ["plot-dir", "-i", "{in}/a.wav"],
        ["plot-dir", "-i", "{in}/gone"],
        ["plot-dir", "-i", "{in}", "--csv", "{in}/gone.csv"],
        ["plot-dir", "-i", "{in}", "--csv", "{in}/a.wav", "--all"],
    ],
    ids=" ".join,
)
def test_one_sentence_for_what_cannot_be_done(arguments, recordings, tmp_path, capsys):
    soundfile.write(recordings / "short.wav", sound(0.14), 8000)
    given = [argument.replace("{in}", str(recordings)) for argument in arguments]
    assert run(*given, tmp_path=tmp_path) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert not (tmp_path / "out").exists()


def test_a_short_recording_of_a_directory_is_told_once(recordings, tmp_path, capsys):
    soundfile.write(recordings / "short.wav", sound(0.14), 8000)
    assert run("plot-dir", "-i", str(recordings), tmp_path=tmp_path) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "short.wav" in line]
    assert [line.partition(":")[0] for line in told] == ["Warning", "Error"]
    assert "0.14 s are too short for a spectrogram" in told[0]


def test_two_recordings_of_one_name_fail_and_the_others_are_drawn(recordings, tmp_path, capsys):
    soundfile.write(recordings / "a.flac", sound(3), 8000)
    soundfile.write(recordings / "other.flac", sound(3), 8000)
    assert run("plot-dir", "-i", str(recordings), tmp_path=tmp_path) == 1
    errors = capsys.readouterr().err
    assert "a.flac is left out: a.wav beside it has the same name" in errors and "2 of" in errors
    assert not [name for name in names(tmp_path / "out") if name.startswith("a-")]
    assert [name for name in names(tmp_path / "out") if name.startswith("other-")]


def test_a_place_that_cannot_be_written_ends_the_run_at_once(recordings, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert run("plot-dir", "-i", str(recordings), tmp_path=tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_options_that_would_do_nothing(recordings, tmp_path, capsys):
    assert run("plot-rec", "-i", str(recordings / "a.wav"), "--all", "--sheet", tmp_path=tmp_path) == 1
    assert run("plot-dir", "-i", str(recordings), "--all", "--sheet", tmp_path=tmp_path) == 1
    assert capsys.readouterr().err.count("--all draws whole recordings and --sheet segments") == 2
    assert not (tmp_path / "out").exists()
    whole = ("plot-rec", "-i", str(recordings / "a.wav"), "--all", "--overlap", "1")
    assert run(*whole, tmp_path=tmp_path) == 0
    assert "--overlap changes nothing with --all" in capsys.readouterr().err
    table = tmp_path / "rows.csv"
    table.write_text("recording,offset\na,1\n")
    rows = ("plot-dir", "-i", str(recordings), "--csv", str(table), "--overlap", "1")
    assert run(*rows, tmp_path=tmp_path) == 0
    assert "--overlap changes nothing with --csv" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["a-1.0.jpeg", "a.jpeg"]
