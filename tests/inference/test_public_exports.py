"""ONNX files as public britekit writes them: no metadata, other names, blocks of a fixed number of windows, weights in
a file of their own, classes in a checkpoint beside them.

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
from britekit.files import sha256_of
from britekit.inference.backend import choose_backend
from britekit.inference.embedding import SearchModel
from britekit.inference.ensemble import load_ensemble
from britekit.inference.exported import read_export_facts
from britekit.inference.model_files import resolve_for_models
from britekit.inference.public_exports import _holds_last_layer
from britekit.service.contents import write_contents
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL")]
PUBLIC = os.environ.get("BRITEKIT_PUBLIC_PYTHON")


def foreign(folder, name="a", seed=0, frames=None, checkpoint=True, classes=CLASSES, head=True):
    """Write what 1.8.4 would write of a fake member: its graph with one input, logits and frames alone."""
    make_fake_member(folder / "ours", CLASSES, name=name, seed=seed, frames=frames)
    model = onnx.load(folder / "ours" / f"{name}.onnx")
    graph = model.graph
    del model.metadata_props[:]
    graph.input[0].name = "input"
    outputs = [x for x in graph.output if x.name != "embedding"]
    for output, other in zip(outputs, ("out.1", "out.2")):
        output.name = other
    for port in (*graph.input, *outputs):  # a block of 3 windows, as `openvino_block_size` fixes it
        port.type.tensor_type.shape.dim[0].dim_value = 3
    # "segment" is a name inside of it too; sizes with the 3 windows in them, as in its networks.
    names = {"spectrograms": "input", "rows": "segment", "segment": "out.1", "frames": "out.2"}
    names["weights_CH"] = "head.classify.weight"
    nodes = []
    for value in graph.initializer:
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        if node.output[0] == "embedding":
            continue
        node.input[:] = [names.get(x, x) for x in node.input]
        node.output[:] = [names.get(x, x) for x in node.output]
        if head and "weights" in node.input:
            scopes = "['', 'head', 'head.1', 'linear']"
            node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
        nodes.append(node)
        if node.op_type == "ReduceMean":
            node.output[:] = ["mean"]
            node.input.append("axes")  # an input since version 18
            del node.attribute[0]
            sizes = {"axes": [1, 3], "with_rest": [3, 4, -1], "stretched": [3, 4, 8], "flat": [3, 32]}
            graph.initializer.extend(onnx.numpy_helper.from_array(np.array(v), k) for k, v in sizes.items())
            nodes += [
                onnx.helper.make_node("Reshape", ["mean", "with_rest"], ["mean.1"], allowzero=1),
                onnx.helper.make_node("Expand", ["mean.1", "stretched"], ["mean.2"]),
                onnx.helper.make_node("Reshape", ["mean.2", "flat"], ["segment"], allowzero=1),
            ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "main", graph.input, outputs, graph.initializer),
        opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10,
    )  # fmt: skip
    path = folder / f"{name}.onnx"
    onnx.save(model, path, save_as_external_data=True, location=f"{name}.onnx.data", size_threshold=0)
    if checkpoint:
        write_checkpoint(folder / f"{name}.ckpt", classes)
    return path


def write_checkpoint(path, classes=CLASSES, **weights):
    settings = to_dict(BaseConfig(audio=SMALL_AUDIO))
    names, codes = [info.name for info in classes], [info.code for info in classes]
    hyper = {
        "model_type": "effnet.1", "head_type": None, "train_class_names": names, "train_class_codes": codes,
        "train_class_alt_names": names, "train_class_alt_codes": codes, "multi_label": True,
    }  # fmt: skip
    torch.save(
        {
            "pytorch-lightning_version": "2.6.1", "state_dict": weights, "hyper_parameters": hyper,
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
        (lambda p: p.with_suffix(".onnx.data").unlink(), "is not an ONNX model or is damaged"),
    ],
)
def test_bad_input(tmp_path, change, match):
    path = foreign(tmp_path)
    change(path)
    with pytest.raises(ModelError, match=match):
        load(path)


@pytest.mark.parametrize("frames", [None, 12])
def test_a_package_holds_it_in_our_form(tmp_path, windows, frames):
    path = foreign(tmp_path / "one", frames=frames)
    cfg, members = resolve_for_models(None, None, path)
    theirs = load_ensemble(cfg, members)
    first = write_contents(cfg, members, tmp_path / "out")
    write_contents(cfg, members, tmp_path / "again")
    shutil.rmtree(tmp_path / "one")  # neither its checkpoint nor its weights are needed
    packaged = load_ensemble(first.cfg, first.exports)
    assert packaged.sha256s == theirs.sha256s  # a calibration that was fitted on its scores stays valid
    for mine, other in zip(packaged.score(windows), theirs.score(windows), strict=True):
        np.testing.assert_array_equal(mine, other)
    one, two = (tmp_path / x / "exports/a.onnx" for x in ("out", "again"))
    assert one.read_bytes() == two.read_bytes() and str(tmp_path).encode() not in one.read_bytes()
    assert first.facts["members"] == {"a.onnx": sha256_of(one)}


def test_its_embedding_is_what_its_head_takes(tmp_path, windows):
    theirs = foreign(tmp_path / "one")
    ours = tmp_path / "one/ours/a.onnx"
    found = [SearchModel(*resolve_for_models(None, None, path)).embed(windows) for path in (ours, theirs)]
    np.testing.assert_allclose(found[1], windows.mean(axis=2), atol=1e-6)  # by hand: a fake's backbone averages rows
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    path = foreign(tmp_path / "headless", head=False)
    with pytest.raises(
        ModelError, match='gives no embeddings, only scores; run "britekit ckpt-onnx" on its checkpoint'
    ):
        SearchModel(*resolve_for_models(None, None, path))


def test_it_stands_for_the_checkpoint_that_has_its_weights(tmp_path):
    path = foreign(tmp_path, frames=12)
    (last,) = (
        onnx.numpy_helper.to_array(x) for x in onnx.load(path).graph.initializer if x.name == "head.classify.weight"
    )
    own, cfg = path.with_suffix(".ckpt"), BaseConfig(audio=SMALL_AUDIO)
    for weights, same in ((last, True), (last + np.float32(1e-7), False)):
        write_checkpoint(own, **{"head.linear.weight": torch.from_numpy(weights.copy())})
        choice = choose_backend(cfg, [own])
        assert choice.exports == ([path] if same else [])
        assert (read_export_facts(path).source_sha256 == sha256_of(own)) is same
    assert choice.reason == "a.onnx was made from another checkpoint than the a.ckpt beside it"


def test_it_is_known_by_its_weights_too(tmp_path):
    found = [foreign(tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    assert found[0].read_bytes() == found[1].read_bytes()  # the weights are in the other file
    assert read_export_facts(found[0]).source_sha256 != read_export_facts(found[1]).source_sha256


def test_members_of_other_classes_or_audio_are_refused(tmp_path):
    foreign(tmp_path / "one")
    other = foreign(tmp_path / "two", classes=[CLASSES[0], ClassInfo("Jay", "JAY")])
    cfg, members = resolve_for_models(None, None, tmp_path / "one" / "a.onnx")
    with pytest.raises(ModelError, match=r'lacks "Owl" and adds "Jay"'):
        load_ensemble(cfg, [*members, other])


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC_PYTHON names no interpreter with public britekit")
@pytest.mark.parametrize("pair", ["effnet.1/basic_sed", "effnet.1/None", "nfnet.1/None", "mobilenet.1/basic_sed"])
def test_a_file_of_public_britekit_scores_and_embeds_as_its_checkpoint(tmp_path, pair):
    images = np.random.default_rng(0).random((8, 128, 480), np.float32) ** 4
    np.save(tmp_path / "windows.npy", images)
    maker = Path(__file__).parents[1] / "models/make_public.py"
    embed = "import sys; sys.modules['openvino'] = None; import numpy as n, britekit as b;"
    embed += "n.save('e.npy', b.Predictor('.', device='cpu').get_embeddings(n.load('windows.npy')[:, None]))"
    for command in (
        [PUBLIC, maker, *pair.split("/"), "windows.npy", "a"],
        [PUBLIC, "-c", embed],
        [PUBLIC, "-c", "import britekit.commands as c; c.ckpt_onnx(input_path='a.ckpt')"],
    ):
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    cfg, members = resolve_for_models(None, {"infer.audio_power": 1.0}, tmp_path / "a.onnx")
    contents = write_contents(cfg, members, tmp_path / "package")
    expected = np.load(tmp_path / "a.npz")
    for ensemble in (load_ensemble(cfg, members), load_ensemble(contents.cfg, contents.exports)):
        segment, frames = ensemble.score(images)
        np.testing.assert_allclose(segment, expected["segment"], atol=1e-4)
        if "frames" in expected:
            np.testing.assert_allclose(frames, expected["frames"], atol=1e-4)
    np.testing.assert_allclose(SearchModel(cfg, members).embed(images), np.load(tmp_path / "e.npy"), atol=1e-4)
    assert read_export_facts(tmp_path / "a.onnx").source_sha256 == sha256_of(tmp_path / "a.ckpt")


@pytest.mark.parametrize("form", ["gemm", "transposed", "product"])
@pytest.mark.parametrize(("changed", "expected"), [("hidden", True), ("last", False)])
def test_only_the_last_layer_decides_even_if_a_hidden_one_is_as_wide(form, changed, expected):
    """Norms are folded into hidden layers; the weights of the last one are those of the checkpoint."""
    weights = {name: torch.randn(2, 2, generator=torch.Generator().manual_seed(k)) for k, name in enumerate("hl")}
    stored = {name: value.numpy().copy() for name, value in weights.items()}
    stored[changed[0]] += 1
    helper = onnx.helper
    nodes = [helper.make_node("Gemm", ["x", "h"], ["a"], transB=1), helper.make_node("Relu", ["a"], ["b"])]
    if form == "gemm":
        nodes += [helper.make_node("Gemm", ["b", "l"], ["y"], transB=1)]
    elif form == "transposed":
        nodes += [helper.make_node("Transpose", ["l"], ["lt"]), helper.make_node("MatMul", ["b", "lt"], ["y"])]
    else:
        stored["l"] = np.ascontiguousarray(stored["l"].T)
        nodes += [helper.make_node("MatMul", ["b", "l"], ["y"])]
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    arrays = [onnx.numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], arrays)
    assert _holds_last_layer(weights, graph, 2) is expected
