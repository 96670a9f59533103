"""Checkpoints of public britekit 1.8.4: its names of tensors lead to our networks, and scores are its own.

`public_tensors.json` lists names and shapes of tensors in checkpoints that 1.8.4 wrote. Scores are compared where
BRITEKIT_PUBLIC_PYTHON names the interpreter of an environment that holds it.
"""

import copy
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from britekit.config import BaseConfig, to_dict
from britekit.errors import ModelError
from britekit.models.averaging import average_checkpoints
from britekit.models.checkpoint import load_checkpoint, read_archive
from britekit.models.freezing import freeze_checkpoint
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

HERE = Path(__file__).parent
FACTS = json.loads((HERE / "public_tensors.json").read_text())
PUBLIC = os.environ.get("BRITEKIT_PUBLIC_PYTHON")
PAIRS = sorted(FACTS["heads"]) + [f"{m}/{h}" for m in sorted(FACTS["backbones"]) for h in ("basic", "basic_sed")]


def tensors(names, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, text in names.items():
        shape = [int(size) for size in text.split("x")] if text else []
        value = torch.randn(shape, generator=generator) * 0.1
        found[name] = value.abs() + 1 if name.endswith("running_var") else value
        if name.endswith("running_var"):
            found[name.replace("running_var", "num_batches_tracked")] = torch.tensor(5)
    return found


def public(model="effnet.1", head="basic_sed", classes=50, seed=0):
    """A checkpoint as 1.8.4 writes it, with random weights."""
    names = dict(FACTS["backbones"][model])
    names |= FACTS["heads"][f"effnet.1/{head}" if head else f"{model}/None"]
    if model != "effnet.1" and head:
        features = tensors(FACTS["heads"][f"{model}/None"])
        width = {"mobilenet.1": 1280, "repvit.1": 192, "hgnet.1": 128}.get(model)
        width = width or next(v.shape[1] for n, v in features.items() if n.endswith("weight") and v.ndim >= 2)
        names = {n: s.replace("x320", f"x{width}") if n.startswith("head.") else s for n, s in names.items()}
    settings = to_dict(BaseConfig())
    settings["audio"] = BaseConfig().audio.stored() | {"use_spec_cache": False, "chunks_per_spec": 3}
    settings["train"] |= {"lse_temp": 2.0, "two_way": False}  # 1.8.4 builds the temporal head without them
    labels = [f"Class {k}" for k in range(classes)]
    return {
        "epoch": 0,
        "pytorch-lightning_version": "2.6.1",
        "loops": {},
        "optimizer_states": [],
        "state_dict": tensors(names, seed),
        "hyper_parameters": {
            "model_type": model, "head_type": head, "hidden_channels": 256, "train_class_names": labels,
            "train_class_codes": labels, "train_class_alt_names": labels, "train_class_alt_codes": labels,
            "num_train_specs": 100, "multi_label": True,
        },
        "identifier": "5A0A1170-1F78-438D-A2DF-CA1791A2107C",
        "training_date": "2026-11-30",
        "training_cfg": settings,
        "britekit_version": "1.8.4",
    }  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_every_tensor_finds_its_place(pair, tmp_path):
    model, _, head = pair.partition("/")
    content = public(model, None if head == "None" else head)
    torch.save(content, tmp_path / "a.ckpt")
    stored = load_checkpoint(tmp_path / "a.ckpt")
    assert len(stored.classes) == 50 and stored.identifier == content["identifier"]
    segment, frames = stored.recognizer(torch.rand(2, 1, 64, 96))
    assert segment.shape == (2, 50)
    assert frames is None or frames.shape == (2, 50, 20)
    assert (frames is not None) == head.endswith("_sed")


def test_values_go_where_they_belong(tmp_path):
    content = public(head="effnet")
    torch.save(content, tmp_path / "a.ckpt")
    weights, theirs = load_checkpoint(tmp_path / "a.ckpt").recognizer.state_dict(), content["state_dict"]
    assert torch.equal(weights["backbone.stem.0.weight"], theirs["backbone.conv_stem.weight"])
    assert torch.equal(weights["head.linear.bias"], theirs["head.6.bias"])
    # The bias of a convolution before a batch norm is the same as a lower mean in the norm.
    x = torch.rand(3, 320)
    convolved = x @ theirs["head.0.weight"].flatten(1).T + theirs["head.0.bias"]
    expected = (convolved - theirs["head.1.running_mean"]) / torch.sqrt(theirs["head.1.running_var"] + 1e-5)
    ours = (x @ weights["head.conv.weight"].flatten(1).T - weights["head.norm.running_mean"]) / torch.sqrt(
        weights["head.norm.running_var"] + 1e-5
    )
    torch.testing.assert_close(ours, expected)


def test_settings_without_effect_are_left_out_and_unknown_ones_named(tmp_path, caplog):
    content = public()
    content["training_cfg"]["audio"] |= {"odd_setting": 1}
    del content["training_cfg"]["audio"]["check_seconds"]
    torch.save(content, tmp_path / "a.ckpt")
    audio = read_archive(tmp_path / "a.ckpt")[0]["training_cfg"]["audio"]
    assert "use_spec_cache" not in audio and audio["check_seconds"] == 6.0
    assert "odd_setting" in caplog.text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c["state_dict"].update({"backbone.other": torch.zeros(1)}), r"unexpected: backbone\.other"),
        (lambda c: c["state_dict"].pop("backbone.conv_stem.weight"), r"missing: backbone\.stem\.0\.weight"),
        (lambda c: c["state_dict"].update({"backbone.conv_stem.weight": torch.zeros(9, 1, 3, 3)}), "another shape"),
        (lambda c: c["hyper_parameters"].update(model_type="oddnet.1"), "oddnet"),
        (lambda c: c["hyper_parameters"].pop("model_type"), "lacks 'model_type'"),
        (lambda c: c.pop("training_cfg"), "lacks 'training_cfg'"),
        (lambda c: c.update(callbacks=Path("x")), "could run code"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(tmp_path, change, match):
    content = public()
    change(content)
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(ModelError, match=match):
        load_checkpoint(tmp_path / "a.ckpt")


def test_they_can_be_frozen_and_averaged(tmp_path):
    for seed in (1, 2):
        torch.save(public(seed=seed), tmp_path / f"{seed}.ckpt")
    x = torch.rand(2, 1, 64, 96)
    before = load_checkpoint(tmp_path / "1.ckpt").recognizer(x)[0]
    average_checkpoints([tmp_path / "1.ckpt", tmp_path / "2.ckpt"], tmp_path / "mean.ckpt")
    first, second, mean = (load_checkpoint(tmp_path / f"{n}.ckpt").recognizer.state_dict() for n in ("1", "2", "mean"))
    name = "head.classify.weight"
    torch.testing.assert_close(mean[name], (first[name] + second[name]) / 2)
    assert freeze_checkpoint(tmp_path / "1.ckpt") == "frozen"
    assert torch.equal(load_checkpoint(tmp_path / "1.ckpt").recognizer(x)[0], before)
    assert "pytorch-lightning_version" not in copy.copy(read_archive(tmp_path / "1.ckpt")[0])


def test_channels_that_are_not_multiples_of_8_are_kept_in_theirs_alone():
    shapes = {}
    for as_public in (False, True):
        network = build(Blueprint("bknet.6", "basic", 3, 64, 96, as_public=as_public))
        shapes[as_public] = [tuple(w.shape[:2]) for n, w in network.named_parameters() if ".conv3_1x1.conv" in n]
    # As a checkpoint of 1.8.4 has them.
    assert shapes[True] == [(320, 96)] * 3 + [(452, 1356)] * 3 + [(272, 678)]
    assert shapes[False] == [(320, 96)] * 3 + [(456, 1368)] * 3 + [(272, 680)]


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC_PYTHON names no interpreter with public britekit")
@pytest.mark.parametrize("pair", [*PAIRS, "bknet.6/basic_sed"])
def test_scores_are_those_of_public_britekit(pair, tmp_path):
    model, _, head = pair.partition("/")
    windows = np.random.default_rng(0).random((24, 128, 480), np.float32) ** 4
    np.save(tmp_path / "windows.npy", windows)
    command = [PUBLIC, HERE / "make_public.py", model, head, tmp_path / "windows.npy", tmp_path / "a"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    network = load_checkpoint(tmp_path / "a.ckpt").recognizer
    with torch.inference_mode():
        segment, frames = network(torch.from_numpy(windows)[:, None])
    expected = np.load(tmp_path / "a.npz")
    assert expected["segment"].std(0).mean() > 0.0005  # five times the tolerance
    np.testing.assert_allclose(torch.sigmoid(segment).numpy(), expected["segment"], atol=1e-4)
    if "frames" in expected:
        np.testing.assert_allclose(torch.sigmoid(frames).numpy(), expected["frames"], atol=1e-4)
