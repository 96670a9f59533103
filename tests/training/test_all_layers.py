"""Casting all weights and counting for all batch norms at once changes no bit of a step."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from britekit.models.recognizer import build_recognizer
from britekit.training.all_layers import AllLayers


class Operations(TorchDispatchMode):
    """Counts the operations that run within."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False)


def gradients(network):
    return {name: weight.grad for name, weight in network.named_parameters()}


def step(network, forward, size):
    """Loss after one pass forward and backward, and the operations it took."""
    draw = torch.Generator().manual_seed(1)
    batch = torch.rand((4, 1, *size), generator=draw).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(5)  # of dropout
    with Operations() as ran:
        with autocast():
            segment, frames = forward(batch)
        loss = segment.float().square().mean()
        if frames is not None:
            loss = loss + frames.float().square().mean()
        loss.backward()
    return loss.detach(), ran.counts


@pytest.mark.parametrize(
    ("model", "head"),
    [
        ("effnet.1", None),
        ("dla.1", None),
        ("vovnet.1", "basic_sed"),
        ("hgnet.1", "scalable_sed"),
        ("gernet.1", "temporal_sed"),
        ("timm.test_efficientnet", None),
        ("timm.test_vit", None),
    ],
)
def test_a_step_is_the_same_to_the_bit(cfg, model, head):
    cfg.train.model_type, cfg.train.head_type = model, head
    size = (160, 160) if "vit" in model else (64, 96)
    cfg.audio.spec_height, cfg.audio.spec_width = size
    found = []
    for together in (False, True):
        torch.manual_seed(3)
        network = build_recognizer(cfg.train, cfg.audio, 5).to(memory_format=torch.channels_last).train()
        forward = AllLayers(network, torch.bfloat16) if together else network
        loss, counts = step(network, forward, size)
        found.append((loss, gradients(network), dict(network.named_buffers()), counts))
    (loss, grads, buffers, counts), (same_loss, same_grads, same_buffers, fewer) = found
    assert torch.equal(loss, same_loss)
    for name, grad in grads.items():
        assert torch.equal(grad, same_grads[name]) and grad.stride() == same_grads[name].stride(), name
    for name, value in buffers.items():
        assert torch.equal(value, same_buffers[name]), name
    cast = sum(
        type(layer) in (nn.Conv1d, nn.Conv2d, nn.Linear)
        for layer in network.modules()
        if layer is not network
    )
    assert counts["_to_copy"] - fewer["_to_copy"] >= 2 * cast  # forward and backward
    assert fewer["_foreach_copy_"] == 2


def test_counts_of_batches_are_one_operation(cfg):
    cfg.train.model_type = "effnet.1"
    network = build_recognizer(cfg.train, cfg.audio, 5).train()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    with Operations() as ran, torch.no_grad():
        AllLayers(network, None)(torch.rand(2, 1, 64, 96))
    assert ran.counts["_foreach_add_"] == 1
    assert len(norms) > 10 and all(int(layer.num_batches_tracked) == 1 for layer in norms)
    network.eval()
    AllLayers(network, None)(torch.rand(2, 1, 64, 96))
    assert all(int(layer.num_batches_tracked) == 1 for layer in norms)


def test_a_norm_without_momentum_counts_as_it_runs():
    """Its statistics are the mean over all batches, which needs the count at once."""
    network = nn.Sequential(nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3)).train()
    batches = torch.rand(4, 8, 3, generator=torch.Generator().manual_seed(2))
    for batch in batches:
        AllLayers(network, None)(batch)
    torch.testing.assert_close(network[0].running_mean, batches.mean((0, 1)))
    assert [int(layer.num_batches_tracked) for layer in network] == [4, 4]


def test_a_pass_that_fails_leaves_the_counts_in_place():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(4, 2))
    with pytest.raises(RuntimeError):
        AllLayers(network, None)(torch.rand(2, 3))
    assert set(dict(network.named_buffers())) == {
        "0.running_mean",
        "0.running_var",
        "0.num_batches_tracked",
    }


def test_fixed_weights_get_no_gradient_and_shared_ones_the_sum():
    def made():
        torch.manual_seed(4)
        network = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6))
        network[0].requires_grad_(False)
        network[2].weight = network[1].weight
        return network

    inputs = torch.rand(5, 6, generator=torch.Generator().manual_seed(6))
    plain, together = made(), made()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # its cache gives shared weights one cast as well
        expected = plain(inputs)
        found = AllLayers(together, torch.bfloat16)(inputs)
    assert torch.equal(found, expected)
    expected.float().sum().backward()
    found.float().sum().backward()
    for name, grad in gradients(plain).items():
        same = gradients(together)[name]
        assert (grad is None and same is None) or torch.equal(grad, same), name
    assert together[0].weight.grad is None


def test_layers_that_compute_with_their_weights_first_keep_them_in_32_bits():
    class Standardised(nn.Linear):
        def forward(self, input):
            seen.append(self.weight.dtype)
            return nn.functional.linear(input, self.weight - self.weight.mean())

    seen = []
    with autocast():
        AllLayers(nn.Sequential(nn.Linear(3, 3), Standardised(3, 3)), torch.bfloat16)(torch.rand(2, 3))
    assert seen == [torch.float32]
