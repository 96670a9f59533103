"""What find returns equals comparing every pair by brute force, and its files are what other commands read."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from britekit.archive import index
from britekit.archive.search import find_similar
from britekit.archive.store import Archive
from britekit.audio.files import find_recordings
from britekit.commands.embed import embed
from britekit.commands.find import find
from britekit.config import BaseConfig
from britekit.database.session import open_database
from britekit.datasets.adding import extract_folder
from britekit.errors import BriteKitError, InputError
from britekit.results.review_queue import build_review
from tests.archive.conftest import expected_vector
from tests.inference.conftest import write_recording
from tests.inference.fakes import SMALL_AUDIO


class Synthetic(Archive):
    """An archive of random vectors, some of them zeros, tiny, huge, equal or out of date."""

    def __init__(self, rows: int, width: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        vectors = rng.normal(0, 1, (rows, width)) * 10.0 ** rng.integers(-7, 4, (rows, 1))
        vectors[rng.integers(0, rows, 5)] = 0.0
        vectors[1:4] = vectors[0]
        self.vectors = vectors.astype(np.float16)
        self.rows, self.width, self.folder = rows, width, Path("synthetic")
        self.norms = np.linalg.norm(self.vectors.astype(np.float64), axis=1).astype(np.float32)
        self.live = rng.random(rows) > 0.05


def brute_force(archive: Archive, wanted, others, most: int):
    vectors = archive.vectors.astype(np.float64)
    near = cosine_similarity(vectors, wanted.astype(np.float64)).max(axis=1)
    kept = archive.live.copy()
    if others is not None:
        kept &= near > cosine_similarity(vectors, others.astype(np.float64)).max(axis=1)
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((rows, -near[rows]))][:most]
    return rows, near[rows], int(archive.live.sum() - kept.sum())


@pytest.mark.parametrize("width", [3, 64, 512])
@pytest.mark.parametrize("examples", [1, 7])
@pytest.mark.parametrize("negatives", [0, 3])
@pytest.mark.parametrize("most", [1, 50, 100_000])
def test_equals_brute_force(width, examples, negatives, most):
    archive = Synthetic(5000, width, seed=width)
    rng = np.random.default_rng(1)
    wanted = rng.normal(size=(examples, width)).astype(np.float32)
    wanted[0] = archive.vectors[0].astype(np.float32)
    others = rng.normal(size=(negatives, width)).astype(np.float32) if negatives else None
    found = find_similar(archive, wanted, others, most)
    rows, similarity, left_out = brute_force(archive, wanted, others, most)
    np.testing.assert_allclose(found.similarity, similarity, atol=1e-12)
    assert found.rows.tolist() == rows.tolist()
    if negatives:
        assert abs(found.nearer_to_not - left_out) <= 5  # counted in float32; zeros are at 0 from both


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def ranked(archive: Path, wanted: list[np.ndarray]) -> list[tuple[str, float, float]]:
    """Rank all windows by their samples alone."""
    stored = Archive(archive)
    rows = []
    for row in range(stored.rows):
        entry, start = stored.entry_of(row), float(stored.starts[row])
        vector = expected_vector(Path("recordings") / entry.file, start)
        cosines = [v @ vector / np.linalg.norm(v) / np.linalg.norm(vector) for v in wanted]
        rows.append((entry.recording, start, max(cosines)))
    return sorted(rows, key=lambda row: -row[2])


def test_by_a_stretch_of_a_recording(archive):
    hits = find(archive="archive", input_path="recordings/b/four.wav", start="12", num=10, output_path="out")
    rows = table(Path("out/results.csv"))
    assert list(rows[0]) == ["rank", "recording", "start", "similarity"]
    assert rows[0] == {"rank": "1", "recording": "b/four", "start": "12.00", "similarity": "1.000000"}
    expected = ranked(archive, [expected_vector(Path("recordings/b/four.wav"), 12.0)])[:10]
    assert [float(r["similarity"]) for r in rows] == pytest.approx([e[2] for e in expected], abs=1e-4)
    assert {(r["recording"], float(r["start"])) for r in rows[:5]} == {(e[0], e[1]) for e in expected[:5]}
    assert Path("out/contact-sheet.jpeg").stat().st_size > 5000
    assert len(hits) == 10


def test_by_a_clip_that_is_not_in_the_archive_and_by_several(archive):
    clip = write_recording(Path("clips/x.wav"), 3.0, seed=77)
    write_recording(Path("clips/y.wav"), 3.0, seed=78)
    find(archive="archive", input_path="clips/x.wav", num=5, output_path="one")
    one = [expected_vector(clip, 0.0)]
    assert [float(r["similarity"]) for r in table(Path("one/results.csv"))] == pytest.approx(
        [row[2] for row in ranked(archive, one)[:5]], abs=1e-4
    )
    find(archive="archive", input_path="clips", num=5, output_path="both")
    both = [*one, expected_vector(Path("clips/y.wav"), 0.0)]
    assert [float(r["similarity"]) for r in table(Path("both/results.csv"))] == pytest.approx(
        [row[2] for row in ranked(archive, both)[:5]], abs=1e-4
    )
    two = find(archive="archive", input_path="recordings/b/four.wav", start="0,30.5", num=2, output_path="two")
    assert two[0].start == 0.0


def test_without_what_is_nearer_to_another(archive, capsys):
    write_recording(Path("no/n.wav"), 61.0, seed=3)  # the same as b/four: nothing of it may be found
    hits = find(archive="archive", input_path="recordings/a/one.wav", not_path="no", num=100, output_path="out")
    assert hits and not [hit for hit in hits if hit.recording == "b/four"]
    printed = capsys.readouterr().out
    assert f"nearer_to_not = {42 - len(hits)}" in printed


def test_by_class_of_the_database(archive, capsys):
    write_recording(Path("Wren/w.wav"), 6.0, seed=20)
    cfg = BaseConfig(audio=SMALL_AUDIO)
    with open_database("t.db", "create") as session:
        extract_folder(session, cfg, find_recordings("Wren"), "Wren")
    find(archive="archive", class_name="Wren", db_path="t.db", num=5, output_path="out")
    wanted = [expected_vector(Path("Wren/w.wav"), start) for start in (0.0, 3.0)]
    assert "examples = 2" in capsys.readouterr().out
    assert [float(r["similarity"]) for r in table(Path("out/results.csv"))] == pytest.approx(
        [row[2] for row in ranked(archive, wanted)[:5]],
        abs=5e-4,  # stored spectrograms have 256 levels
    )
    with pytest.raises(BriteKitError, match='"Wern".*did you mean "Wren"'):
        find(archive="archive", class_name="Wern", db_path="t.db", output_path="out")


def test_the_queue_is_taken_by_review_and_clips_are_cut(archive):
    find(archive="archive", input_path="recordings/a/two.wav", num=4, output_path="out", clips=True)
    review, _ = build_review("recordings", None, "out/queue.csv")
    items = [(item.recording, item.start, item.name) for item in review.items]
    rows = table(Path("out/results.csv"))
    assert items == [(r["recording"], float(r["start"]), "two") for r in rows]
    assert len(table(Path("out/clips/clips.csv"))) == 4
    with pytest.raises(InputError, match="out/clips is not empty"):
        find(archive="archive", input_path="recordings/a/two.wav", num=4, output_path="out", clips=True)


def test_recordings_that_are_gone_or_elsewhere(archive):
    os.rename("recordings", "moved")
    with pytest.raises(InputError, match="could not be drawn, the first is recordings/.*out/results.csv"):
        find(archive="archive", input_path="moved/a/one.wav", num=5, output_path="out")
    assert len(table(Path("out/results.csv"))) == 5
    assert len(find(archive="archive", input_path="moved/a/one.wav", root_path="moved", output_path="out2")) == 42


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "nothing to look for"),
        ({"input_path": "recordings/five.wav", "start": "1.5"}, "lasts 2 s, too short for a window at 1.5 s"),
        ({"input_path": "recordings/five.wav", "start": "-1"}, "--start -1: expected"),
        ({"input_path": "recordings/five.wav", "start": "x"}, '--start "x" is not a number'),
        ({"input_path": "recordings", "start": "1"}, "--start is a place in a recording"),
        ({"input_path": "recordings/six.wav"}, "lasts 0.4 s, too short"),
        ({"input_path": "recordings/five.wav", "num": 0}, "--num 0"),
        ({"input_path": "recordings/five.wav", "db_path": "x.db"}, "leave out -i"),
        ({"input_path": "silence.wav"}, "all zeros for the model"),
        ({"input_path": "recordings/five.wav", "archive": "models"}, "models is not an archive"),
    ],
)
def test_refusals(archive, given, sentence):
    import soundfile

    soundfile.write("silence.wav", np.zeros(24000, np.float32), 8000)
    with pytest.raises(InputError, match=sentence):
        find(**{"archive": "archive", "output_path": "out", **given})
    assert not Path("out/results.csv").exists()


def test_an_archive_without_windows(recordings):
    write_recording(Path("short/s.wav"), 0.4)
    embed(input_path="short", archive="empty", model="models/seed-1.onnx")
    with pytest.raises(InputError, match="empty contains no window"):
        find(archive="empty", input_path="recordings/a/one.wav", output_path="out")


@pytest.mark.parametrize("examples", [1, 3])
def test_usearch_beyond_a_limit_gives_the_same(monkeypatch, examples):
    pytest.importorskip("usearch")
    archive = Synthetic(5000, 64)
    wanted = np.random.default_rng(1).normal(size=(examples, 64)).astype(np.float32)
    expected = find_similar(archive, wanted, None, 50)
    monkeypatch.setattr(index, "EXACT_ROWS", 10)
    rows = index.candidates(archive, wanted.astype(np.float64), 50)
    assert 50 < len(rows) < 2500  # it chose
    found = find_similar(archive, wanted, None, 50)
    assert found.rows.tolist() == expected.rows.tolist()
    np.testing.assert_allclose(found.similarity, expected.similarity, rtol=1e-12)
    monkeypatch.setattr(index.importlib.util, "find_spec", lambda name: None)
    assert index.candidates(archive, wanted.astype(np.float64), 50) is None


def test_help_of_both_names_the_other(capsys):
    from britekit.cli import build_parser

    for name, other in (("embed", "find"), ("search", "find"), ("find", "search")):
        assert other in build_parser(name).format_help()
