"""The loss against the specification's formulas, computed one number at a time."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from britekit.training.losses import LossSettings, class_weights, compute_loss, offpeak, smooth
from britekit.training.optimizers import _together, build_optimizer
from britekit.training.schedule import rate_factor


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def bce(z, y):
    return -(y * math.log(sigmoid(z)) + (1 - y) * math.log(1 - sigmoid(z)))


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, generator=generator)
    frames = torch.randn(3, 4, 5, generator=generator)
    targets = (torch.rand(3, 4, generator=generator) < 0.4).float()
    return logits, frames, targets, torch.tensor([0.0, 1.0, 0.0])


def test_segment_loss(tensors):
    logits, _, targets, merged = tensors
    settings = LossSettings(pos_smoothing=0.08, neg_smoothing=0.01)
    expected = 0.0
    for z, y in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        expected += bce(z, y * (1 - 0.08) + (1 - y) * 0.01)
    assert compute_loss(logits, None, targets, merged, settings).item() == pytest.approx(expected / 12, rel=1e-5)


def test_frame_loss_and_offpeak_penalty(tensors):
    logits, frames, targets, merged = tensors
    settings = LossSettings(frame_weight=0.3, offpeak_weight=0.05)
    segment = sum(bce(z, y) for z, y in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True))
    frame, penalty = 0.0, 0.0
    for b in range(3):
        for c in range(4):
            values = frames[b, c].tolist()
            frame += sum(bce(z, targets[b, c].item()) for z in values)
            scores = [sigmoid(z) for z in values]
            penalty += (1 - merged[b].item()) * max(0.0, sum(scores) - max(scores))
    expected = 0.7 * segment / 12 + 0.3 * frame / 60 + 0.05 * penalty / 12
    assert compute_loss(logits, frames, targets, merged, settings).item() == pytest.approx(expected, rel=1e-5)
    assert offpeak(frames, torch.ones(3)).item() == 0


def test_single_label_loss_is_cross_entropy_with_soft_targets(tensors):
    logits, _, _, merged = tensors
    hard = torch.tensor([1, 0, 3])
    settings = LossSettings(multi_label=False, pos_smoothing=0.08, neg_smoothing=0.01)
    one_hot = functional.one_hot(hard, 4).float()
    ours = compute_loss(logits, None, one_hot, merged, settings)
    assert ours.item() == pytest.approx(functional.cross_entropy(logits, hard).item(), rel=1e-6)
    soft = 0.7 * one_hot + 0.3 * one_hot.roll(1, 0)
    ours = compute_loss(logits, None, soft, merged, settings)
    assert ours.item() == pytest.approx(functional.cross_entropy(logits, soft).item(), rel=1e-6)


def test_class_weights_multiply_each_class(tensors):
    logits, _, targets, merged = tensors
    labels = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0]])
    weights = class_weights(labels, 0.5)
    assert weights.tolist() == pytest.approx([math.sqrt(4 / 12), math.sqrt(4 / 3), 1.0])
    given = torch.tensor([1.0, 2.0, 0.5, 3.0])
    expected = sum(given[c].item() * bce(logits[b, c].item(), targets[b, c].item()) for b in range(3) for c in range(4))
    ours = compute_loss(logits, None, targets, merged, LossSettings(), given)
    assert ours.item() == pytest.approx(expected / 12, rel=1e-5)


def test_smoothing_of_soft_targets_is_linear():
    assert smooth(torch.tensor([0.0, 0.25, 1.0]), 0.08, 0.02).tolist() == pytest.approx(
        [0.02, 0.75 * 0.02 + 0.25 * 0.92, 0.92]
    )


def test_schedule_warms_up_linearly_and_falls_as_half_a_cosine():
    assert rate_factor(0, 100, 0.1) == pytest.approx(1e-6)
    assert rate_factor(5, 100, 0.1) == pytest.approx(0.5, abs=1e-5)
    assert rate_factor(10, 100, 0.1) == 1.0
    assert rate_factor(55, 100, 0.1) == pytest.approx(0.5)
    assert rate_factor(100, 100, 0.1) == pytest.approx(0.0, abs=1e-12)
    assert rate_factor(0, 100, 0.0) == 1.0
    falling = [rate_factor(s, 100, 0.1) for s in range(10, 101)]
    assert falling == sorted(falling, reverse=True)


def test_weight_decay_spares_biases_and_norms():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    optimizer = build_optimizer(model, "radam", 0.01, 0.3, 0.8, 0.9)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] == 0.3 for p in g["params"]}
    spared = {id(p) for g in optimizer.param_groups if g["weight_decay"] == 0.0 for p in g["params"]}
    assert decayed == {id(model[0].weight), id(model[2].weight)}
    assert spared == {id(p) for p in model.parameters()} - decayed
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)
    assert optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("betas", [(None, None), (0.9, 0.999)])
@pytest.mark.parametrize("name", ["radam", "adamw", "sgd", "lamb", "lion", "adabelief", "nadamw", "adan"])
def test_optimizers_of_timm_take_a_step_with_their_own_defaults(name, betas):
    model = torch.nn.Linear(3, 2)
    optimizer = build_optimizer(model, name, 0.01, None, *betas)
    before = model.weight.detach().clone()
    model(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(before, model.weight)


def test_many_weights_are_treated_at_once_where_the_optimizer_can():
    """Fused on a GPU; torch's Adagrad is fused on CPUs alone and raises at its first step on a GPU."""
    kinds = torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad, torch.optim.RAdam
    assert [_together(kind, "cuda") for kind in kinds] == ["fused", "fused", "foreach", "foreach"]
    assert {_together(kind, "cpu") for kind in kinds} == {"foreach"}


