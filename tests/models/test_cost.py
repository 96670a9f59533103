"""Multiply-adds: by the formula for a simple network, and by a second count layer by layer."""

from collections import Counter

import pytest
import torch
from torch import nn

from britekit.config.model_names import backbone_families, head_names
from britekit.errors import ModelError
from britekit.models.cost import compute_cost, count_multiply_adds, model_names
from britekit.models.options import Blueprint
from britekit.models.recognizer import build
from britekit.models.registry import find_backbone
from britekit.models.timing import measure_speed


def test_a_simple_network_by_the_formula():
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),  # 10 x 21 -> 5 x 11
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 6, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )
    pixels = 5 * 11
    expected = pixels * (8 * 1 * 9 + 8 * 1 * 9 + 6 * 8) + 6 * 4
    assert count_multiply_adds(network, (1, 1, 10, 21)) == expected
    assert count_multiply_adds(network, (3, 1, 10, 21)) == 3 * expected


def counted_by_layers(network, image):
    """Products of each convolution and linear layer, from the shapes that a real pass shows."""
    total = 0

    def add(layer, inputs, output):
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    layers = (nn.Conv2d, nn.Conv1d, nn.Linear)
    hooks = [m.register_forward_hook(add) for m in network.modules() if isinstance(m, layers)]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return total


MODELS = ["effnet.1", "gernet.1", "hgnet.1", "timm.mobilenetv3_small_050"]


@pytest.mark.parametrize(
    "model, head", [*((model, None) for model in MODELS), *(("dla.1", head) for head in head_names())]
)
def test_networks_by_a_second_count(model, head):
    blueprint = Blueprint(model, head, 5, 64, 96, frames=10, hidden_channels=16)
    network = build(blueprint)
    cost = compute_cost(blueprint)
    assert cost.multiply_adds == counted_by_layers(network, torch.rand(1, 1, 64, 96))
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    assert cost.gmacs == cost.multiply_adds / 1e9


def test_vovnet_counts_its_channel_attention_too():
    """ECA is one more convolution over channels, of width 5 or 3, in each of the four stages."""
    blueprint = Blueprint("vovnet.1", None, 5, 64, 96)
    network = build(blueprint)
    assert compute_cost(blueprint).multiply_adds == counted_by_layers(network, torch.rand(1, 1, 64, 96))


def test_attention_outside_of_layers_is_counted():
    """A transformer's products of queries, keys and values belong to no layer."""
    blueprint = Blueprint("timm.test_vit", "basic", 5, 64, 96)
    network = build(blueprint)
    model = network.backbone.model
    tokens, width, depth = model.pos_embed.shape[1], model.embed_dim, len(model.blocks)
    in_layers = counted_by_layers(network, torch.rand(1, 1, 64, 96))
    assert compute_cost(blueprint).multiply_adds == in_layers + depth * 2 * tokens * tokens * width


def test_the_list_is_every_size_of_every_family():
    names = model_names()
    assert len(names) == len(set(names))
    counts = Counter(name.partition(".")[0] for name in names)
    # At least these; a new family adds itself.
    assert {"dla": 5, "effnet": 11, "gernet": 9, "hgnet": 17, "vovnet": 15}.items() <= counts.items()
    assert set(counts) == set(backbone_families()) - {"timm"}
    for name in names:
        find_backbone(name)
    assert not [name for name in names if name.startswith("timm")]


def test_unknown_head():
    with pytest.raises(ModelError, match='did you mean "basic_sed"'):
        compute_cost(Blueprint("effnet.1", "basic-sed", 5, 64, 96))


def test_speed_is_a_number_of_spectrograms():
    blueprint = Blueprint("dla.1", "basic_sed", 5, 32, 32, frames=10, hidden_channels=16)
    forward, training = measure_speed(blueprint, torch.device("cpu"), batch_size=2, seconds=0.02)
    assert forward > 0 and training > 0  # a busy machine may slow either
