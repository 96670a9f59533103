"""plot-db as a person runs it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from britekit.annotations.image_names import parse_image_name
from britekit.cli import main

SETTINGS = "audio: {spec_height: 32, spec_width: 96, spec_duration: 3.0, sampling_rate: 8000, max_freq: 3800}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "small.yaml").write_text(SETTINGS)
    (root / "in").mkdir()
    rng = np.random.default_rng(1)
    for name, seconds in (("Alpha-1", 6), ("beta", 3)):
        soundfile.write(root / "in" / f"{name}.wav", rng.uniform(-0.5, 0.5, seconds * 8000), 8000)
    arguments = ["--name", "Wren", "--code", "WR", "--dir", str(root / "in"), "-d", str(root / "t.db")]
    assert main(["extract-all", *arguments, "-c", str(root / "small.yaml")]) == 0
    return root


def run(project, out, *more, name="Wren"):
    given = ["--name", name, "-d", str(project / "t.db"), "-o", str(out), "-c", str(project / "small.yaml")]
    return main(["plot-db", *given, *more])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


ALL = ["Alpha-1-0.00.jpeg", "Alpha-1-3.00.jpeg", "beta-0.00.jpeg"]


def test_every_spectrogram_of_a_class(project, tmp_path, capsys):
    assert run(project, tmp_path / "out") == 0
    assert names(tmp_path / "out") == ALL
    assert capsys.readouterr().out == "Plotted 3 spectrograms\n"
    assert parse_image_name(ALL[1], {"Alpha-1", "beta"}) == ("Alpha-1", 3.0)
    (tmp_path / "out" / ALL[0]).unlink()
    assert run(project, tmp_path / "out") == 0
    assert capsys.readouterr().out == "Plotted 1 spectrogram\nkept = 2\n"


def test_the_picture_shows_what_is_stored(project, tmp_path):
    """The stored numbers, seen through the color map: read back from a bare picture by their order."""
    from britekit.audio.signal import load_signal
    from britekit.audio.spectrogram import compute_spectrograms
    from britekit.config import resolve
    from britekit.plots.spectrogram import colored

    cfg = resolve(str(project / "small.yaml")).audio
    assert run(project, tmp_path / "out", "--ndims") == 0
    signal, _ = load_signal(project / "in" / "Alpha-1.wav", cfg)
    stored = np.rint(compute_spectrograms(signal, [3.0], cfg)[0][0] * 255) / 255
    picture = np.asarray(Image.open(tmp_path / "out" / "Alpha-1-3.00.jpeg"), np.float32)
    wanted = colored(stored.astype(np.float32), 1.0, *picture.shape[:2]).astype(np.float32)
    assert np.abs(picture - wanted).mean() < 3  # what JPEG loses
    assert np.abs(picture[:, ::-1] - wanted).mean() > 10


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--max", "2"], ALL[:2]),
        (["--prefix", "ALPHA"], ALL[:2]),
        (["--prefix", "b"], ALL[2:]),
        (["--max", "1", "--prefix", "beta", "--power", "0.5", "--ndims"], ALL[2:]),
    ],
)
def test_some_of_them(more, expected, project, tmp_path):
    assert run(project, tmp_path / "out", *more) == 0
    assert names(tmp_path / "out") == expected


def test_a_contact_sheet(project, tmp_path, capsys):
    assert run(project, tmp_path / "out", "--sheet") == 0
    assert names(tmp_path / "out") == ["Wren-sheet.jpeg"]
    assert capsys.readouterr().out.startswith("Plotted 3 spectrograms\nsheet = ")


@pytest.mark.parametrize(
    ("more", "name", "words"),
    [
        ([], "Wern", 'did you mean "Wren"'),
        (["--sgroup", "defualt"], "Wren", 'did you mean "default"'),
        (["--prefix", "zz"], "Wren", "nothing to plot"),
        (["--max", "0"], "Wren", "give 1 or more"),
        (["--power", "-1"], "Wren", "above 0"),
    ],
)
def test_one_sentence_for_what_cannot_be_done(more, name, words, project, tmp_path, capsys):
    assert run(project, tmp_path / "out", *more, name=name) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("Error: ") and errors.count("\n") == 1 and words in errors
    assert not (tmp_path / "out").exists()


def test_a_missing_database_is_not_created(project, tmp_path, capsys):
    assert main(["plot-db", "--name", "Wren", "-d", str(tmp_path / "no.db"), "-o", str(tmp_path / "out")]) == 1
    assert "does not exist" in capsys.readouterr().err and names(tmp_path) == []


def test_another_size_names_the_segment(project, tmp_path, capsys):
    (tmp_path / "big.yaml").write_text(SETTINGS.replace("32", "64"))
    arguments = ["--name", "Wren", "-d", str(project / "t.db"), "-o", str(tmp_path / "out")]
    assert main(["plot-db", *arguments, "-c", str(tmp_path / "big.yaml")]) == 1
    errors = capsys.readouterr().err
    assert "Alpha-1.wav at 0 s" in errors and "3072 bytes, expected 6144" in errors


def test_reading_leaves_the_database_as_it_is(project, tmp_path):
    before = (project / "t.db").read_bytes()
    assert run(project, tmp_path / "out") == 0
    assert (project / "t.db").read_bytes() == before
