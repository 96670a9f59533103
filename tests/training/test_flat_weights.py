"""Long parameters train as the weights do that they are made of."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from britekit.models.recognizer import build_recognizer
from britekit.training import folds
from britekit.training.flat_weights import FlatNetwork, can_be_flat
from britekit.training.graphs import counted_together
from britekit.training.optimizers import build_optimizer
from britekit.training.run_on_device import _unused
from britekit.training.trainer import train

LAST = torch.channels_last


class Operations(TorchDispatchMode):
    """Counts the operations that run within."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def made(cfg, model, head=None, size=(64, 96)):
    cfg.train.model_type, cfg.train.head_type = model, head
    cfg.audio.spec_height, cfg.audio.spec_width = size
    torch.manual_seed(3)
    return build_recognizer(cfg.train, cfg.audio, 5).to(memory_format=LAST).train()


def optimizer_of(network, name="adamw"):
    return build_optimizer(network, name, 0.02, 0.1, 0.9, 0.999)


def flat(network, optimizer, mixed=None, unused=()):
    return FlatNetwork(network, optimizer, mixed, unused)


def loss_of(forward, batch, mixed):
    torch.manual_seed(5)  # of dropout
    enabled = mixed is not None
    with torch.autocast("cpu", dtype=mixed or torch.bfloat16, enabled=enabled, cache_enabled=False):
        segment, frames = forward(batch)
    loss = segment.float().square().mean()
    return loss if frames is None else loss + frames.float().square().mean()


def batches(count, size=(64, 96)):
    draw = torch.Generator().manual_seed(1)
    return [torch.rand((4, 1, *size), generator=draw).contiguous(memory_format=LAST) for _ in range(count)]


def gradients(network):
    """Gradients by the names of the weights."""
    if not isinstance(network, FlatNetwork):
        return {name: weight.grad for name, weight in network.named_parameters()}
    return {
        place.name: place.view_of(long.grad)
        for long, places in zip(network.long, network._places, strict=True)
        for place in places
    }


NETWORKS = [
    ("effnet.1", None),
    ("dla.1", None),
    ("vovnet.1", "basic_sed"),
    ("hgnet.1", "scalable_sed"),
    ("gernet.1", "temporal_sed"),
    ("timm.test_efficientnet", None),
    ("timm.test_vit", None),
]


@pytest.mark.parametrize("mixed", [torch.bfloat16, None])
@pytest.mark.parametrize(("model", "head"), NETWORKS)
def test_loss_and_gradients_are_the_same_to_the_bit(cfg, model, head, mixed):
    size = (160, 160) if "vit" in model else (64, 96)
    (batch,) = batches(1, size)
    plain = made(cfg, model, head, size)
    expected = loss_of(plain, batch, mixed)
    expected.backward()
    network = made(cfg, model, head, size)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    strides = {name: weight.stride() for name, weight in network.named_parameters()}
    forward = flat(network, optimizer_of(network), mixed)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert {name: weight.stride() for name, weight in network.named_parameters()} == strides
    loss = loss_of(forward, batch, mixed)
    loss.backward()
    assert torch.equal(loss, expected)
    found = gradients(forward)
    for name, gradient in gradients(plain).items():
        assert torch.equal(found[name], gradient), name
    for (name, value), same in zip(plain.named_buffers(), network.buffers(), strict=True):
        assert torch.equal(value, same), name
    assert len(list(forward.parameters())) <= 4  # cast or not, with weight decay or without


def test_weights_and_gradients_are_cast_in_a_few_operations(cfg):
    (batch,) = batches(1)
    ran = []
    for together in (False, True):
        network = made(cfg, "effnet.1")
        forward = flat(network, optimizer_of(network), torch.bfloat16) if together else network
        with Operations() as operations:
            loss_of(forward, batch, torch.bfloat16).backward()
        ran.append(operations.counts)
    layers = sum(type(layer) in (nn.Conv2d, nn.Linear) for layer in network.modules())
    assert layers > 40
    assert ran[0]["_to_copy"] - ran[1]["_to_copy"] >= 2 * layers - 4
    assert ran[1]["_foreach_copy_"] <= 4


