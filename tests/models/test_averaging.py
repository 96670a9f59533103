"""Means of weights by plain numbers, frozen checkpoints, and what is refused."""

import os

import numpy as np
import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.errors import BriteKitError, ModelError
from britekit.models.averaging import average_checkpoints
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, read_archive, save_checkpoint
from britekit.models.freezing import freeze_checkpoint
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

CFG = {"audio": {"spec_height": 32, "spec_width": 32, "spec_duration": 3.0}, "train": {"sed_fps": 4}}


def save(path, seed=0, names=("a", "b"), model="dla.1", state=True, epoch=0):
    torch.manual_seed(seed)
    network = build(Blueprint(model, "basic", len(names), 32, 32))
    network(torch.rand(2 + seed, 1, 32, 32))  # batch norms count and average
    if seed:
        network(torch.rand(2, 1, 32, 32))
    classes = [ClassInfo(name, name.upper()) for name in names]
    hyper = hyper_parameters(network.blueprint, classes, 7, True)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 1, 32, 32))[0].sum().backward()
    optimizer.step()
    more = {"optimizer_states": [optimizer.state_dict()], "lr_schedulers": [{"step": 3}]}
    save_checkpoint(path, network, hyper, CFG, epoch=epoch, training_state=more if state else None)
    return path


def weights(path):
    return {name: value.numpy() for name, value in read_archive(path)[0]["state_dict"].items()}


def test_the_mean_is_that_of_the_numbers(tmp_path):
    paths = [save(tmp_path / f"{k}.ckpt", seed=k, epoch=k) for k in range(3)]
    average_checkpoints(paths, tmp_path / "out" / "mean.ckpt")
    given = [weights(path) for path in paths]
    found = weights(tmp_path / "out" / "mean.ckpt")
    for name, value in found.items():
        if value.dtype.kind == "f":
            expected = np.mean([g[name].astype(np.float64) for g in given], axis=0).astype(np.float32)
            np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-9)
        else:
            assert value == given[0][name]
    content, first = read_archive(tmp_path / "out" / "mean.ckpt")[0], read_archive(paths[0])[0]
    assert content["hyper_parameters"] == first["hyper_parameters"]
    assert [s["file"] for s in content["averaged_from"]] == ["0.ckpt", "1.ckpt", "2.ckpt"]
    assert content["identifier"] not in [s["identifier"] for s in content["averaged_from"]]
    assert "optimizer_states" not in content
    assert load_checkpoint(tmp_path / "out" / "mean.ckpt").epoch == 0


def test_equal_weights_stay_as_they_are(tmp_path):
    """Sums of equal numbers in double precision, divided by a power of two, are exact."""
    first, second = save(tmp_path / "a.ckpt"), save(tmp_path / "b.ckpt")
    average_checkpoints([first, second], tmp_path / "mean.ckpt")
    before, after = weights(first), weights(tmp_path / "mean.ckpt")
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "first, other, said",
    [
        ({}, {"names": ("a", "c")}, '"b" is in one of them only'),
        ({}, {"names": ("b", "a")}, "the same classes in another order"),
        ({"model": "vovnet.3"}, {"model": "vovnet.4"}, "has shape"),
        ({}, {"model": "vovnet.1"}, "is in one of them only"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, first, other, said):
    paths = [save(tmp_path / "a.ckpt", **first), save(tmp_path / "b.ckpt", **other)]
    with pytest.raises(ModelError) as caught:
        average_checkpoints(paths, tmp_path / "mean.ckpt")
    assert said in str(caught.value) and "b.ckpt" in str(caught.value)
    assert not (tmp_path / "mean.ckpt").exists()


def test_one_is_no_average(tmp_path):
    with pytest.raises(ModelError, match="at least two"):
        average_checkpoints([save(tmp_path / "a.ckpt")], tmp_path / "mean.ckpt")


def test_freezing_keeps_the_weights_and_strips_the_state(tmp_path):
    path = save(tmp_path / "a.ckpt")
    before, whole = weights(path), path.read_bytes()
    assert freeze_checkpoint(path) == "frozen"
    assert (tmp_path / "a.ckpt.original").read_bytes() == whole
    after = weights(path)
    assert list(after) == list(before) and all(np.array_equal(after[n], before[n]) for n in before)
    assert path.stat().st_size < 0.5 * len(whole)
    assert "optimizer_states" not in read_archive(path)[0]
    stored = load_checkpoint(path)
    assert not any(p.requires_grad for p in stored.recognizer.parameters())
    assert all(p.requires_grad for p in load_checkpoint(save(tmp_path / "b.ckpt")).recognizer.parameters())
    frozen = path.read_bytes()
    assert freeze_checkpoint(path) == "original exists"
    assert path.read_bytes() == frozen
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ckpt", "a.ckpt.original", "b.ckpt"]


def test_what_holds_no_state_is_left_alone(tmp_path):
    path = save(tmp_path / "a.ckpt", state=False)
    before = path.read_bytes()
    assert freeze_checkpoint(path) == "nothing to strip"
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_killed_between_the_two_names_it_finishes_when_run_again(tmp_path):
    path = save(tmp_path / "a.ckpt")
    whole = path.read_bytes()
    os.link(path, tmp_path / "a.ckpt.original")
    assert freeze_checkpoint(path) == "frozen"
    assert (tmp_path / "a.ckpt.original").read_bytes() == whole
    assert "optimizer_states" not in read_archive(path)[0]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(tmp_path / "a.ckpt")
    whole = path.read_bytes()

    def fail(*arguments, **more):
        raise ModelError("no")

    monkeypatch.setattr("britekit.models.freezing.load_checkpoint", fail)
    with pytest.raises(BriteKitError):
        freeze_checkpoint(path)
    assert path.read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


def test_without_links_the_old_file_is_renamed(tmp_path, monkeypatch):
    path = save(tmp_path / "a.ckpt")
    whole = path.read_bytes()

    def refuse(*arguments):
        raise OSError("links are not supported here")

    monkeypatch.setattr("os.link", refuse)
    assert freeze_checkpoint(path) == "frozen"
    assert (tmp_path / "a.ckpt.original").read_bytes() == whole
    assert load_checkpoint(path)
