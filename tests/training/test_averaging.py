"""Averages of weights against torch's own, and what a run evaluates, saves and continues with them."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from britekit.config.augmentations import merge_augmentations
from britekit.models.checkpoint import read_archive
from britekit.training import resume
from britekit.training.averaging import WeightAverage
from britekit.training.flat_weights import FlatNetwork
from britekit.training.schedule import rate_factor
from britekit.training.trainer import train


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(2))


def steps(model, count, after):
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for number in range(count):
        optimizer.zero_grad()
        model(torch.randn(4, 1, 5, 5)).pow(2).sum().backward()
        optimizer.step()
        after(number)


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_moving_average_is_torchs(decay):
    model = network()
    model(torch.randn(4, 1, 5, 5))
    ours = WeightAverage(model, decay)

    def keep(mean, own, count):
        kept = min(decay, (1 + count) / (10 + count))
        return kept * mean + (1 - kept) * own

    theirs = AveragedModel(model, avg_fn=keep, use_buffers=True)
    theirs.n_averaged += 1  # starts from the weights as they are, as ours

    def both(number):
        ours.after_step()
        theirs.update_parameters(model)

    steps(model, 12, both)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with ours.applied():
        for name, value in theirs.module.state_dict().items():
            if value.is_floating_point():
                torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_mean_over_epochs_is_that_of_numbers():
    model = network()
    model(torch.randn(4, 1, 5, 5))
    ours, seen = WeightAverage(model, swa_from=2), []

    def after(epoch):
        ours.after_step()
        ours.after_epoch(epoch)
        seen.append({n: v.double() for n, v in model.state_dict().items()})

    steps(model, 5, after)
    ours.apply()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            mean = sum(state[name] for state in seen[2:]) / 3
            torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-6)


def test_nothing_is_averaged_before_the_first_epoch_of_the_mean(caplog):
    model = network()
    model(torch.randn(4, 1, 5, 5))
    ours = WeightAverage(model, swa_from=3)
    steps(model, 1, ours.after_epoch)
    own = model[0].weight.clone()
    with ours.applied():
        assert torch.equal(model[0].weight, own)
    ours.apply()
    assert torch.equal(model[0].weight, own)
    assert "stopped before epoch 4, so nothing is averaged" in caplog.text


def test_weights_that_move_into_long_parameters_are_followed():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    ours, optimizer = WeightAverage(model, swa_from=0), torch.optim.SGD(model.parameters(), 0.1)
    flat, seen = FlatNetwork(model, optimizer, None), []
    for epoch in range(3):
        optimizer.zero_grad()
        flat(torch.ones(2, 3)).pow(2).sum().backward()
        optimizer.step()
        ours.after_epoch(epoch)
        seen.append(model[0].weight.detach().clone())
    assert not torch.equal(seen[0], seen[1])
    ours.apply()
    torch.testing.assert_close(model[0].weight.detach(), sum(seen) / 3)
    torch.testing.assert_close(flat(torch.ones(2, 3)), model(torch.ones(2, 3)))


def test_the_rate_stays_constant_over_the_last_part():
    rates = [rate_factor(step, 100, 0.1, 0.25) for step in range(100)]
    assert rates[:76] == [rate_factor(step, 100, 0.1) for step in range(76)]
    assert len(set(rates[75:])) == 1 and rates[75] > 0


def test_a_run_publishes_the_mean_of_its_last_epochs(project, cfg, monkeypatch):
    cfg.train.num_epochs, cfg.train.swa_portion = 4, 0.5
    seen, noted = [], WeightAverage.after_epoch

    def note(self, epoch):
        seen.append({name: value.detach().clone() for name, value in self._own.items()})
        noted(self, epoch)

    monkeypatch.setattr(WeightAverage, "after_epoch", note)
    result = train(cfg, seed=1, publish="mean.ckpt")
    published = read_archive("mean.ckpt")[0]["state_dict"]
    latest = read_archive(result.checkpoints[-1])[0]["state_dict"]
    for name, value in seen[2].items():
        torch.testing.assert_close(published[name], (value + seen[3][name]) / 2, rtol=1e-5, atol=1e-6)
        assert torch.equal(published[name], latest[name])


@pytest.mark.parametrize("average", [{"ema_decay": 0.8}, {"swa_portion": 0.7}])
def test_all_switches_together_continue_where_they_stopped(project, cfg, monkeypatch, average):
    """A run with every switch ends with the same bytes, continued or not."""
    monkeypatch.setattr(resume, "SAVE_EVERY_S", 0.0)
    switches = {
        "num_epochs": 3, "val_portion": 0.25, "loss": "focal", "soft_auc_weight": 0.5, "sampling": "both",
        "mix_sources": 4, "prob_mixup": 0.3, "confusion_smoothing": 0.1, **average,
    }  # fmt: skip
    for name, value in switches.items():
        setattr(cfg.train, name, value)
    cfg.train.augmentations, wrong = merge_augmentations([], [{"name": "freq_mix_style", "prob": 0.5}])
    assert not wrong

    def stop(row):
        if row["epoch"] == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(cfg, seed=5, resume=True, on_epoch=stop)
    assert train(cfg, seed=5, resume=True, publish="continued.ckpt").resumed_from_epoch == 2
    train(cfg, seed=5, publish="whole.ckpt")
    assert (project / "continued.ckpt").read_bytes() == (project / "whole.ckpt").read_bytes()
