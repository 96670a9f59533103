"""Networks take steps of training on a CPU at the size people use; oneDNN would crash in some layers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from britekit.models.pointwise import avoid_strided_pointwise

STEPS = """
import torch
from britekit.config import BaseConfig
from britekit.models.recognizer import build_recognizer
from britekit.training.malloc import keep_freed_memory
from britekit.training.devices import place
keep_freed_memory()
for model in "effnet.1 dla.1 gernet.1 gernet.4 vovnet.1 hgnet.1 timm.mobilenetv3_small_100".split():
    cfg = BaseConfig()
    cfg.train.model_type = model
    network = build_recognizer(cfg.train, cfg.audio, 5)
    place(network, torch.device("cpu"))
    for _ in range(2):
        images = torch.rand(8, 1, 128, 480).contiguous(memory_format=torch.channels_last)
        network(images)[0].square().mean().backward()
    print(model)
from britekit.models.options import Blueprint
from britekit.models.timing import measure_speed
measure_speed(Blueprint("gernet.4", None, 5, 128, 480), torch.device("cpu"), batch_size=8, seconds=0.01)
print("timing")
"""


@pytest.mark.soak
def test_every_family_trains_at_the_default_size():
    """In a process of its own, which may die."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", STEPS], cwd=root, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"after {done.stdout.split()}: {done.returncode}, {done.stderr[-500:]}"
    assert len(done.stdout.split()) == 8


@pytest.mark.parametrize("shape", [(2, 13, 64, 240), (2, 13, 63, 97)])
@pytest.mark.parametrize("bias", [False, True])
def test_the_other_way_gives_the_same(shape, bias):
    """Output and gradients equal those of the strided convolution, in double precision."""
    torch.manual_seed(0)
    plain = nn.Conv2d(13, 48, 1, 2, bias=bias).double()
    other = nn.Sequential(nn.Conv2d(13, 48, 1, 2, bias=bias)).double()
    other[0].load_state_dict(plain.state_dict())
    avoid_strided_pointwise(other)
    assert type(other[0]) is not nn.Conv2d
    x = torch.randn(shape, dtype=torch.float64)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    a, b = plain(first), other(second)
    torch.testing.assert_close(b, a)
    weights = torch.randn_like(a)
    (a * weights).sum().backward()
    (b * weights).sum().backward()
    torch.testing.assert_close(second.grad, first.grad)
    torch.testing.assert_close(other[0].weight.grad, plain.weight.grad)


def test_layers_that_are_well_stay_as_they_are():
    layers = nn.Sequential(
        nn.Conv2d(16, 8, 1, 2), nn.Conv2d(13, 8, 1), nn.Conv2d(13, 8, 3, 2, 1), nn.Conv2d(13, 8, 1, 2, 1)
    )
    avoid_strided_pointwise(layers)
    assert all(type(layer) is nn.Conv2d for layer in layers)
