"""A Bento of a checkpoint of public britekit 1.8.4, an ONNX file of it and a checkpoint of ours, served and asked.

BRITEKIT_PUBLIC_PYTHON names an interpreter with that package and with onnxscript.
"""

import csv
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from britekit.annotations.classes import ClassInfo
from britekit.commands.analyze import analyze
from britekit.commands.ckpt_onnx import ckpt_onnx
from britekit.commands.package import package
from britekit.config import BaseConfig, to_dict
from britekit.models.checkpoint import hyper_parameters, read_archive, save_checkpoint
from britekit.models.recognizer import build_recognizer
from tests.service.running import serving
from tests.service.tone_model import write_tones

PUBLIC = os.environ.get("BRITEKIT_PUBLIC_PYTHON")
MAKER = Path(__file__).parents[1] / "models/make_public.py"
CLASSES = [ClassInfo(f"Class {k}", f"C{k}") for k in range(7)]
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC_PYTHON names no interpreter with public britekit"),
]


def scores(path):
    """Return the rows of a table of scores: recording, class and start with the score."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    score = "score" if "score" in rows[0] else "Score"
    return {tuple(v for k, v in row.items() if k != score): float(row[score]) for row in rows}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Three members in models/ckpt: theirs.ckpt, other.onnx (both of 1.8.4, exported by it) and ours.ckpt."""
    folder = tmp_path_factory.mktemp("mixed")
    ckpt = folder / "models/ckpt"
    ckpt.mkdir(parents=True)
    np.save(folder / "w.npy", np.random.default_rng(0).random((8, 128, 480), np.float32) ** 4)
    for model, name in (("effnet.1", "theirs"), ("vovnet.1", "other")):
        command = [PUBLIC, MAKER, model, "basic_sed", folder / "w.npy", ckpt / name]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
    code = "import britekit.commands as c; c.ckpt_onnx(input_path='models/ckpt/other.ckpt')"
    subprocess.run([PUBLIC, "-c", code], check=True, capture_output=True, cwd=folder)
    content, _ = read_archive(ckpt / "theirs.ckpt")
    cfg = BaseConfig()
    for name, value in content["training_cfg"]["audio"].items():
        setattr(cfg.audio, name, value)
    cfg.train.model_type, cfg.train.head_type = "hgnet.1", "basic_sed"
    network = build_recognizer(cfg.train, cfg.audio, len(CLASSES)).eval()
    hyper = hyper_parameters(network.blueprint, CLASSES, 10, True)
    save_checkpoint(ckpt / "ours.ckpt", network, hyper, to_dict(cfg), epoch=0, published=True)
    for name in ("theirs", "ours"):
        ckpt_onnx(input_path=str(ckpt / f"{name}.ckpt"))
    (folder / "recordings").mkdir()
    write_tones(folder / "recordings/x.wav")
    settings = {"misc": {"ckpt_folder": str(ckpt)}, "infer": {"min_score": 0.3, "overlap": 2.5}}
    (folder / "c.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_a_bento_of_mixed_members_answers_as_analyze(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(project)
    package(cfg_path="c.yaml", output_path="mixed.bento")
    assert "members = 3\n" in capsys.readouterr().out
    analyze(cfg_path="c.yaml", input_path="recordings", output_path="out", rtype="csv")
    wanted = scores("out/scores.csv")
    with serving(["--bento", str(project / "mixed.bento")], tmp_path) as server:
        answer = server.post("detections", project / "recordings/x.wav", format="csv", min_score=0.3)
        assert answer.status_code == 200
        (tmp_path / "served.csv").write_text(answer.text)
        found = scores(tmp_path / "served.csv")
    assert len(wanted) > 5 and found.keys() == wanted.keys()
    assert max(abs(found[key] - wanted[key]) for key in wanted) <= 1e-5

    # The same members in PyTorch: the exports stand for their checkpoints.
    torch_settings = yaml.safe_load(Path("c.yaml").read_text())
    torch_settings["infer"]["backend"] = "torch"
    Path("t.yaml").write_text(yaml.safe_dump(torch_settings))
    analyze(cfg_path="t.yaml", input_path="recordings", output_path="torch", rtype="csv")
    others = scores("torch/scores.csv")
    common = others.keys() & wanted.keys()
    assert len(common) > 5 and max(abs(others[key] - wanted[key]) for key in common) <= 1e-4
