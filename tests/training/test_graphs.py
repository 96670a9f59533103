"""Training on a GPU replays the network as CUDA graphs; without one there is nothing to replay."""

import weakref

import numpy as np
import pytest
import torch

from britekit.models.recognizer import build_recognizer
from britekit.training.flat_weights import FlatNetwork
from britekit.training.graphs import GraphedNetwork
from britekit.training.optimizers import build_optimizer
from britekit.training.ranks import ProcessGroup
from britekit.training.run_on_device import as_run
from britekit.training.trainer import train

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SHAPE = (8, 1, 64, 96)


def network(cfg, model_type, head_type=None, **more):
    cfg.train.model_type, cfg.train.head_type = model_type, head_type
    cfg.audio.spec_height, cfg.audio.spec_width = SHAPE[2:]
    for name, value in more.items():
        setattr(cfg.train, name, value)
    torch.manual_seed(3)
    made = build_recognizer(cfg.train, cfg.audio, 5).to("cuda", memory_format=torch.channels_last)
    return made.train()


def optimizer_of(recognizer):
    return build_optimizer(recognizer, "adamw", 1e-3, 0.01, 0.9, 0.999)


def steps(forward, recognizer, batches, optimizer=None):
    """Losses of some steps of training, and the weights afterwards."""
    optimizer = optimizer or optimizer_of(recognizer)
    losses = []
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        segment, frames = forward(batch)
        loss = segment.square().mean() if frames is None else segment.square().mean() + frames.square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses, {name: value.clone() for name, value in recognizer.state_dict().items()}


def batches(count, size=SHAPE):
    draw = torch.Generator("cuda").manual_seed(1)
    return [torch.rand(size, generator=draw, device="cuda") for _ in range(count)]


@GPU
@pytest.mark.parametrize(
    ("model", "head"),
    [
        ("effnet.1", None),
        ("dla.1", None),
        ("gernet.1", None),
        ("vovnet.1", "basic_sed"),
        ("hgnet.1", "scalable_sed"),
        ("timm.test_efficientnet", None),
    ],
)
def test_replayed_training_is_the_same_training(cfg, model, head):
    """Same losses, weights and batch-norm statistics as kernel by kernel, within the order of sums."""
    plain = network(cfg, model, head, drop_rate=0.0, drop_path_rate=0.0)
    expected, weights = steps(plain, plain, batches(4))
    recorded = network(cfg, model, head, drop_rate=0.0, drop_path_rate=0.0)
    forward = GraphedNetwork(recorded, SHAPE, torch.channels_last, mixed=None)
    assert forward.is_graphed
    found, after = steps(forward, recorded, batches(4))
    np.testing.assert_allclose(found, expected, rtol=2e-2)
    assert found[0] == pytest.approx(expected[0], rel=2e-3)
    for name, value in weights.items():
        if "running_" in name:
            torch.testing.assert_close(after[name], value, rtol=5e-2, atol=5e-3)
        if "num_batches" in name:
            assert int(after[name]) == int(value) == 4


@GPU
@pytest.mark.parametrize("mixed", [True, False])
def test_replayed_training_with_long_parameters_is_the_same_training(cfg, mixed):
    """As `train` runs it; the last batch is smaller and runs as usual, with the same parameters."""
    cfg.train.mixed_precision, cfg.train.flat_weights = mixed, True
    data = [*batches(4), *batches(1, (3, *SHAPE[1:]))]
    plain = network(cfg, "effnet.1", drop_rate=0.0, drop_path_rate=0.0)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=mixed):
        expected, weights = steps(plain, plain, data)
    recorded = network(cfg, "effnet.1", drop_rate=0.0, drop_path_rate=0.0)
    optimizer = build_optimizer(recorded, "adamw", 1e-3, 0.01, 0.9, 0.999)
    forward = as_run(recorded, optimizer, cfg, SHAPE[0], torch.channels_last, ProcessGroup())
    assert forward.is_graphed and sum(len(group["params"]) for group in optimizer.param_groups) <= 4
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=mixed):
        found, after = steps(forward, recorded, data, optimizer)
    np.testing.assert_allclose(found, expected, rtol=5e-2 if mixed else 2e-2)
    for name, value in weights.items():
        if "num_batches" in name:
            assert int(after[name]) == int(value) == 5
        elif value.dim() > 1:  # each step moves a weight by up to the rate, whatever its gradient's size
            assert (after[name] - value).abs().mean() < 1e-3, name
    state = optimizer.state_dict()["state"]
    assert len(state) == len(list(recorded.parameters()))


@GPU
@pytest.mark.parametrize("mixed", [None, torch.bfloat16])
@pytest.mark.parametrize(("model", "head"), [("effnet.1", None), ("hgnet.1", "scalable_sed")])
def test_long_parameters_are_replayed_as_the_weights_are(cfg, model, head, mixed):
    plain = network(cfg, model, head, drop_rate=0.0, drop_path_rate=0.0)
    before = {name: value.clone() for name, value in plain.named_parameters()}
    forward = GraphedNetwork(plain, SHAPE, torch.channels_last, mixed)
    expected, weights = steps(forward, plain, batches(4))
    recorded = network(cfg, model, head, drop_rate=0.0, drop_path_rate=0.0)
    optimizer = optimizer_of(recorded)
    long = FlatNetwork(recorded, optimizer, mixed)
    forward = GraphedNetwork(recorded, SHAPE, torch.channels_last, mixed, long)
    assert forward.is_graphed
    found, after = steps(forward, recorded, batches(4), optimizer)
    np.testing.assert_allclose(found, expected, rtol=2e-2)
    assert found[0] == pytest.approx(expected[0], rel=2e-3)
    for name, value in before.items():
        assert torch.equal(after[name], value) == torch.equal(weights[name], value), name