def test_only_known_cells_are_counted(tensors):
    logits, frames, targets, merged = tensors
    known = torch.tensor([[1.0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]])
    given = torch.tensor([1.0, 2.0, 0.5, 3.0])
    settings = LossSettings(pos_smoothing=0.08, neg_smoothing=0.01, frame_weight=0.3, offpeak_weight=0.05)
    expected = 0.0
    for b, c in np.argwhere(known.numpy() > 0).tolist():
        y, weight = targets[b, c].item() * (1 - 0.09) + 0.01, given[c].item()
        values = frames[b, c].tolist()
        scores = [sigmoid(z) for z in values]
        expected += 0.7 * weight * bce(logits[b, c].item(), y) / 12
        expected += 0.3 * weight * sum(bce(z, y) for z in values) / 60
        expected += 0.05 * (1 - merged[b].item()) * (sum(scores) - max(scores)) / 12
    ours = compute_loss(logits, frames, targets, merged, settings, given, known)
    assert ours.item() == pytest.approx(expected, rel=1e-5)


def test_unknown_cells_give_no_gradient(tensors):
    logits, frames, targets, merged = (tensor.clone().requires_grad_() for tensor in tensors)
    known = (torch.arange(12).reshape(3, 4) % 3 > 0).float()
    compute_loss(
        logits, frames, targets.detach(), merged.detach(), LossSettings(offpeak_weight=1.0), None, known
    ).backward()
    assert torch.equal(logits.grad != 0, known > 0)
    assert torch.equal((frames.grad != 0).any(2), known > 0)


def test_parts_of_a_batch_add_up_to_the_whole_whatever_is_known(tensors):
    logits, frames, targets, merged = tensors
    known = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]])
    arguments = (logits, frames, targets, merged)
    whole = compute_loss(*arguments, LossSettings(), None, known)
    parts = [
        compute_loss(*(x[rows] for x in arguments), LossSettings(), None, known[rows])
        for rows in (slice(1), slice(1, 3))
    ]
    assert (parts[0] / 3 + parts[1] * 2 / 3).item() == pytest.approx(whole.item(), rel=1e-6)


def test_class_weights_count_the_samples_of_which_the_class_is_known():
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
    known = np.array([[1, 1], [1, 1], [0, 1], [0, 1]])
    assert class_weights(labels, 1.0, known).tolist() == pytest.approx([2 / (2 * 2), 4 / (2 * 1)])