@pytest.mark.parametrize("name", ["adamw", "radam", "nadam", "sgd", "rmsprop", "adagrad", "adadelta", "adamax"])
def test_optimizers_do_the_same_to_long_parameters(cfg, name):
    """Also weight decay, which biases and norms are spared."""
    data = batches(4)
    plain, network = made(cfg, "effnet.1"), made(cfg, "effnet.1")
    one, other = optimizer_of(plain, name), optimizer_of(network, name)
    assert can_be_flat(other)
    forward = flat(network, other)
    for batch in data:
        for run, optimizer in ((plain, one), (forward, other)):
            optimizer.zero_grad(set_to_none=True)
            loss_of(run, batch, None).backward()
            optimizer.step()
    for (key, value), same in zip(plain.named_parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(same, value, rtol=2e-4, atol=2e-5, msg=lambda m, key=key: key + m)


@pytest.mark.parametrize("name", ["adamw", "adagrad", "sgd"])
def test_the_state_is_that_of_the_weights_and_goes_on_either_way(cfg, name):
    """Saved with long parameters and loaded without, and saved without and loaded before they are made."""
    data = batches(6)

    def steps(forward, optimizer, some):
        for batch in some:
            optimizer.zero_grad(set_to_none=True)
            loss_of(forward, batch, None).backward()
            optimizer.step()

    network = made(cfg, "effnet.1")
    optimizer = optimizer_of(network, name)
    steps(flat(network, optimizer), optimizer, data[:3])
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    saved = optimizer.state_dict()
    names = [key for key, _ in network.named_parameters()]
    shapes = [tuple(value.shape) for value in network.parameters()]

    plain = made(cfg, "effnet.1")
    plain.load_state_dict(weights)
    expected = optimizer_of(plain, name)
    assert [group["params"] for group in saved["param_groups"]] == [
        group["params"] for group in expected.state_dict()["param_groups"]
    ]
    expected.load_state_dict(saved)
    if name == "adamw":
        kept = expected.state[dict(plain.named_parameters())[names[0]]]
        assert tuple(kept["exp_avg"].shape) == shapes[0] and float(kept["step"]) == 3
    again = made(cfg, "effnet.1")
    again.load_state_dict(weights)
    resumed = optimizer_of(again, name)
    resumed.load_state_dict(expected.state_dict())
    forward = flat(again, resumed)

    steps(plain, expected, data[3:])
    steps(forward, resumed, data[3:])
    for (key, value), same in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(same, value, rtol=2e-4, atol=2e-5, msg=lambda m, key=key: key + m)


def test_weights_begin_at_multiples_of_128_bytes(cfg):
    network = made(cfg, "effnet.1")
    forward = flat(network, optimizer_of(network), torch.bfloat16)
    offsets = [place.offset for places in forward._places for place in places]
    assert len(offsets) > 100 and not any(offset * 2 % 128 for offset in offsets)
    ends = [(p.offset, p.offset + p.weight.numel()) for p in forward._places[0]]
    assert all(end <= begin for (_, end), (begin, _) in zip(ends, ends[1:], strict=False))


def test_what_takes_no_part_stays_as_it_is():
    """Fixed weights and unused ones: an optimizer leaves a weight without gradient alone, decay included."""

    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.fixed, self.used, self.unused = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(3, 3)
            self.fixed.requires_grad_(False)

        def forward(self, x):
            return self.used(self.fixed(x.mean((1, 2))[:, :3])), None

    network = Partly()
    unused = _unused(network, 4, 3)
    assert unused == ["unused.weight", "unused.bias"]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = optimizer_of(network)
    forward = flat(network, optimizer, None, unused)
    optimizer.zero_grad(set_to_none=True)
    forward(torch.rand(2, 1, 4, 3))[0].sum().backward()
    optimizer.step()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("used")), name
    assert len(optimizer.state_dict()["param_groups"]) == 2


