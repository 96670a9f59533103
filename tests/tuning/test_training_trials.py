"""Trials that train, on a tiny database and network: same seeds, extraction beside the user's database."""

import csv
from pathlib import Path

import pytest
import yaml

from britekit.cli import main
from tests.inference.conftest import write_recording

pytestmark = pytest.mark.slow

SETTINGS = {
    "audio": {"spec_duration": 3.0, "spec_height": 32, "spec_width": 64, "sampling_rate": 8000,
              "max_freq": 3800},
    "train": {"model_type": "timm.test_efficientnet", "num_epochs": 1, "min_steps": 2, "hidden_channels": 16,
              "save_last_n": 1, "train_db": "data.db"},
    "misc": {"force_cpu": True},
}  # fmt: skip


@pytest.fixture
def project(place):
    Path("params.yaml").write_text(yaml.safe_dump(SETTINGS))
    for k, name in enumerate(("Wren", "Owl")):
        for n in range(3):
            write_recording(Path(name) / f"{name}{n}.wav", 12, seed=10 * k + n)
        options = ["--name", name, "--code", name.upper(), "--dir", name, "-d", "data.db"]
        assert main(["extract-all", *options]) == 0
    rows = ["recording,class,start_time,end_time"]
    for n in range(2):
        write_recording(Path("test") / f"t{n}.wav", 9, seed=n)
        rows += [f"t{n},WREN,0.5,2.5", f"t{n},OWL,4,5"]
    Path("test/annotations.csv").write_text("\n".join(rows) + "\n")
    return place


def table(name):
    with open(Path("out") / name) as file:
        return list(csv.DictReader(file))


def test_audio_settings_are_tuned_beside_the_users_database(project, capsys):
    before = Path("data.db").read_bytes()
    Path("p.yaml").write_text(
        "- {name: max_freq, type: int, bounds: [3000, 3800], step: 800}\n"
        "- {name: learning_rate, type: categorical, choices: [0.002]}\n"
    )
    command = ["tune", "-o", "out", "-a", "test/annotations.csv", "-p", "p.yaml", "--extract", "--runs", "2"]
    assert main(command) == 0
    assert "PyTorch" not in capsys.readouterr().err  # each trial warned that its checkpoints have no exports
    rows = table("metrics-details.csv")
    assert [(row["Trial #"], row["Run #"]) for row in rows] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    assert Path("data.db").read_bytes() == before and not Path("data").exists()
    summary = table("metrics-summary.csv")
    assert all(row["Macro ROC-AUC stdev"] and not row["Error"] for row in summary)
    configs = sorted(Path("logs").glob("version_*/config.yaml"))
    found = [yaml.safe_load(path.read_text()) for path in configs]
    assert sorted((c["audio"]["max_freq"], c["train"]["seed"]) for c in found) == [
        (3000, 100), (3000, 101), (3800, 100), (3800, 101),
    ]  # fmt: skip


def test_worse_trials_are_given_up(project, monkeypatch):
    from britekit.tuning.trial import FIGURES, TrainAndTest

    goodness = iter([0.9] * 10 + [0.1, 0.1])

    def run(self, cfg, seed, on_epoch):
        value = next(goodness)
        return dict.fromkeys(FIGURES, value)

    monkeypatch.setattr(TrainAndTest, "run", run)
    Path("p.yaml").write_text("- {name: drop_rate, type: float, bounds: [0.0, 0.5], step: 0.1}\n")
    command = ["tune", "-o", "out", "-a", "test/annotations.csv", "-p", "p.yaml", "--runs", "2", "--prune"]
    assert main(command) == 0
    rows = table("metrics-summary.csv")
    assert [bool(row["Error"]) for row in rows] == [False] * 5 + [True]
    assert "pruned" in rows[-1]["Error"] and len(table("metrics-details.csv")) == 11
