"""Early stopping and the best epoch."""

import pytest

from britekit.api.trainer import Trainer
from britekit.commands.train import _metrics
from britekit.config import BaseConfig
from britekit.errors import BriteKitError
from britekit.models.checkpoint import load_checkpoint
from britekit.training import folds
from britekit.training.early_stopping import EarlyStopping
from britekit.training.trainer import train


def followed(figure, patience, values):
    watch = EarlyStopping(figure, patience)
    for epoch, value in enumerate(values):
        watch.see({"epoch": epoch, figure: value})
        if watch.exhausted:
            return watch.best_epoch, epoch
    return watch.best_epoch, None


@pytest.mark.parametrize(
    "figure, patience, values, best, stop",
    [
        ("val_loss", 2, [3, 2, 2, 2.5, 1], 1, 3),
        ("val_loss", None, [3, 2, 2, 2.5, 1], 4, None),
        ("val_roc", 1, [0.5, 0.6, 0.6, 0.9], 1, 2),
        ("val_pr_macro", 2, [None, None, 0.4], None, 1),
        ("val_pr_macro", 2, [None, 0.2, None, 0.4], 3, None),
    ],
)
def test_watch(figure, patience, values, best, stop):
    assert followed(figure, patience, values) == (best, stop)


def test_a_figure_that_is_undefined_is_told_once(caplog):
    followed("val_roc", None, [None, None])
    assert caplog.text.count("train.monitor: val_roc is undefined") == 1


@pytest.fixture
def judged(monkeypatch):
    """Held-out losses as given, whatever the network."""

    def give(values):
        left = iter(values)
        real = folds.evaluate

        def evaluate(*args):
            return {**real(*args), "loss": next(left)}

        monkeypatch.setattr(folds, "evaluate", evaluate)

    return give


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_training_stops_and_the_best_checkpoint_stays_and_is_published(project, cfg, judged, monkeypatch):
    judged([5.0, 4.0, 4.5, 4.2, 4.1, 1.0])
    cfg.train.num_epochs, cfg.train.patience, cfg.train.val_portion = 6, 3, 0.25
    cfg.train.publish_best, cfg.train.save_last_n = True, 2
    cfg.train.test_pickle = cfg.train.train_pickle
    tested = []
    monkeypatch.setattr(folds.Folds, "_test", lambda self, network, *_: tested.append(weights_of(network)))
    result = train(cfg, seed=1, publish="a.ckpt")
    fold = result.folds[0]
    assert len(result.epochs) == 5 and fold.stopped_early and fold.best == 1
    assert [p.name for p in fold.checkpoints] == ["v0-e1.ckpt", "v0-e3.ckpt", "v0-e4.ckpt"]
    assert fold.best_checkpoint == fold.checkpoints[0]
    best, last = (load_checkpoint(p).recognizer.state_dict() for p in (fold.checkpoints[0], fold.checkpoints[2]))
    published = load_checkpoint("a.ckpt").recognizer.state_dict()
    name = next(n for n in best if n.endswith("conv_stem.weight"))
    assert published[name].equal(best[name]) and not published[name].equal(last[name])
    # What is told of it is told of the same weights.
    assert tested[0][name].equal(best[name])
    assert fold.final["epoch"] == 1 and result.loss == fold.epochs[1]["loss"]
    assert _metrics(result)["val_loss"] == 4.0


def test_the_last_epoch_is_published_unless_the_best_is_asked_for(project, cfg, judged):
    judged([1.0, 2.0, 3.0])
    cfg.train.num_epochs, cfg.train.val_portion, cfg.train.keep_best, cfg.train.save_last_n = 3, 0.25, True, 1
    fold = train(cfg, seed=1, publish="a.ckpt").folds[0]
    assert [p.name for p in fold.checkpoints] == ["v0-e0.ckpt", "v0-e2.ckpt"] and not fold.stopped_early
    last = load_checkpoint(fold.checkpoints[1]).recognizer.state_dict()
    published = load_checkpoint("a.ckpt").recognizer.state_dict()
    assert all(published[name].equal(last[name]) for name in last)


def test_without_held_out_data_there_is_no_best():
    cfg = BaseConfig()
    cfg.train.patience = 3
    problems = [p for p in cfg.train.relations() if "train.patience" in p.fields]
    assert problems and "val_portion" in problems[0].text


def test_trainer_is_the_command_in_python(project, cfg):
    import britekit

    assert britekit.Trainer is Trainer
    cfg.train.num_epochs = 1
    result = Trainer(cfg=cfg).run(seed=2)
    assert result.seed == 2 and len(result.epochs) == 1
    assert 1e-7 <= Trainer(cfg=cfg).find_lr(12) <= 10
    with pytest.raises(BriteKitError):
        Trainer(cfg=cfg).find_lr(2)
