"""The suggestion on curves whose steepest point is known, the search on data, and what is refused."""

import numpy as np
import pytest
import torch

from britekit.cli import main
from britekit.datasets.batches import TrainingBatches
from britekit.errors import BriteKitError, TrainingError
from britekit.training.find_lr import find_learning_rate, smooth_curve, steepest_descent
from tests.training.conftest import make_pickle


@pytest.mark.parametrize("center", [1e-4, 1e-2])
def test_steepest_point_of_a_logistic_curve(center):
    """1 - sigmoid falls fastest at its center, smoothed or not; the rise after it is no descent."""
    rates = np.geomspace(1e-7, 10, 200)
    decades = np.log10(rates / center)
    losses = 0.7 - 0.5 / (1 + np.exp(-4 * decades)) + 5 * np.clip(decades - 1.5, 0, None) ** 2
    noisy = losses + np.random.default_rng(0).normal(0, 0.004, len(losses))
    for curve in (losses, smooth_curve(rates, losses), smooth_curve(rates, noisy)):
        assert steepest_descent(rates, curve) == pytest.approx(center, rel=0.3)


def test_smoothing_keeps_level_and_slope():
    rates = np.geomspace(1e-7, 10, 100)
    assert np.allclose(smooth_curve(rates, np.full(100, 0.3)), 0.3)
    straight = 2 - 0.1 * np.log10(rates)
    assert np.allclose(smooth_curve(rates, straight)[15:-15], straight[15:-15], atol=1e-3)


def test_a_loss_that_only_rises():
    rates = np.geomspace(1e-7, 10, 50)
    with pytest.raises(TrainingError, match="falls at no learning rate"):
        steepest_descent(rates, np.linspace(1, 2, 50))


def test_a_loss_that_falls_fastest_where_nothing_is_learned():
    rates = np.geomspace(1e-7, 10, 5)
    with pytest.raises(TrainingError, match="the lowest learning rate, 1e-07, which is random"):
        steepest_descent(rates, np.array([1.5, 1.0, 0.9, 0.8, 2.0]))


def test_rates_are_geometric_and_the_run_repeats(project, cfg):
    cfg.train.model_type = "dla.1"
    first = find_learning_rate(cfg, 30)
    expected = 1e-7 * (1e8) ** (np.arange(30) / 29)
    np.testing.assert_allclose(first.rates, expected[: len(first.rates)], rtol=1e-9)
    assert 1e-6 < first.suggestion < 1
    assert first.suggestion in first.rates
    second = find_learning_rate(cfg, 30)
    assert second.suggestion == first.suggestion
    np.testing.assert_allclose(second.losses, first.losses, rtol=1e-4)


def test_the_command_prints_the_rate_and_draws(project, capsys):
    (project / "c.yaml").write_text(
        "audio: {spec_height: 32, spec_width: 64}\n"
        "train: {model_type: dla.1, head_type: basic_sed, hidden_channels: 16}\nmisc: {force_cpu: true}\n"
    )
    assert main(["find-lr", "-c", "c.yaml", "-n", "25"]) == 0
    line = capsys.readouterr().out.strip()
    name, _, value = line.partition(" = ")
    assert name == "learning_rate" and len(value.partition(".")[2]) == 6
    assert 1e-4 < float(value) < 0.1
    assert (project / "learning_rates.jpeg").read_bytes()[:2] == b"\xff\xd8"
    left = sorted(path.name for path in project.iterdir())
    assert left == ["c.yaml", "data", "learning_rates.jpeg"], "no log folder, no checkpoint"


def test_an_unknown_model_is_refused_when_it_is_named(project, cfg):
    with pytest.raises(BriteKitError, match='did you mean "effnet"'):
        cfg.train.model_type = "efnet.1"


@pytest.mark.parametrize("case", ["few", "missing", "size"])
def test_one_sentence(project, cfg, case):
    number, said = 12, ""
    if case == "few":
        number, said = 5, "5 batches are too few"
    elif case == "missing":
        (project / "data" / "training.pkl").unlink()
        said = "train.train_pickle"
    elif case == "size":
        make_pickle(project / "data" / "training.pkl", size=(16, 64))
        said = "audio.spec_height"
    with pytest.raises(BriteKitError) as caught:
        find_learning_rate(cfg, number)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_out_of_memory_is_one_sentence_too(project, cfg, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TrainingBatches, "make", full)
    with pytest.raises(BriteKitError, match="ran out of memory with 16 spectrograms per step"):
        find_learning_rate(cfg, 12)
