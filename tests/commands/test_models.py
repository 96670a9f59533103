"""models as a person runs it."""

import csv
import io

import pytest

from britekit.cli import main
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

SOME = "effnet.1,timm.test_resnet"


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("audio: {spec_height: 64, spec_width: 96}\n")
    return tmp_path


def test_file_has_the_columns_and_counts(small, capsys):
    assert main(["models", "-c", "c.yaml", "--model", SOME, "--csv", "m.csv", "--classes", "7"]) == 0
    rows = list(csv.DictReader(io.StringIO((small / "m.csv").read_text())))
    assert list(rows[0]) == ["model", "parameters", "gmacs"]
    assert [row["model"] for row in rows] == SOME.split(",")
    for row in rows:
        network = build(Blueprint(row["model"], None, 7, 64, 96))
        assert int(row["parameters"]) == sum(p.numel() for p in network.parameters())
        assert 0 < float(row["gmacs"]) < 1
    shown = capsys.readouterr().out
    assert f"{int(rows[0]['parameters']):,}" in shown
    assert "64 x 96" in shown


def test_standard_output_time_and_head(small, capsys):
    command = ["models", "-c", "c.yaml", "--model", "dla.1", "--csv", "-", "--time", "--head", "basic_sed"]
    assert main(command) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert list(row) == ["model", "parameters", "gmacs", "forward_per_second", "training_per_second"]
    assert float(row["forward_per_second"]) > 0 and float(row["training_per_second"]) > 0


def test_gmacs_grow_with_the_spectrogram(small):
    from britekit import commands

    (wide,) = commands.models(model="effnet.1")  # 128 x 480, ten times the pixels
    (narrow,) = commands.models("c.yaml", model="effnet.1")
    assert wide["parameters"] == narrow["parameters"]
    assert wide["gmacs"] / narrow["gmacs"] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--model", "efnet.1"], 'did you mean "effnet"'),
        (["--model", "effnet.99"], "1 to 11"),
        (["--model", ","], "--model is empty"),
        (["--model", "timm.nothing"], "timm"),
        (["--model", "effnet.1", "--head", "bassic"], 'did you mean "basic"'),
        (["--model", "effnet.1", "--classes", "0"], "--classes 0"),
    ],
)
def test_one_sentence(small, capsys, options, said):
    assert main(["models", *options]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("Error: ") and errors.count("\n") == 1
    assert said in errors
