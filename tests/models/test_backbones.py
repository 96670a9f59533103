"""Backbones: parameter counts of the specification's tables, shapes, and the sentences for what cannot be."""

import pytest
import timm
import torch

from britekit.errors import ModelError
from britekit.models import registry
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

# Specification, algorithms §5: size, F, millions of parameters of the backbone and with the default head.
EFFNET = [
    ("1", 320, 0.38, 0.40),
    ("2", 384, 0.67, 0.69),
    ("3", 512, 1.38, 1.41),
    ("4", 536, 1.95, 1.98),
    ("5", 616, 2.92, 2.95),
    ("6", 688, 3.62, 3.66),
    ("7", 768, 4.52, 4.56),
    ("8", 832, 5.33, 5.37),
    ("9", 816, 6.03, 6.07),
    ("10", 896, 7.21, 7.26),
    ("11", 896, 8.02, 8.07),
]


def millions(module):
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.mark.parametrize("size, features, backbone, total", EFFNET)
def test_effnet_has_the_published_number_of_parameters(size, features, backbone, total):
    network = build(Blueprint(f"effnet.{size}", None, 50, 128, 480))
    assert network.backbone.num_features == features
    # The table has two decimals; the structure is the same, so the count agrees to its last digit.
    assert millions(network.backbone) == pytest.approx(backbone, abs=0.006)
    assert millions(network) == pytest.approx(total, abs=0.006)


def test_effnet_covers_every_size_of_the_table():
    module, _ = registry.find_backbone("effnet.1")
    assert list(module.SIZES) == [row[0] for row in EFFNET]


@pytest.mark.parametrize("height, width", [(128, 480), (96, 256), (100, 333)])
def test_effnet_divides_by_32(height, width):
    network = build(Blueprint("effnet.1", None, 5, height, width)).eval()
    with torch.no_grad():
        features = network.backbone(torch.rand(2, 1, height, width))
        embedding = network.embed(torch.rand(2, 1, height, width))
    assert features.shape == (2, 320, -(-height // 32), -(-width // 32))
    assert embedding.shape == (2, 320)


def test_drop_path_is_passed_on():
    plain = build(Blueprint("effnet.2", None, 5, 64, 64))
    dropped = build(Blueprint("effnet.2", None, 5, 64, 64, drop_path_rate=0.3))
    kinds = [type(m).__name__ for m in dropped.modules()]
    assert "DropPath" in kinds
    assert "DropPath" not in [type(m).__name__ for m in plain.modules()]


@pytest.mark.parametrize("head", [None, "basic", "basic_sed"])
@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_vit", "test_convnext", "test_resnet"])
def test_timm_networks_take_one_channel_and_any_head(name, head):
    network = build(Blueprint(f"timm.{name}", head, 7, 64, 96, frames=10)).eval()
    with torch.no_grad():
        segment, frames = network(torch.rand(2, 1, 64, 96))
        assert network.embed(torch.rand(2, 1, 64, 96)).shape == (2, network.backbone.num_features)
    assert segment.shape == (2, 7)
    assert (frames is None) == (head != "basic_sed")
    names = list(network.state_dict())
    assert all(n.startswith(("backbone.", "head.")) for n in names)


def test_timm_own_classifier_is_the_networks_own():
    """With no head of ours the logits are those of the bare timm network with the same weights."""
    network = build(Blueprint("timm.test_resnet", None, 7, 64, 64)).eval()
    bare = timm.create_model("test_resnet", in_chans=1, num_classes=7).eval()
    bare.load_state_dict(network.backbone.model.state_dict())
    image = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image)[0], bare(image))


@pytest.mark.parametrize(
    "model_type, said",
    [
        ("efnet.2", 'did you mean "effnet"'),
        ("effnet.12", "1 to 11"),
        ("effnet", "1 to 11"),
        ("timm.mobilenetv3_smal_100", 'did you mean "mobilenetv3_small_100"'),
        ("timm.", "timm's list"),
    ],
)
def test_unknown_models_are_refused_with_a_suggestion(model_type, said):
    with pytest.raises(ModelError, match="train.model_type") as caught:
        build(Blueprint(model_type, None, 5, 64, 64))
    assert said in str(caught.value)


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError, match="train.pretrained.*no route to host.*set train.pretrained to false"):
        build(Blueprint("timm.test_resnet", None, 5, 64, 64, pretrained=True))


def test_registry_lists_are_the_folders():
    assert {"effnet", "timm"} <= set(registry.backbone_families())
    assert {"basic", "effnet", "hgnet", "basic_sed", "scalable_sed", "temporal_sed"} <= set(
        registry.head_names()
    )
