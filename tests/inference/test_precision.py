"""bfloat16, windows longer than the model's, and calibrations of scores that were made otherwise."""

from __future__ import annotations

import csv
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

import britekit as bk
from britekit.annotations.scores import ScoreTable
from britekit.audio.spectrogram import compute_spectrograms
from britekit.cli import main
from britekit.config import BaseConfig, InferConfig, from_dict, to_dict
from britekit.errors import ModelError
from britekit.inference import precision
from britekit.inference.ensemble import load_ensemble
from britekit.inference.export import export_onnx
from britekit.inference.model_files import resolve_for_models
from britekit.inference.platt import choose_calibration, read_calibration
from britekit.inference.score_steps import scored_with
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, save_checkpoint
from britekit.models.recognizer import build_recognizer
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

HAS_BF16 = precision.has_bfloat16("openvino", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small network with an SED head, as a checkpoint and as an export."""
    cfg = BaseConfig(audio=SMALL_AUDIO)
    cfg.train.model_type, cfg.train.head_type, cfg.train.sed_fps, cfg.train.pretrained = (
        "effnet.1",
        "basic_sed",
        4,
        False,
    )
    torch.manual_seed(3)
    network = build_recognizer(cfg.train, cfg.audio, len(CLASSES)).eval()
    path = tmp_path_factory.mktemp("made") / "seed-1.ckpt"
    hyper = hyper_parameters(network.blueprint, CLASSES, 1, True)
    save_checkpoint(path, network, hyper, to_dict(cfg), epoch=0, published=True)
    export_onnx(load_checkpoint(path), path.with_suffix(".onnx"))
    return path.parent


@pytest.fixture
def sed(place: Path, made: Path) -> Path:
    """Return the checkpoint, copied to where commands look for models, with its export."""
    shutil.copytree(made, place / "models/ckpt")
    return place / "models/ckpt/seed-1.ckpt"


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_longer_windows_are_what_the_network_gives_for_wider_spectrograms(sed, backend):
    cfg, paths = resolve_for_models(
        None, {"infer.window_s": 7.5, "infer.backend": backend, "misc.force_cpu": True, "infer.audio_power": 1.0}
    )
    ensemble = load_ensemble(cfg, paths)
    assert (ensemble.audio.spec_width, ensemble.duration, ensemble.step_s) == (160, 7.5, 7.5)
    signal = np.random.default_rng(0).normal(0, 0.1, 16 * 8000).astype(np.float32)
    images = compute_spectrograms(signal, [0.0, 7.5], ensemble.audio)[0]
    segment, frames = ensemble.score(images)
    network = load_checkpoint(sed).recognizer
    with torch.inference_mode():
        features = network.backbone(torch.from_numpy(images[:, None]))
        head = network.head
        hidden = torch.relu(head.conv(features.mean(2)))
        own = head.classify(hidden)
        weights = torch.softmax(head.attention(hidden), dim=2)
    np.testing.assert_allclose(segment, expit((own * weights).sum(2).numpy()), atol=1e-5)
    # Linear interpolation between the centers of the network's own frames, by hand.
    places = (np.arange(30) + 0.5) * own.shape[2] / 30 - 0.5
    for b in range(2):
        for c in range(len(CLASSES)):
            by_hand = np.interp(places, np.arange(own.shape[2]), own[b, c].numpy())
            np.testing.assert_allclose(frames[b, c], expit(by_hand), atol=1e-5)
    write_recording(Path("rec/a.wav"), 20.0)
    found = bk.Predictor(cfg=cfg).score("rec/a.wav")
    assert found.starts.tolist() == [0.0, 7.5, 15.0] and found.frames.shape == (80, 3)


def test_few_windows_are_not_padded_for_the_predictor(sed):
    cfg, paths = resolve_for_models(None, {"infer.backend": "torch", "misc.force_cpu": True})
    model, sizes = load_ensemble(cfg, paths)._models[0], []
    model._network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    images = np.random.default_rng(0).random((5, 32, 64), dtype=np.float32)
    padded, alone = model.start(images)[0], model.start(images, padded=False)[0]
    assert sizes == [16, 5]
    np.testing.assert_allclose(padded, alone, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bfloat16_is_refused_where_the_processor_lacks_it(sed, backend, monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda backend, device: False)
    cfg, paths = resolve_for_models(None, {"infer.precision": "bf16", "infer.backend": backend, "misc.force_cpu": True})
    with pytest.raises(ModelError, match="this processor has no bfloat16 .* set it to f32"):
        load_ensemble(cfg, paths)


@pytest.mark.skipif(not HAS_BF16, reason="no bfloat16 on this processor")
def test_a_test_in_bfloat16_reports_both(sed, capsys):
    for number in range(3):
        write_recording(Path(f"rec/r{number}.wav"), 12.0, number)
    with open("rec/annotations.csv", "w", newline="") as file:
        rows = [(f"r{n}", c.name, 3 * n, 3 * n + 2) for n in range(3) for c in CLASSES[: n + 1]]
        csv.writer(file).writerows([("recording", "class", "start_time", "end_time"), *rows])
    Path("params.yaml").write_text("infer: {precision: bf16, backend: openvino}\nmisc: {force_cpu: true}\n")
    assert main(["analyze", "-i", "rec", "-o", "half", "-m", "0"]) == 0
    assert "precision: bf16" in Path("half/manifest.yaml").read_text()
    Path("params.yaml").write_text("infer: {backend: openvino}\nmisc: {force_cpu: true}\n")
    assert main(["analyze", "-i", "rec", "-o", "full", "-m", "0"]) == 0
    half, beside, full = (ScoreTable.load(x) for x in ("half/scores.npz", "half/scores-f32.npz", "full/scores.npz"))
    np.testing.assert_array_equal(beside.scores, full.scores)
    difference = np.abs(logit(half.scores.astype(float)) - logit(full.scores.astype(float)))
    assert 0 < difference.max() < 0.2
    capsys.readouterr()
    printed = {}
    for folder in ("half", "full"):
        assert main(["rpt-test", "-a", "rec/annotations.csv", "-l", folder, "-o", f"{folder}-report"]) == 0
        lines = capsys.readouterr().out.splitlines()
        printed[folder] = dict(line.split(" = ") for line in lines if " = " in line)
    assert printed["half"]["macro_pr_in_f32"] == printed["full"]["macro_pr"]
    assert "macro_pr_in_f32" not in printed["full"]
    assert main(["analyze", "-i", "rec", "-o", "half", "-m", "0"]) == 0
    assert not Path("half/scores-f32.npz").exists()  # those of the earlier run do not stay


@pytest.mark.parametrize("value", [True, False])
def test_autocast_of_former_versions_is_read(value):
    assert from_dict({"infer": {"autocast": value}}).infer.precision == "f32"
    infer = InferConfig()
    infer.autocast = value
    assert infer.precision == "f32"


@pytest.mark.parametrize(
    ("written", "infer", "said"),
    [
        (None, {"occurrence": "o.csv"}, None),
        ({"occurrence_prior": False}, {}, None),
        ({"occurrence_prior": False}, {"occurrence": "o.csv"}, "without the occurrence prior .* is applied with it"),
        ({"occurrence_prior": False}, {"occurrence": "o.csv", "occurrence_use": "list"}, None),
        ({"occurrence_prior": True}, {}, "with the occurrence prior .* is applied without it"),
        ({"occurrence_prior": False}, {"smoothing_s": 5.0}, "infer.smoothing_s null, now 5.0"),
    ],
)
def test_a_calibration_of_scores_made_otherwise_is_reported(place, caplog, written, infer, said):
    line = "" if written is None else f"scored_with: {written}\n"
    Path("c.yaml").write_text(
        f"coefficient: 1.1\nintercept: 0.1\n{line}".replace("False", "false").replace("True", "true")
    )
    cfg = BaseConfig()
    cfg.infer.calibration = "c.yaml"
    for name, value in infer.items():
        setattr(cfg.infer, name, value)
    with caplog.at_level(logging.WARNING):
        choose_calibration(cfg, [])
    found = [r.message for r in caplog.records if "was fitted on scores" in r.message]
    assert (not found) if said is None else (len(found) == 1)
    if said:
        assert re.search(said, found[0]), found


def test_calibrate_writes_how_scores_were_made():
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    rows = []
    for number in range(4):
        write_recording(Path(f"rec/r{number}.wav"), 30.0, number)
        rows += [(f"r{number}", CLASSES[k].name, 6 * j + 3 * k, 6 * j + 3 * k + 2) for j in range(4) for k in range(2)]
    with open("rec/annotations.csv", "w", newline="") as file:
        csv.writer(file).writerows([("recording", "class", "start_time", "end_time"), *rows])
    Path("params.yaml").write_text("infer: {smoothing_s: 2, top_weight: 0.5}\n")
    assert main(["analyze", "-i", "rec", "-o", "out", "-m", "0", "--raw"]) == 0
    assert main(["calibrate", "-a", "rec/annotations.csv", "-l", "out", "-o", "cal", "--cutoff", "0"]) == 0
    cfg = BaseConfig()
    cfg.infer.smoothing_s, cfg.infer.top_weight = 2.0, 0.5
    assert read_calibration("cal/calibration.yaml").scored_with == scored_with(cfg.infer)
    assert scored_with(cfg.infer) == {"occurrence_prior": False, "smoothing_s": 2.0, "top_weight": 0.5}
