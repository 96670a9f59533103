"""ONNX files as public britekit writes them: no metadata, other names, classes in a checkpoint beside them.

Its own files are compared where BRITEKIT_PUBLIC_PYTHON names an interpreter with it (and with onnxscript).
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, to_dict
from britekit.errors import ModelError
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.service.contents import write_contents
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL")]
PUBLIC = os.environ.get("BRITEKIT_PUBLIC_PYTHON")


def foreign(folder, name="a", seed=0, frames=None, checkpoint=True, classes=CLASSES):
    """Write what 1.8.4 would write of a fake member: its graph with one input, logits and frames alone."""
    make_fake_member(folder / "ours", CLASSES, name=name, seed=seed, frames=frames)
    model = onnx.load(folder / "ours" / f"{name}.onnx")
    del model.metadata_props[:]
    wanted = [x for x in model.graph.output if x.name != "embedding"]
    del model.graph.output[:]
    model.graph.output.extend(wanted)
    for node in model.graph.node:
        node.input[:] = ["input" if x == "spectrograms" else x for x in node.input]
        node.output[:] = [{"segment": "out.1", "frames": "out.2"}.get(x, x) for x in node.output]
    model.graph.input[0].name = "input"
    for output, other in zip(model.graph.output, ("out.1", "out.2")):
        output.name = other
    for port in (*model.graph.input, *model.graph.output):  # a block of 3 windows, as `openvino_block_size` fixes it
        port.type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(model, folder / f"{name}.onnx")
    if checkpoint:
        write_checkpoint(folder / f"{name}.ckpt", classes)
    return folder / f"{name}.onnx"


def write_checkpoint(path, classes=CLASSES):
    settings = to_dict(BaseConfig(audio=SMALL_AUDIO))
    names, codes = [info.name for info in classes], [info.code for info in classes]
    hyper = {
        "model_type": "effnet.1", "head_type": None, "train_class_names": names, "train_class_codes": codes,
        "train_class_alt_names": names, "train_class_alt_codes": codes, "multi_label": True,
    }  # fmt: skip
    torch.save(
        {
            "pytorch-lightning_version": "2.6.1", "state_dict": {}, "hyper_parameters": hyper,
            "training_cfg": settings, "identifier": "0A", "training_date": "2026-11-30",
        },
        path,
    )  # fmt: skip


def load(path):
    cfg, members = resolve_for_models(None, None, path)
    return load_ensemble(cfg, members)


@pytest.fixture
def windows():
    return np.random.default_rng(1).random((4, 32, 64), np.float32)


@pytest.mark.parametrize("frames", [None, 12])
def test_scores_are_those_of_the_same_graph(tmp_path, windows, frames):
    path = foreign(tmp_path, frames=frames)
    ours, theirs = load(tmp_path / "ours" / "a.onnx"), load(path)
    assert theirs.classes[1].code == "OWL" and theirs.members[0].identifier == "0A"
    assert theirs.audio.spec_width == 64 and theirs.members[0].frames == frames
    for mine, other in zip(ours.score(windows), theirs.score(windows), strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            np.testing.assert_allclose(other, mine, atol=1e-6)


def test_one_checkpoint_serves_all_exports_of_a_folder(tmp_path, windows):
    alone = [load(foreign(tmp_path / str(seed), "a", seed)).score(windows)[0] for seed in (1, 2)]
    foreign(tmp_path / "both", "a", 1)
    foreign(tmp_path / "both", "b", 2, checkpoint=False)
    shutil.rmtree(tmp_path / "both" / "ours")
    both = load(tmp_path / "both")
    assert [member.path.name for member in both.members] == ["a.onnx", "b.onnx"]
    np.testing.assert_allclose(both.score(windows)[0], np.mean(alone, axis=0), atol=1e-6)
    Path(tmp_path / "both/a.ckpt").rename(tmp_path / "both/classes.ckpt")  # it need not be of either's name
    np.testing.assert_allclose(load(tmp_path / "both").score(windows)[0], np.mean(alone, axis=0), atol=1e-6)


def test_what_is_not_used_is_named(tmp_path, caplog):
    for name in "ab":
        write_checkpoint(tmp_path / f"{name}.ckpt")
    foreign(tmp_path, "c", checkpoint=False)
    _, members = resolve_for_models(None, {"infer.backend": "torch"}, tmp_path)
    assert [path.name for path in members] == ["a.ckpt", "b.ckpt"]
    assert "no checkpoint has the name of c.onnx, left out" in caplog.text
    with pytest.raises(ModelError, match="2 checkpoints lie beside it; put the one that it was made from there, named"):
        load(tmp_path / "c.onnx")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda p: p.with_suffix(".ckpt").unlink(), "0 checkpoints lie beside it"),
        (lambda p: write_checkpoint(p.with_suffix(".ckpt"), CLASSES[:1]), "gives 2 scores, but .*a.ckpt knows 1 class"),
        (lambda p: p.with_suffix(".ckpt").write_bytes(b"x"), r"a\.ckpt"),
        (lambda p: p.write_bytes(p.read_bytes()[:100]), "is not an ONNX model or is damaged"),
    ],
)
def test_bad_input(tmp_path, change, match):
    path = foreign(tmp_path)
    change(path)
    with pytest.raises(ModelError, match=match):
        load(path)


def test_a_package_needs_an_export_with_classes(tmp_path):
    cfg, members = resolve_for_models(None, None, foreign(tmp_path))
    with pytest.raises(ModelError, match='run "britekit ckpt-onnx" on its checkpoint'):
        write_contents(cfg, members, tmp_path / "out")


def test_members_of_other_classes_or_audio_are_refused(tmp_path):
    foreign(tmp_path / "one")
    other = foreign(tmp_path / "two", classes=[CLASSES[0], ClassInfo("Jay", "JAY")])
    cfg, members = resolve_for_models(None, None, tmp_path / "one" / "a.onnx")
    with pytest.raises(ModelError, match=r'lacks "Owl" and adds "Jay"'):
        load_ensemble(cfg, [*members, other])


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC_PYTHON names no interpreter with public britekit")
def test_a_file_of_public_britekit_scores_as_its_checkpoint(tmp_path):
    images = np.random.default_rng(0).random((24, 128, 480), np.float32) ** 4
    np.save(tmp_path / "windows.npy", images)
    maker = Path(__file__).parents[1] / "models/make_public.py"
    for command in (
        [PUBLIC, maker, "effnet.1", "basic_sed", "windows.npy", "a"],
        [PUBLIC, "-c", "import britekit.commands as c; c.ckpt_onnx(input_path='a.ckpt')"],
    ):
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    cfg, members = resolve_for_models(None, {"infer.audio_power": 1.0}, tmp_path / "a.onnx")
    segment, frames = load_ensemble(cfg, members).score(images)
    expected = np.load(tmp_path / "a.npz")
    np.testing.assert_allclose(segment, expected["segment"], atol=1e-4)
    np.testing.assert_allclose(frames, expected["frames"], atol=1e-4)
