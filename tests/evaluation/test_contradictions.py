"""`analyze-db` on a small database, with a fake model whose scores a formula gives."""

import csv
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.cli import main
from britekit.database.schema import Category, Class, Recording, Segment, SegmentClass, Source
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, encode, get_or_add_group
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL"), ClassInfo("Jay", "JAY")]
WEIGHTS = np.random.default_rng(3).normal(0, 6, (3, 32)) / 4
# Class of each segment; the last has two.
OWNERS = [[0], [0], [0], [1], [1], [2], [0, 1]]


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    make_fake_member(tmp_path / "models" / "ckpt", CLASSES, weights_CH=WEIGHTS, bias_C=np.zeros(3))
    rng = np.random.default_rng(1)
    stored = np.rint(rng.random((len(OWNERS), 32, 64)) * rng.random((len(OWNERS), 32, 1)) * 255) / 255
    with open_database("data.db", "create") as session:
        category = session.query(Category).first()
        source = session.query(Source).first()
        for k, info in enumerate(CLASSES):
            session.add(Class(id=k + 1, name=info.name, code=info.code, category_id=category.id))
        session.add(Recording(id=1, filename="a-1.wav", path="a-1.wav", source_id=source.id, seconds=60.0))
        group = get_or_add_group(session, "default")
        for k, owners in enumerate(OWNERS):
            session.add(Segment(id=k + 1, recording_id=1, offset=3.0 * k))
            session.flush()
            for owner in owners:
                session.add(SegmentClass(segment_id=k + 1, class_id=owner + 1))
            add_values(session, group, [(k + 1, encode(stored[k]))])
    return stored.astype(np.float32)


def expected_scores(images):
    power = images**0.7  # infer.audio_power
    return 1 / (1 + np.exp(-(power.mean(axis=2) @ WEIGHTS.T)))


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_tables_say_what_the_formula_says(images):
    before = Path("data.db").read_bytes()
    assert main(["analyze-db", "-d", "data.db", "-o", "out", "--max", "1"]) == 0
    scores = expected_scores(images)
    for k, info in enumerate(CLASSES):
        mine = [n for n, owners in enumerate(OWNERS) if k in owners]
        order = sorted(mine, key=lambda n: scores[n, k])
        found = rows(f"out/{info.code}.csv")
        assert [int(row["Segment ID"]) for row in found] == [n + 1 for n in order]
        for row, n in zip(found, order, strict=True):
            assert float(row["Score"]) == pytest.approx(scores[n, k], abs=2e-3)
            rivals = [c for c in range(3) if c not in OWNERS[n]]
            rival = max(rivals, key=lambda c: scores[n, c])
            assert row["FP Name"] == CLASSES[rival].name and row["FP Code"] == CLASSES[rival].code
            assert float(row["FP Score"]) == pytest.approx(scores[n, rival], abs=2e-3)
            assert (row["Recording"], float(row["Offset"])) == ("a-1.wav", 3.0 * n)
    summary = {row["Name"]: row for row in rows("out/class_summary.csv")}
    wren = scores[[0, 1, 2, 6], 0]
    assert int(summary["Wren"]["Spectrograms"]) == 4
    assert float(summary["Wren"]["Mean"]) == pytest.approx(wren.mean(), abs=2e-3)
    assert float(summary["Wren"]["Quantile .2"]) == pytest.approx(np.quantile(wren, 0.2), abs=2e-3)
    # A class that a segment has too is no rival there.
    means = {"Owl": scores[[0, 1, 2], 1].mean(), "Jay": scores[[0, 1, 2, 6], 2].mean()}
    first, second = sorted(means, key=means.get, reverse=True)
    assert [summary["Wren"][f"FP{k} Name"] for k in (1, 2, 3)] == [first, second, ""]
    assert float(summary["Wren"]["FP1 Mean"]) == pytest.approx(means[first], abs=2e-3)
    assert Path("out/most_contradicted.jpeg").stat().st_size > 10_000
    assert "not necessarily right" in Path("out/summary.txt").read_text()
    assert Path("data.db").read_bytes() == before


def test_only_what_is_below_the_bound_and_of_the_class(images, capsys):
    scores = expected_scores(images)[[3, 4, 6], 1]
    bound = float(np.sort(scores)[:2].mean())
    command = ["analyze-db", "-d", "data.db", "-o", "out", "--name", "Owl", "--max", str(bound), "--plot"]
    assert main(command) == 0
    assert len(rows("out/OWL.csv")) == 1 and not Path("out/WREN.csv").exists()
    n = [3, 4, 6][int(np.argmin(scores))]
    (picture,) = Path("out/OWL").iterdir()
    assert picture.name.startswith(f"1-a-1-{3.0 * n:.2f}-") and picture.suffix == ".jpeg"
    assert "Plotted 1 spectrogram\n" in capsys.readouterr().out
    assert main(command) == 0
    assert "Plotted 0 spectrograms" in capsys.readouterr().out


def test_occlusion_scores_are_those_of_blanked_spectrograms(images):
    Path("slow.yaml").write_text("train: {sed_fps: 2}\n")  # 6 frames in 3 s, which 64 columns do not divide evenly
    assert main(["analyze-db", "-c", "slow.yaml", "-d", "data.db", "-o", "out", "--max", "0", "--occlude"]) == 0
    found = rows("out/OWL.csv")
    assert sorted(int(row["Segment ID"]) for row in found) == [4, 5, 7]  # --max leaves none of them out
    assert [name for name in found[0] if name.startswith("score_")] == [
        f"score_{side}{k}" for side in "LR" for k in range(1, 6)
    ]
    edges = [0, 11, 21, 32, 43, 53, 64]
    for row in found:
        image = images[int(row["Segment ID"]) - 1]
        for k in range(1, 6):
            left, right = image.copy(), image.copy()
            left[:, : edges[k]] = 0
            right[:, edges[6 - k] :] = 0
            assert float(row[f"score_L{k}"]) == pytest.approx(expected_scores(left[None])[0, 1], abs=2e-3)
            assert float(row[f"score_R{k}"]) == pytest.approx(expected_scores(right[None])[0, 1], abs=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "Wrenn"], 'did you mean "Wren"'),
        (["--sgroup", "defalt"], 'did you mean "default"'),
        (["--max", "2"], "expected 0 to 1"),
        (["-d", "gone.db"], "gone.db"),
        (["--ckpt", "nowhere"], "nowhere"),
    ],
)
def test_bad_input(images, capsys, options, message):
    assert main(["analyze-db", "-d", "data.db", "-o", "out", *options]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out").exists() and not Path("gone.db").exists()


def test_stored_size_of_other_settings_is_named(images, capsys):
    import dataclasses

    other = dataclasses.replace(SMALL_AUDIO, spec_width=96)
    make_fake_member(Path("wide"), CLASSES, other)
    assert main(["analyze-db", "-d", "data.db", "-o", "out", "--ckpt", "wide"]) == 1
    assert "segment 1 is not one of the 32 × 96" in capsys.readouterr().err
