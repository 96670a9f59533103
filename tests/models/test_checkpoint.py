"""Checkpoints: equal bytes for equal weights, plain values only, and what damaged files say."""

import pickle
import zipfile

import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.errors import ModelError
from britekit.models.checkpoint import (
    hyper_parameters,
    load_checkpoint,
    read_archive,
    save_checkpoint,
    weights_identifier,
    write_archive,
)
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

CLASSES = [ClassInfo("Ovenbird", "OVEN", "Seiurus", "x"), ClassInfo("Noise", "", "", "")]
CFG = {"audio": {"spec_height": 64, "spec_width": 96, "spec_duration": 3.0}, "train": {"sed_fps": 4}}
BLUEPRINT = Blueprint("effnet.1", "basic_sed", 2, 64, 96, frames=12, drop_rate=0.1)


def make(seed=0):
    torch.manual_seed(seed)
    return build(BLUEPRINT)


def save(path, network, **more):
    save_checkpoint(path, network, hyper_parameters(BLUEPRINT, CLASSES, 7, True), CFG, epoch=4, **more)


def test_published_checkpoints_of_equal_weights_are_equal_bytes(tmp_path):
    save(tmp_path / "first.ckpt", make(), published=True)
    network = make().to(memory_format=torch.channels_last)  # the layout in memory is not part of the weights
    save(tmp_path / "other" / "second.ckpt", network, published=True)
    first, second = (tmp_path / "first.ckpt").read_bytes(), (tmp_path / "other" / "second.ckpt").read_bytes()
    assert first == second
    save(tmp_path / "third.ckpt", make(1), published=True)
    assert load_checkpoint(tmp_path / "third.ckpt").identifier != load_checkpoint(tmp_path / "first.ckpt").identifier


def test_what_comes_back(tmp_path):
    network = make()
    save(tmp_path / "a.ckpt", network)
    stored = load_checkpoint(tmp_path / "a.ckpt")
    assert stored.classes == CLASSES
    assert (stored.epoch, stored.multi_label) == (4, True)
    assert stored.identifier == stored.identifier.upper()
    assert len(stored.training_date) == 10
    assert not stored.recognizer.training
    assert stored.recognizer.blueprint.frames == 12
    assert stored.recognizer.blueprint.drop_rate == 0.1
    assert weights_identifier(stored.recognizer.state_dict()) == weights_identifier(network.state_dict())
    content, _ = read_archive(tmp_path / "a.ckpt")
    assert content["hyper_parameters"]["train_class_codes"] == ["OVEN", ""]
    assert "optimizer_states" not in content


def test_published_checkpoint_has_no_date(tmp_path):
    save(tmp_path / "a.ckpt", make(), published=True)
    assert load_checkpoint(tmp_path / "a.ckpt").training_date is None


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"state_dict": {}, "boom": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ModelError, match="could run code"):
        load_checkpoint(tmp_path / "evil.ckpt")
    assert "executed" not in capsys.readouterr().out


def test_damaged_files(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_checkpoint(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    save(tmp_path / "good.ckpt", make())
    data = (tmp_path / "good.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(data[: len(data) // 2])
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0x10  # within the weights, where no reader would notice
    (tmp_path / "flipped.ckpt").write_bytes(flipped)
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps({"a": 1}))
    with zipfile.ZipFile(tmp_path / "zip.ckpt", "w") as archive:
        archive.writestr("a", "b")
    for name in ("text", "empty", "half", "flipped", "pickle", "zip"):
        with pytest.raises(ModelError, match=f"{name}.ckpt"):
            load_checkpoint(tmp_path / f"{name}.ckpt")


@pytest.mark.parametrize("key", ["state_dict", "hyper_parameters", "training_cfg"])
def test_missing_entries_are_named(tmp_path, key):
    save(tmp_path / "a.ckpt", make())
    content, _ = read_archive(tmp_path / "a.ckpt")
    del content[key]
    write_archive(tmp_path / "b.ckpt", content)
    with pytest.raises(ModelError, match=f'no entry "{key}"'):
        load_checkpoint(tmp_path / "b.ckpt")


def test_weights_that_do_not_fit_are_named(tmp_path):
    save(tmp_path / "a.ckpt", make())
    content, _ = read_archive(tmp_path / "a.ckpt")
    content["state_dict"]["head.extra"] = torch.zeros(1)
    del content["state_dict"]["head.classify.bias"]
    write_archive(tmp_path / "b.ckpt", content)
    with pytest.raises(ModelError, match=r"missing: head.classify.bias; unexpected: head.extra"):
        load_checkpoint(tmp_path / "b.ckpt")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    save(tmp_path / "a.ckpt", make(), published=True)
    before = (tmp_path / "a.ckpt").read_bytes()

    def fail(*args, **kwargs):
        raise RuntimeError("disk")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError):
        save(tmp_path / "a.ckpt", make(1), published=True)
    assert (tmp_path / "a.ckpt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    """They would give scores and embeddings that mean nothing, without a word."""
    save(tmp_path / "a.ckpt", make())
    content, _ = read_archive(tmp_path / "a.ckpt")
    content["state_dict"]["head.classify.bias"][0] = value
    write_archive(tmp_path / "b.ckpt", content)
    with pytest.raises(ModelError, match=r"b.ckpt: weights that are not finite numbers \(head.classify.bias\)"):
        load_checkpoint(tmp_path / "b.ckpt")


@pytest.mark.parametrize(("names", "said"), [("ab", "a list of class names"), (["a"], "as many codes as class")])
def test_classes_that_do_not_fit_are_refused(tmp_path, names, said):
    save(tmp_path / "a.ckpt", make())
    content, _ = read_archive(tmp_path / "a.ckpt")
    content["hyper_parameters"]["train_class_names"] = names
    write_archive(tmp_path / "b.ckpt", content)
    with pytest.raises(ModelError, match=said):
        load_checkpoint(tmp_path / "b.ckpt")
