"""Real checkpoints exported: same scores as PyTorch, same bytes each time, nothing of this machine inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, to_dict
from britekit.errors import ModelError
from britekit.files import sha256_of
from britekit.inference.engine import Engine
from britekit.inference.ensemble import load_ensemble
from britekit.inference.exported import read_export_facts
from britekit.inference.model_files import resolve_for_models

torch = pytest.importorskip("torch")

from britekit.inference import export  # noqa: E402
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, save_checkpoint  # noqa: E402
from britekit.models.options import Blueprint  # noqa: E402
from britekit.models.recognizer import build, build_recognizer  # noqa: E402
from britekit.models.registry import find_backbone  # noqa: E402
from tests.models.pairs import PAIRS  # noqa: E402

CLASSES = [ClassInfo("Zaunkönig", "WREN", "Wren"), ClassInfo('Owl "great"', "OWL")]


def make_checkpoint(path: Path, head: str | None = None, seed: int = 0, multi_label: bool = True) -> Path:
    """Write a small effnet.1 whose batch norms have seen something."""
    torch.manual_seed(seed)
    cfg = BaseConfig()
    cfg.audio.spec_height, cfg.audio.spec_width, cfg.audio.spec_duration = 32, 96, 3.0
    cfg.train.model_type, cfg.train.head_type, cfg.train.sed_fps = "effnet.1", head, 5
    network = build_recognizer(cfg.train, cfg.audio, len(CLASSES))
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(8, 1, 32, 96))
    hyper = hyper_parameters(network.blueprint, CLASSES, 8, multi_label)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, network.eval(), hyper, to_dict(cfg), epoch=0, published=True)
    return path


@pytest.mark.parametrize("head", [None, "basic_sed", "scalable_sed"])
def test_scores_equal_pytorchs_in_every_batch_size(tmp_path: Path, head: str | None):
    path = make_checkpoint(Path("models/ckpt/seed-1.ckpt"), head)
    difference = export.export_onnx(load_checkpoint(path), path.with_suffix(".onnx"))
    assert difference < 1e-4
    images = np.random.default_rng(0).random((5, 32, 96), dtype=np.float32)
    scores = {}
    for backend in ("openvino", "torch"):
        cfg, paths = resolve_for_models(None, {"infer.backend": backend, "misc.force_cpu": True})
        ensemble = load_ensemble(cfg, paths)
        assert ensemble.backend == backend
        scores[backend] = ensemble.score(images)
        alone = ensemble.score(images[2:3])
        assert alone[0].tobytes() == scores[backend][0][2:3].tobytes()
    for one, two in zip(*scores.values(), strict=True):
        assert (one is None) == (two is None) == (one is None)
        if one is not None:
            np.testing.assert_allclose(one, two, atol=1e-5)
            assert np.ptp(one) > 0
    assert (scores["torch"][1] is None) == (head is None)


@pytest.mark.parametrize(("family", "head"), PAIRS)
def test_every_pair_of_backbone_and_head_exports(tmp_path: Path, family: str, head: str | None):
    """The export's logits against PyTorch's, in batches of two sizes; `export_onnx` refuses what differs."""
    module, _ = find_backbone("timm.test_resnet" if family == "timm" else f"{family}.1")
    size = "test_resnet" if module.SIZES is None else next(iter(module.SIZES))
    torch.manual_seed(0)
    blueprint = Blueprint(f"{family}.{size}", head, 2, 32, 64, frames=15, hidden_channels=16)
    network = build(blueprint)
    with torch.no_grad():
        network(torch.rand(4, 1, 32, 64))
    settings = {"audio": {"spec_height": 32, "spec_width": 64, "spec_duration": 3.0}, "train": {"sed_fps": 5}}
    hyper = hyper_parameters(blueprint, CLASSES, 8, True)
    save_checkpoint(tmp_path / "m.ckpt", network.eval(), hyper, settings, epoch=0)
    assert export.export_onnx(load_checkpoint(tmp_path / "m.ckpt"), tmp_path / "m.onnx") < 1e-4
    assert (tmp_path / "m.onnx").is_file()


def test_carries_what_the_checkpoint_knows(tmp_path: Path):
    path = make_checkpoint(tmp_path / "m.ckpt", multi_label=False)
    stored = load_checkpoint(path)
    export.export_onnx(stored, tmp_path / "m.onnx")
    facts = read_export_facts(tmp_path / "m.onnx")
    assert facts.classes == CLASSES
    assert facts.training_cfg == stored.training_cfg
    assert (facts.multi_label, facts.identifier, facts.frames) == (False, stored.identifier, None)
    assert facts.source_sha256 == sha256_of(path)


def test_same_checkpoint_same_bytes_without_paths(tmp_path: Path):
    path = make_checkpoint(tmp_path / "m.ckpt", "basic_sed")
    export.export_onnx(load_checkpoint(path), tmp_path / "one.onnx")
    elsewhere = make_checkpoint(tmp_path / "below" / "other.ckpt", "basic_sed")
    code = (
        "import sys; from britekit.inference.export import export_onnx; "
        "from britekit.models.checkpoint import load_checkpoint; "
        "export_onnx(load_checkpoint(sys.argv[1]), sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(elsewhere), str(tmp_path / "two.onnx")],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "" and "Warning" not in done.stderr
    content = (tmp_path / "one.onnx").read_bytes()
    assert content == (tmp_path / "two.onnx").read_bytes()
    for word in (str(tmp_path), str(Path(export.__file__).parent), ".py"):
        assert word.encode() not in content


def test_any_batch_is_open_and_the_model_is_valid(tmp_path: Path):
    path = make_checkpoint(tmp_path / "m.ckpt", "basic_sed")
    export.export_onnx(load_checkpoint(path), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["windows", 1, 32, 96]
    assert read_export_facts(tmp_path / "m.onnx").frames == 15


def test_a_difference_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = make_checkpoint(tmp_path / "m.ckpt")
    (tmp_path / "m.onnx").write_bytes(b"old")
    monkeypatch.setattr(export, "_largest_difference", lambda *_: float("nan"))
    with pytest.raises(ModelError, match="differs from PyTorch by nan"):
        export.export_onnx(load_checkpoint(path), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == b"old"


def test_a_wrong_export_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = make_checkpoint(tmp_path / "m.ckpt")
    convert = export._convert

    def wrong(*arguments):
        model = convert(*arguments)
        for tensor in model.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and values.ndim == 2:
                tensor.CopyFrom(onnx.numpy_helper.from_array(values * 1.5 + 0.1, tensor.name))
        return model

    monkeypatch.setattr(export, "_convert", wrong)
    with pytest.raises(ModelError, match="differs from PyTorch"):
        export.export_onnx(load_checkpoint(path), tmp_path / "m.onnx")


@pytest.mark.slow
def test_scores_of_real_recordings_equal_pytorchs(tmp_path: Path):
    """Clips of ESC-10 from end to end by both backends; the pipeline takes either for the other."""
    data = Path(os.environ.get("BRITEKIT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    clips = sorted((data / "esc10" / "recordings").glob("*/*.ogg"))[::80]
    if not clips:
        pytest.skip("needs the recordings of ESC-10")
    path = make_checkpoint(Path("models/ckpt/seed-1.ckpt"), "basic_sed")
    export.export_onnx(load_checkpoint(path), path.with_suffix(".onnx"))
    found = {}
    for backend in ("openvino", "torch"):
        cfg, paths = resolve_for_models(None, {"infer.backend": backend, "misc.force_cpu": True})
        with Engine(load_ensemble(cfg, paths), threads=1) as engine:
            results = [engine.score(clip) for clip in clips]
        found[backend] = [(result.scores, result.frames) for result in results]
    for one, other in zip(found["openvino"], found["torch"], strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert mine is not None and theirs is not None and len(mine)
            np.testing.assert_allclose(mine, theirs, atol=2e-5)