class Odd(nn.Module):
    """A single number first, memory with gaps, a layer that moves its weights, and a plain one."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.gaps = nn.Parameter((torch.arange(12.0) / 12).reshape(2, 6)[:, ::2])
        self.lstm, self.plain = nn.LSTM(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.scale * self.plain(self.lstm(x @ self.gaps.T @ self.gaps)[0])


def test_weights_that_cannot_be_views_are_trained_too():
    """A recording gives gradients to the parameters of the module that is recorded, and to no others."""
    torch.manual_seed(1)
    network = Odd()
    assert not network.gaps.is_contiguous()
    weights = list(network.parameters())
    optimizer = optimizer_of(network)
    forward = flat(network, optimizer)
    held = {weight.data_ptr() for weight in network.lstm.parameters()}
    assert held == {weight.data_ptr() for weight in forward.single if weight.data_ptr() in held}
    found = torch.autograd.grad(forward(torch.rand(4, 3)).square().sum(), list(forward.parameters()))
    assert sum(gradient.any() for gradient in found) == len(found)
    places = [place.weight for some in forward._places for place in some]
    assert {id(w) for w in (*places, *forward.single)} == {id(w) for w in weights}
    given = {id(w) for group in optimizer.param_groups for w in group["params"]}
    assert given == {id(w) for w in forward.parameters()}


def test_a_state_of_some_weights_or_of_single_numbers_goes_on():
    def steps(network, forward, optimizer):
        for row in torch.rand(3, 4, 3, generator=torch.Generator().manual_seed(2)):
            optimizer.zero_grad(set_to_none=True)
            forward(row).square().sum().backward()
            optimizer.step()

    torch.manual_seed(1)
    plain, network = Odd(), Odd()
    network.load_state_dict(plain.state_dict())
    one, other = optimizer_of(plain), optimizer_of(network)
    steps(plain, plain, one)
    one.state.pop(plain.plain.weight)  # as of a weight that took no part
    network.load_state_dict(plain.state_dict())
    other.load_state_dict(one.state_dict())
    forward = flat(network, other)
    assert other.state_dict()["state"].keys() >= one.state_dict()["state"].keys()
    one.state.pop(plain.plain.bias)
    for state in (one.state, other.state):
        kept = [value for value in state.values() if value["exp_avg"].dim() == 0]
        assert len(kept) == 1 and float(kept[0]["step"]) == 3
    steps(network, forward, other)


def test_layers_that_compute_with_their_weights_first_keep_them_in_32_bits():
    class Standardized(nn.Linear):
        def forward(self, input):
            seen.append(self.weight.dtype)
            return nn.functional.linear(input, self.weight - self.weight.mean())

    seen = []
    network = nn.Sequential(nn.Linear(3, 3), Standardized(3, 3))
    forward = flat(network, optimizer_of(network), torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        forward(torch.rand(2, 3))
    assert seen == [torch.float32]


def test_optimizers_that_look_at_whole_weights_are_not_given_long_ones(cfg):
    network = made(cfg, "effnet.1")
    for name in ("lamb", "adafactor", "lars", "muon", "novograd"):
        assert not can_be_flat(optimizer_of(network, name)), name


def test_counts_of_batches_are_one_operation(cfg):
    network = made(cfg, "effnet.1")
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    with Operations() as ran, torch.no_grad(), counted_together(norms):
        network(batches(1)[0])
    assert ran.counts["_foreach_add_"] == 1 and len(norms) > 10
    assert all(int(norm.num_batches_tracked) == 1 for norm in norms)


def test_a_norm_without_momentum_counts_as_it_runs():
    """Its statistics are the mean over all batches, which needs the count at once."""
    network = nn.Sequential(nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3)).train()
    data = torch.rand(4, 8, 3, generator=torch.Generator().manual_seed(2))
    for batch in data:
        with counted_together(list(network)):
            network(batch)
    torch.testing.assert_close(network[0].running_mean, data.mean((0, 1)))
    assert [int(norm.num_batches_tracked) for norm in network] == [4, 4]


def test_a_pass_that_fails_leaves_the_counts_in_place():
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="2D or 3D"), counted_together([norm]):
        norm(torch.rand(3))
    assert int(norm.num_batches_tracked) == 0


def test_a_whole_run_gives_the_same_network_and_is_resumed(project, cfg, monkeypatch):
    """Training with long parameters, as on a GPU; killed and continued it ends with the same bits."""
    cfg.train.num_epochs, cfg.train.deterministic = 3, True
    plain = train(cfg, seed=1, publish="plain.ckpt", log_root="plain-logs")

    def as_on_a_gpu(recognizer, optimizer, *rest):
        recognizer.train()
        return FlatNetwork(recognizer, optimizer, None)

    monkeypatch.setattr(folds, "as_run", as_on_a_gpu)
    whole = train(cfg, seed=1, publish="whole.ckpt")
    for row, same in zip(plain.epochs, whole.epochs, strict=True):
        assert same["loss"] == pytest.approx(row["loss"], rel=1e-4)

    class KilledHere(Exception):
        pass

    def kill(row):
        if row["epoch"] == 1:
            raise KilledHere

    monkeypatch.setattr("britekit.training.resume.SAVE_EVERY_S", 0.0)
    with pytest.raises(KilledHere):
        train(cfg, seed=1, publish="resumed.ckpt", on_epoch=kill)
    again = train(cfg, seed=1, publish="resumed.ckpt", resume=True)
    assert again.resumed_from_epoch is not None
    assert (project / "resumed.ckpt").read_bytes() == (project / "whole.ckpt").read_bytes()
    assert (project / "whole.ckpt").stat().st_size == (project / "plain.ckpt").stat().st_size