@GPU
def test_recording_leaves_weights_and_statistics_as_they_were(cfg):
    recognizer = network(cfg, "effnet.1")
    before = {name: value.clone() for name, value in recognizer.state_dict().items()}
    assert GraphedNetwork(recognizer, SHAPE, torch.channels_last, mixed=torch.bfloat16).is_graphed
    for name, value in recognizer.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in recognizer.parameters())


@GPU
def test_dropout_draws_anew_at_each_replay_and_repeats_by_seed(cfg):
    recognizer = network(cfg, "effnet.1", drop_rate=0.5)
    forward = GraphedNetwork(recognizer, SHAPE, torch.channels_last, mixed=None)
    (batch,) = batches(1)

    def draw():
        with torch.no_grad():
            for module in recognizer.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.reset_running_stats()
        return forward(batch)[0].detach().clone()

    torch.manual_seed(5)
    first, second = draw(), draw()
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    torch.testing.assert_close(draw(), first)


@GPU
def test_other_batch_sizes_run_as_usual(cfg):
    recognizer = network(cfg, "effnet.1")
    forward = GraphedNetwork(recognizer, SHAPE, torch.channels_last, mixed=None)
    (rest,) = batches(1, (3, *SHAPE[1:]))
    assert forward(rest)[0].shape == (3, 5)


@GPU
def test_a_network_that_cannot_be_recorded_trains_as_usual(cfg, caplog):
    recognizer = network(cfg, "effnet.1")

    class Asking(torch.nn.Module):
        """A head that waits for the device, which no recording allows."""

        def forward(self, features):
            return features.mean((2, 3))[:, :5] * float(features.mean() > -1e9), None

    recognizer.head = Asking()
    forward = GraphedNetwork(recognizer, SHAPE, torch.channels_last, mixed=None)
    assert not forward.is_graphed and "not replayed as a CUDA graph" in caplog.text
    losses, _ = steps(forward, recognizer, batches(2))
    assert np.isfinite(losses).all()


@GPU
@pytest.mark.parametrize("mixed", [False, None])
def test_a_whole_run_learns(project, cfg, mixed):
    cfg.train.num_epochs, cfg.train.mixed_precision, cfg.train.batch_size = 6, mixed, 8
    cfg.train.augment = False
    result = train(cfg, seed=1)
    assert result.epochs[-1]["loss"] < 0.7 * result.epochs[0]["loss"]


@GPU
@pytest.mark.parametrize("name", ["datasets", "augmentations"])
def test_batches_do_not_wait_for_the_device(project, cfg, name):
    """With everything switched on, making a batch asks the device for nothing."""
    from britekit.config.augmentations import KNOWN, AugmentationConfig
    from britekit.datasets.bank import Bank
    from britekit.datasets.batches import TrainingBatches
    from britekit.datasets.training_set import read_training_set
    from britekit.training import configured

    if name == "augmentations":
        cfg.train.augmentations = [AugmentationConfig(known, 0.7, {}) for known in KNOWN]
    cfg.train.prob_simple_merge = cfg.train.prob_mixup = cfg.train.prob_cutmix = 0.3
    samples = read_training_set("data/training.pkl")
    made = TrainingBatches(
        Bank(samples, "cuda"), torch.arange(48), 16, 1, configured.make_chain(cfg), configured.make_mixing(cfg), 0
    )
    made.begin_epoch(0)
    made.make(torch.arange(16))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for begin in range(0, 48, 16):
            made.make(torch.arange(begin, begin + 16))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@GPU
def test_sixteen_bits_follow_thirty_two(cfg):
    """Losses of mixed precision stay within its rounding of the exact ones."""
    plain = network(cfg, "effnet.1", drop_rate=0.0, drop_path_rate=0.0)
    expected, _ = steps(plain, plain, batches(4))
    mixed = network(cfg, "effnet.1", drop_rate=0.0, drop_path_rate=0.0)
    forward = GraphedNetwork(mixed, SHAPE, torch.channels_last, mixed=torch.bfloat16)
    found, _ = steps(forward, mixed, batches(4))
    assert found[0] == pytest.approx(expected[0], rel=0.05)


def test_gpus_use_sixteen_bits_where_nobody_chose():
    from britekit.training.devices import mixed_type

    assert mixed_type(torch.device("cpu"), None) is None
    assert mixed_type(torch.device("cpu"), True) is torch.bfloat16
    assert mixed_type(torch.device("cuda"), False) is None
    assert mixed_type(torch.device("cuda"), None) in (torch.bfloat16, torch.float16)


def test_on_a_cpu_the_network_runs_as_it_is(cfg):
    cfg.train.model_type = "effnet.1"
    recognizer = build_recognizer(cfg.train, cfg.audio, 3).eval()
    optimizer = build_optimizer(recognizer, "adamw", 1e-3, 0.01, 0.9, 0.999)
    assert as_run(recognizer, optimizer, cfg, 8, torch.channels_last, ProcessGroup()) is recognizer
    assert recognizer.training


def test_what_was_recorded_before_is_let_go_first():
    """Folds record one after the other; torch's recordings lie in cycles, which Python frees at leisure."""

    class Before:
        def __init__(self):
            self.itself = self

    made = torch.nn.Linear(2, 2)
    before = weakref.ref(Before())
    assert before() is not None
    GraphedNetwork(made, (2, 1, 2, 2), torch.channels_last, mixed=None)
    assert before() is None
