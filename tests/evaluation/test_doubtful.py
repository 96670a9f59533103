"""`rpt-doubtful` finds labels swapped on purpose; a formula stands in for the trained networks."""

import csv
import pickle
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import soundfile

from britekit.cli import main
from britekit.config import resolve
from britekit.database.schema import Recording, Segment, Source
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.datasets.splits import make_splits
from britekit.datasets.training_set import read_training_set
from britekit.evaluation.doubtful import find_doubts
from britekit.results.recordings import Recordings
from britekit.results.review_queue import read_queue
from britekit.training import trainer
from tests.training.conftest import HEIGHT, WIDTH, make_pickle

COUNT = 48
SWAPPED = {5: 1, 16: 0, 34: 2}  # segment to the class it is labeled with; its sound is that of segment % 3
SETTINGS = f"audio: {{spec_height: {HEIGHT}, spec_width: {WIDTH}}}\nmisc: {{force_cpu: true}}\n"


def hear(cfg, seed, log_root, on_held_out):
    """Score as a network would that knows where each class has its bar of 20 columns."""
    samples = read_training_set(cfg.train.train_pickle)
    bars = np.stack([samples.images[:, 2 + c * (HEIGHT // 3) + 1] > 200 for c in range(3)], axis=1).sum(axis=2)
    scores = 0.05 + 0.9 * (bars > 10) + 0.04 * np.random.default_rng(seed).random(bars.shape)
    for split in make_splits(samples.labels, samples.group_ids, cfg.train.num_folds):
        on_held_out(split.held_out, scores[split.held_out])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A training file with three wrong labels, and the database that names its segments."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    path = Path("data/training.pkl")
    make_pickle(path, COUNT)
    content = pickle.loads(path.read_bytes())
    for segment, label in SWAPPED.items():
        content["spec_class_indexes"][segment] = [label]
    path.write_bytes(pickle.dumps(content, protocol=4))
    with open_database("data/training.db", "create") as session:
        source = session.query(Source).first()
        group = get_or_add_group(session, "default")
        for k in range(COUNT):
            if k % 2 == 0:
                name = f"r{k // 2:02d}.wav"
                session.add(
                    Recording(id=k // 2 + 1, filename=name, path=f"data/recordings/Low/{name}", source_id=source.id)
                )
            session.add(Segment(id=k, recording_id=k // 2 + 1, offset=5.0 * (k % 2)))
            session.flush()
            add_values(session, group, [(k, content["spec_values"][k])])
    Path("params.yaml").write_text(SETTINGS)
    Path("data/recordings/Low").mkdir(parents=True)
    soundfile.write("data/recordings/Low/r17.wav", np.zeros(100), 100)
    monkeypatch.setattr(trainer, "train", hear)
    return tmp_path


def rows(name):
    with open(Path("out", name)) as file:
        return list(csv.DictReader(file))


def test_swapped_labels_are_found(project, capsys):
    before = Path("data/training.db").read_bytes()
    assert main(["rpt-doubtful", "-o", "out", "--folds", "3"]) == 0
    assert Path("data/training.db").read_bytes() == before and not Path("logs").exists()
    names = ["Noise", "Low", "High"]
    doubted = rows("doubtful.csv")
    found = {(int(row["segment_id"]), row["class"], row["labelled"]) for row in doubted}
    # Each is labeled with what it does not hold, and lacks the label of what it holds.
    assert found == {(segment, names[label], "yes") for segment, label in SWAPPED.items()} | {
        (segment, names[segment % 3], "no") for segment in SWAPPED
    }
    assert [int(row["rank"]) for row in doubted] == [1, 2, 3, 4, 5, 6]
    first = next(row for row in doubted if row["segment_id"] == "5" and row["labelled"] == "yes")
    assert (first["recording"], first["start"], first["end"]) == ("data/recordings/Low/r02.wav", "5.00", "10.00")
    assert (first["class"], first["rival"]) == ("Low", "High") and float(first["rival_score"]) > 0.9
    # Decisions are rows of data/curation.csv.
    drops = {(row["recording"], float(row["offset"]), row["class"], row["decision"]) for row in rows("curation.csv")}
    assert drops == {
        ("r02.wav", 5.0, "Low", "drop"),
        ("r08.wav", 0.0, "Noise", "drop"),
        ("r17.wav", 0.0, "High", "drop"),
    }
    queue = read_queue(Path("out/queue.csv"), Recordings("data/recordings"))
    assert ("Low/r17", 0.0, 5.0, "High") in {(item.recording, item.start, item.end, item.name) for item in queue}
    # One that is labeled Low sounds High, one Noise sounds Low, one High sounds Low.
    assert rows("confusion.csv") == [
        {
            "class": name,
            "taken_for": other,
            "segments": "1",
            "of": of,
            "share": f"{1 / int(of):.3f}",
            "mean_score": mean,
        }
        for name, other, of, mean in (
            ("High", "Low", "16", ANY),
            ("Low", "High", "15", ANY),
            ("Noise", "Low", "17", ANY),
        )
    ]
    assert Path("out/doubtful.jpeg").stat().st_size > 10_000
    out = capsys.readouterr().out
    assert "Low = 1 of 15 doubtful, 2 missing" in out and "doubtful = 6" in out


def test_what_is_unknown_is_not_doubted(project):
    """A verdict about one class says nothing about the others; every segment gets its score from its own fold."""
    path = Path("data/training.pkl")
    content = pickle.loads(path.read_bytes())
    content["spec_class_indexes"][5] = []
    content["spec_known_indexes"] = [[0] if k == 5 else None for k in range(COUNT)]  # that it is no noise
    path.write_bytes(pickle.dumps(content, protocol=4))
    with open_database("data/training.db") as session:
        report = find_doubts(session, resolve(), 2, 1)
    assert np.isfinite(report.score_NC).all() and report.score_NC.shape == (COUNT, 3)
    assert {doubt.row for doubt in report.doubts} == {16, 34}


def test_another_database_and_one_fold_are_refused(project, capsys):
    assert main(["rpt-doubtful", "-o", "out", "--folds", "1"]) == 1
    assert "--folds 1: expected at least 2" in capsys.readouterr().err
    content = pickle.loads(Path("data/training.pkl").read_bytes())
    content["spec_segment_ids"][34] = 99
    Path("data/training.pkl").write_bytes(pickle.dumps(content, protocol=4))
    assert main(["rpt-doubtful", "-o", "out", "--folds", "2"]) == 1
    assert "lacks 1 segments of the training file (99)" in capsys.readouterr().err
    assert not Path("out").exists()
