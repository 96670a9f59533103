"""Which frames carry a score: the rule by hand, the table, and `plot-occlude` as a person runs it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from britekit.cli import main
from britekit.database.schema import Category, Class, Recording, Segment, SegmentClass, Source
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, encode, get_or_add_group
from britekit.datasets.occlusion import Occlusion, occlusion_columns, read_occlusions
from britekit.errors import InputError

AUDIO = "audio: {spec_height: 32, spec_width: 96, spec_duration: 3.0, sampling_rate: 8000, max_freq: 3800}\n"


def active(score, left, right, alpha=0.5, pad=0):
    mask = Occlusion(1, "a.wav", 0.0, score, np.array(left), np.array(right)).active(alpha, pad)
    return "".join(str(int(x)) for x in mask)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        # Six frames; the sound is in frames 3 and 4 (of 1 … 6): without the first 3 it is lost, as without the last 3.
        ([0.8, 0.8, 0.3, 0.1, 0.1], [0.8, 0.8, 0.3, 0.1, 0.1], "001100"),
        # In frame 2: the first 2 lose it; the last 5 lose it, which begin at frame 2.
        ([0.8, 0.2, 0.1, 0.1, 0.1], [0.8, 0.8, 0.8, 0.8, 0.2], "010000"),
        # Repeated calls: either half is enough, so that only the last call is lost from the left.
        ([0.8, 0.8, 0.8, 0.8, 0.3], [0.8, 0.8, 0.8, 0.8, 0.3], "011110"),
        # Never lost from the left: the last frame counts; never from the right: the first.
        ([0.8] * 5, [0.8] * 5, "111111"),
        ([0.8] * 5, [0.8, 0.3, 0.1, 0.1, 0.1], "000011"),
        ([0.3, 0.1, 0.1, 0.1, 0.1], [0.3, 0.1, 0.1, 0.1, 0.1], "111111"),
        # Exactly the share is not below it.
        ([0.4, 0.2, 0.1, 0.1, 0.1], [0.4, 0.4, 0.4, 0.4, 0.2], "010000"),
    ],
)
def test_active_frames_by_hand(left, right, expected):
    assert active(0.8, left, right) == expected


def test_padding_stays_inside_and_no_score_is_all():
    left, right = [0.8, 0.2, 0.1, 0.1, 0.1], [0.8, 0.8, 0.8, 0.8, 0.2]
    assert active(0.8, left, right, pad=1) == "111000" and active(0.8, left, right, pad=9) == "111111"
    assert active(0.0, [0.0] * 5, [0.0] * 5) == "111111"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(AUDIO)
    rng = np.random.default_rng(0)
    with open_database("t.db", "create") as session:
        category, source = session.query(Category).first(), session.query(Source).first()
        session.add(Class(id=1, name="Wren", code="WREN", category_id=category.id))
        group = get_or_add_group(session, "default")
        for k in (1, 2):
            session.add(Recording(id=k, filename=f"a-{k}.wav", path="", source_id=source.id, seconds=60.0))
            session.add(Segment(id=k, recording_id=k, offset=1.5))
            session.flush()
            session.add(SegmentClass(segment_id=k, class_id=1))
            add_values(session, group, [(k, encode(rng.random((32, 96)) * 0.2))])
    table([1, "a-1.wav", 1.5, 0.8, *[0.8, 0.8, 0.3, 0.1, 0.1], *[0.8, 0.8, 0.3, 0.1, 0.1]],
          [2, "a-2.wav", 1.5, 0.6, *[0.6] * 4, 0.1, *[0.6] * 4, 0.1])  # fmt: skip


def table(*rows, frames=6, path="WREN.csv"):
    head = ["#", "Segment ID", "Recording", "Offset", "Score", "FP Name", "FP Code", "FP Score"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*head, *occlusion_columns(frames)])
        writer.writerows([[k, *row[:4], "", "", "", *row[4:]] for k, row in enumerate(rows, start=1)])


def run(*more):
    return main(["plot-occlude", "-i", "WREN.csv", "-o", "out", "-d", "t.db", "-c", "small.yaml", *more])


def tinted(path):
    """Return which of the six frames of the spectrogram are orange: where blue is much weaker than red."""
    picture = np.asarray(Image.open(path)).astype(int)
    upper = picture[: len(picture) // 2]
    inside = np.flatnonzero((upper.min(axis=2) < 250).mean(axis=0) > 0.7)  # columns of the spectrogram
    warmth = (upper[:, :, 0] - upper[:, :, 2]).mean(axis=0)[inside[0] : inside[-1]]
    return "".join(str(int(part.mean() > 15)) for part in np.array_split(warmth, 6))


def test_pictures_show_the_active_frames(project, capsys):
    assert run("--alpha", "0.5") == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["a-1-1.50-seg1.jpeg", "a-2-1.50-seg2.jpeg"]
    assert tinted("out/a-1-1.50-seg1.jpeg") == "001100"
    assert tinted("out/a-2-1.50-seg2.jpeg") == "011110"
    assert "Plotted 2 spectrograms" in capsys.readouterr().out
    assert run("--alpha", "0.5", "--pad", "1", "--rec", "a-1.wav") == 0
    assert tinted("out/a-1-1.50-seg1.jpeg") == "011110"


def test_segments_of_another_database_are_named(project, capsys):
    table([1, "b.wav", 1.5, 0.8, *[0.8] * 10], [7, "a-1.wav", 0, 0.8, *[0.8] * 10], [2, "a-2.wav", 1.5, 0.6, *[0] * 10])
    assert run() == 0
    assert len(list(Path("out").iterdir())) == 1
    said = capsys.readouterr().err
    assert "of segments 7" in said and "segment 1 (b.wav at 1.5 s there, a-1.wav at 1.5 s)" in said


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda: None, ["--alpha", "0"], "--alpha 0 is not a share"),
        (lambda: None, ["--pad", "-1"], "--pad -1 is below 0"),
        (lambda: None, ["--rec", "a-3.wav"], 'no segment of recording "a-3.wav"; did you mean'),
        (lambda: None, ["--sgroup", "defalt"], 'did you mean "default"'),
        (lambda: Path("WREN.csv").unlink(), [], "WREN.csv"),
        (lambda: Path("WREN.csv").write_text("#,Segment ID,Recording,Offset,Score\n"), [], "has no columns score_L1"),
        (lambda: table(), [], "lists no segments"),
        (lambda: table([1, "a-1.wav", 1.5, 0.8, *["x"] * 10]), [], 'row 2: "x" is not a valid number'),
        (lambda: table([1, "a-1.wav", 1.5, 0.8, *[2] * 10]), [], "row 2: 2 is not a score"),
        (lambda: table(*[[1, "a-1.wav", 1.5, 0.8, *[0.1] * 10]] * 2), [], "rows 2 and 3 both hold segment 1"),
        (lambda: table([9, "a-1.wav", 1.5, 0.8, *[0.1] * 10]), [], "none of the 1 segment of this table"),
    ],
)
def test_bad_input(project, capsys, change, more, message):
    change()
    assert run(*more) == 1
    assert message in capsys.readouterr().err and not Path("out").exists()


def test_the_columns_of_both_sides_must_be_there(project):
    text = Path("WREN.csv").read_text()
    Path("WREN.csv").write_text(text.replace("score_R5", "score_X5"))
    with pytest.raises(InputError, match="score_R5"):
        read_occlusions("WREN.csv")
