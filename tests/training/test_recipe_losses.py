"""Losses and confusion smoothing against formulas of others, and what masks leave out."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torchvision.ops import sigmoid_focal_loss

from britekit.training.cell_losses import asymmetric, focal
from britekit.training.confusion import ConfusionSmoothing
from britekit.training.losses import LossSettings, compute_loss
from britekit.training.soft_auc import soft_auc_loss

KINDS = [LossSettings(kind="focal"), LossSettings(kind="asymmetric"), LossSettings(auc_weight=1.0)]


def drawn(rows=24, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, generator=generator)
    targets = (torch.rand(rows, classes, generator=generator) < 0.4).float()
    return logits, targets, (torch.rand(rows, classes, generator=generator) < 0.7).float()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_torchvisions(gamma):
    logits, targets, soft = drawn()
    for y in (targets, 0.8 * targets + 0.1 * soft):
        expected = sigmoid_focal_loss(logits, y, alpha=-1, gamma=gamma)
        torch.testing.assert_close(focal(logits, y, gamma), expected, rtol=1e-4, atol=1e-6)


def test_asymmetric_loss_one_cell_at_a_time():
    logits, targets, _ = drawn()
    for z, y, found in zip(
        logits.flatten().tolist(),
        targets.flatten().tolist(),
        asymmetric(logits, targets).flatten().tolist(),
        strict=True,
    ):
        p = 1 / (1 + math.exp(-z))
        lowered = max(p - 0.05, 0.0)
        assert found == pytest.approx(-math.log(p) if y else -(lowered**4) * math.log(1 - lowered), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("loss", [focal, asymmetric])
def test_far_logits_have_finite_gradients(loss):
    logits = torch.tensor([-200.0, -20.0, 0.0, 20.0, 200.0]).repeat(2, 1).requires_grad_()
    loss(logits, torch.tensor([[0.0], [1.0]]).expand(2, 5)).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_soft_auc_tends_to_scikit_learns_area():
    logits, targets, known = drawn()
    logits[1] = logits[0]  # ties
    for mask in (None, known):
        own = torch.ones_like(targets) if mask is None else mask
        areas = [roc_auc_score(targets[own[:, c] > 0, c], logits[own[:, c] > 0, c]) for c in range(5)]
        assert soft_auc_loss(logits, targets, mask, 1e-4).item() == pytest.approx(1 - np.mean(areas), abs=1e-4)


def test_soft_auc_by_pairs_with_soft_targets():
    logits, targets, known = drawn(7, 3)
    targets = 0.7 * targets + 0.2
    per_class = []
    for c in range(3):
        total = weight = 0.0
        for i in range(7):
            for j in range(7):
                if i != j:
                    pair = (known[i, c] * known[j, c] * targets[i, c] * (1 - targets[j, c])).item()
                    total += pair / (1 + math.exp((logits[i, c] - logits[j, c]).item() / 0.5))
                    weight += pair
        per_class.append(total / weight)
    assert soft_auc_loss(logits, targets, known, 0.5).item() == pytest.approx(np.mean(per_class), rel=1e-5)


def test_soft_auc_without_pairs_is_0():
    logits = torch.randn(4, 2, requires_grad=True)
    loss = soft_auc_loss(logits, torch.ones(4, 2))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().max() == 0


@pytest.mark.parametrize("settings", KINDS)
def test_no_loss_counts_unknown_cells(settings):
    logits, targets, known = drawn()
    frames = torch.randn(24, 5, 3, generator=torch.Generator().manual_seed(1))
    other, strange = logits + 5 * (1 - known), targets * known + 0.37 * (1 - known)
    far = frames + 5 * (1 - known)[:, :, None]
    values = []
    for z, z_frames, y in ((logits, frames, targets), (other, far, strange)):
        z = z.clone().requires_grad_()
        loss = compute_loss(z, z_frames, y, torch.zeros(24), settings, known_BC=known)
        loss.backward()
        assert (z.grad[known == 0] == 0).all() and z.grad[known == 1].abs().sum() > 0
        values.append(loss.item())
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_class_weights_weigh_focal_cells():
    logits, targets, _ = drawn()
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    expected = (sigmoid_focal_loss(logits, targets, alpha=-1, gamma=2.0) * weights).mean()
    found = compute_loss(logits, None, targets, torch.zeros(24), LossSettings(kind="focal"), weights)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_soft_auc_is_added_with_its_weight():
    logits, targets, _ = drawn()
    plain = compute_loss(logits, None, targets, torch.zeros(24), LossSettings())
    both = compute_loss(logits, None, targets, torch.zeros(24), LossSettings(auc_weight=0.3))
    assert (both - plain).item() == pytest.approx(0.3 * soft_auc_loss(logits, targets).item(), rel=1e-5)


def test_confused_classes_share_the_smoothing():
    """Class 0 is always scored with class 2, never with class 1: only class 2 gets part of its target."""
    smoothing = ConfusionSmoothing(3, 0.2, multi_label=True)
    even = smoothing(torch.tensor([[1.0, 0.0, 0.0]]))
    torch.testing.assert_close(even, torch.tensor([[0.8, 0.1, 0.1]]))
    logits = torch.tensor([[3.0, -40.0, 0.0]])
    for _ in range(2000):
        smoothing.watch(logits, torch.tensor([[1.0, 0.0, 0.0]]))
    torch.testing.assert_close(smoothing(torch.tensor([[1.0, 0.0, 0.0]])), torch.tensor([[0.8, 0.0, 0.2]]))
    # Class 1 was never heard, so nothing is known of it; what is heard itself stays a positive.
    torch.testing.assert_close(smoothing(torch.tensor([[0.0, 1.0, 0.0]])), torch.tensor([[0.1, 0.8, 0.1]]))
    torch.testing.assert_close(smoothing(torch.tensor([[1.0, 0.0, 1.0]]))[0, [0, 2]], torch.tensor([0.8, 0.8]))


def test_confusion_is_the_running_mean_of_scores_of_known_cells():
    smoothing = ConfusionSmoothing(2, 0.1, multi_label=True)
    targets, known = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    smoothing.watch(torch.tensor([[0.0, math.log(3)], [0.0, 9.0]]), targets, known)
    # 1 to begin with; 0.75 is the only known score beside class 0, and a batch counts a hundredth.
    assert smoothing.confused_CC.tolist() == [[0.0, pytest.approx(0.99 + 0.01 * 0.75)], [1.0, 0.0]]


def test_confusion_keeps_the_sum_of_exclusive_targets():
    smoothing = ConfusionSmoothing(4, 0.3, multi_label=False)
    smoothing.watch(torch.randn(8, 4), torch.eye(4).repeat(2, 1))
    mixed = torch.tensor([[0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    torch.testing.assert_close(smoothing(mixed).sum(1), torch.ones(2))
