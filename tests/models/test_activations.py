"""Activations in training copy nothing, and compute what they did."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from britekit.models.activations import give_own_outputs
from britekit.models.options import Blueprint
from britekit.models.recognizer import build


class Copies(TorchDispatchMode):
    """Counts copies of feature maps."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten.clone.default and args[0].dim() == 4
        return function(*args, **(kwargs or {}))


def step(network, images):
    """Copies, logits and gradients of one step."""
    torch.manual_seed(3)
    with Copies() as copies:
        logits = network(images)[0]
        logits.square().sum().backward()
    return copies.count, logits, [p.grad for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("model_type", ["effnet.1", "timm.mobilenetv3_small_100"])
def test_the_same_bits_without_copies(model_type):
    blueprint = Blueprint(model_type=model_type, head_type=None, num_classes=3, height=32, width=64, frames=4)
    torch.manual_seed(0)
    before = build(blueprint).train()
    after = copy.deepcopy(before)
    give_own_outputs(after)
    images = torch.rand(4, 1, 32, 64)
    copies, logits, gradients = step(before, images)
    fewer, same_logits, same_gradients = step(after, images)
    # Without this a change in torch that makes the whole matter needless would go unnoticed.
    assert copies > 10
    assert fewer == 0
    assert torch.equal(logits, same_logits)
    assert len(gradients) == len(same_gradients)
    assert all(torch.equal(one, other) for one, other in zip(gradients, same_gradients, strict=True))


def test_relu_stays_in_place():
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Hardswish(inplace=True))
    give_own_outputs(network)
    assert network[0].inplace and not network[1].inplace
