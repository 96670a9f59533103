"""What cannot be trained is refused in one sentence, before the first step wherever it can be known."""

import numpy as np
import pytest

from britekit.errors import BriteKitError, ConfigError, TrainingError
from britekit.training.loop import TrainingLoop
from britekit.training.trainer import train

from .conftest import make_pickle


def refused(cfg, **more):
    with pytest.raises(BriteKitError) as caught:
        train(cfg, seed=1, **more)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture(autouse=True)
def no_step(monkeypatch, request):
    """Unless a test is about steps, none may happen."""
    if "steps" in request.keywords or "loss" in request.node.name or "memory" in request.node.name:
        return

    def step(*args):
        raise AssertionError("a step was taken")

    monkeypatch.setattr(TrainingLoop, "_step", step)


def test_missing_pickle(project, cfg):
    cfg.train.train_pickle = "data/none.pkl"
    assert "train.train_pickle: data/none.pkl does not exist" in refused(cfg)


def test_pickle_of_another_size(project, cfg):
    cfg.audio.spec_width = 96
    assert "32 × 64, the settings say 32 × 96" in refused(cfg)


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("model_type", "effnet.99", "1 to 11"),
        ("model_type", "efnet.1", 'did you mean "effnet"'),
        ("head_type", "basicc", 'did you mean "basic"'),
        ("optimizer", "radamm", 'did you mean "radam"'),
        ("optimizer", "bnbadam", '"bnbadam" cannot be used ('),
        ("load_ckpt_path", "none.ckpt", "does not exist"),
    ],
)
def test_unknown_names(project, cfg, field, value, said):
    try:
        setattr(cfg.train, field, value)
    except ConfigError as error:  # names of models and heads are checked at once
        assert field in ("model_type", "head_type") and said in str(error) and "\n" not in str(error)
        return
    assert said in refused(cfg)


def test_unknown_augmentation_in_a_list_made_by_hand(project, cfg):
    cfg.train.augmentations[0].name = "ad_real_noise"
    assert 'did you mean "add_real_noise"' in refused(cfg)


@pytest.mark.parametrize("field, value", [("compile", True), ("devices", 2)])
def test_second_derivatives_where_there_are_none(project, cfg, field, value):
    cfg.train.optimizer = "adahessian"
    setattr(cfg.train, field, value)
    assert "needs train.compile false and train.devices 1" in refused(cfg)


def test_class_lists_that_differ(project, cfg):
    make_pickle(project / "data/test.pkl", classes=("Noise", "Low", "Hihg"))
    cfg.train.test_pickle = "data/test.pkl"
    assert 'other classes ("High" is in one of them only)' in refused(cfg)
    make_pickle(project / "data/test.pkl", classes=("Noise", "High", "Low"))
    assert "another order" in refused(cfg)


def test_one_spectrogram(project, cfg):
    make_pickle(project / "data/training.pkl", count=1)
    assert "training needs at least two" in refused(cfg)


def test_one_class_with_single_labels(project, cfg):
    make_pickle(project / "data/training.pkl", classes=("Only",))
    cfg.train.multi_label = False
    assert "two are needed" in refused(cfg)


def test_more_folds_than_groups(project, cfg):
    cfg.train.num_folds = 25
    assert "too few for train.num_folds 25" in refused(cfg)


def test_a_batch_of_one(project, cfg):
    cfg.train.batch_size = 1
    assert "train.batch_size is 1" in refused(cfg)


def test_a_checkpoint_from_another_class_list_gives_its_backbone_without_loss_of_the_run(project, cfg, caplog):
    cfg.train.num_epochs = 1
    train(cfg, seed=1, publish="a.ckpt")
    make_pickle(project / "data/training.pkl", classes=("Noise", "Low", "Higher"))
    cfg.train.load_ckpt_path = "a.ckpt"
    train(cfg, seed=1)
    assert "the backbone is kept, the head is new (other classes)" in caplog.text


def test_a_network_that_cannot_be_compiled_is_said_in_a_sentence(project, cfg, monkeypatch):
    import torch

    def broken(graph, inputs):
        raise RuntimeError("no C++ compiler found\nsecond line")

    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **more: compile_with(network, backend=broken))
    cfg.train.compile = True
    from britekit.training import run_on_device
    from britekit.training.ranks import ProcessGroup

    with pytest.raises(TrainingError) as caught, run_on_device.explained(None, cfg, 8, torch.channels_last):
        layer = torch.nn.Linear(2, 2)
        optimizer = torch.optim.SGD(layer.parameters())
        network = run_on_device.as_run(layer, optimizer, cfg, 8, torch.channels_last, ProcessGroup())
        network(torch.zeros(1, 2))
    assert "train.compile: the network could not be compiled" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_batch_that_would_fit_follows_from_two_measured_steps():
    from britekit.training.batch_size_hint import _measured, fitting_batch_size, out_of_memory

    # 100 fixed and 7 for each spectrogram: (1000 - 100) / 7 = 128.57.
    assert fitting_batch_size(2, 114, 6, 142, 1000) == 128
    assert _measured(lambda size: 100 + 7 * size, 1000) == 128
    assert "about 40 would fit" in out_of_memory(64, 45, measured=True)
    assert "not even one fits" in out_of_memory(64, 0, measured=True)
    assert "about 56 would fit" in out_of_memory(64, 900, measured=True)


def test_a_prefix_that_leads_elsewhere(project, cfg):
    assert '--prefix "../first"' in refused(cfg, prefix="../first")


def test_folds_cannot_publish(project, cfg):
    cfg.train.num_folds = 2
    assert "train.num_folds is 2" in refused(cfg, publish="a.ckpt")


def test_a_checkpoint_of_another_backbone(project, cfg, monkeypatch):
    from britekit.annotations.classes import ClassInfo
    from britekit.config import to_dict
    from britekit.models.checkpoint import hyper_parameters, save_checkpoint
    from britekit.models.recognizer import build_recognizer

    cfg.train.model_type = "effnet.1"
    network = build_recognizer(cfg.train, cfg.audio, 3)
    classes = [ClassInfo(n) for n in ("Noise", "Low", "High")]
    hyper = hyper_parameters(network.blueprint, classes, 1, True)
    save_checkpoint("a.ckpt", network, hyper, to_dict(cfg), epoch=0)
    cfg.train.model_type, cfg.train.load_ckpt_path = "timm.test_efficientnet", "a.ckpt"
    assert "holds effnet.1" in refused(cfg)


def test_a_loss_that_is_no_number_stops_with_step_and_cause(project, cfg):
    cfg.train.learning_rate, cfg.train.optimizer, cfg.train.num_epochs = 1e30, "sgd", 3
    text = refused(cfg)
    assert "training stopped at step" in text and "learning rate" in text


@pytest.mark.parametrize("held_out", [0.0, 0.25])
def test_a_last_step_that_spoils_the_network_publishes_nothing_whatever_the_loss(project, cfg, held_out, monkeypatch):
    cfg.train.learning_rate, cfg.train.optimizer, cfg.train.num_epochs = 1e30, "sgd", 1
    cfg.train.warmup_fraction, cfg.train.min_steps, cfg.train.val_portion = 0.0, 1, held_out
    step = TrainingLoop._step

    def spoil(loop, *args):
        step(loop, *args)
        if not held_out:  # weights of 1e28 overflow when they are used; where they are not, nothing tells
            next(loop.batch_loss.parameters()).data.fill_(np.nan)

    monkeypatch.setattr(TrainingLoop, "_step", spoil)
    text = refused(cfg, publish="a.ckpt")
    assert text.startswith("training stopped at step 1 (epoch 1): ") and "learning rate" in text
    assert not (project / "a.ckpt").exists()


def test_out_of_memory_names_the_batch_size(project, cfg, monkeypatch):
    import torch

    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TrainingLoop, "_step", full)
    text = refused(cfg)
    assert "ran out of memory with 16 spectrograms per step" in text and "try 8" in text


def test_classes_with_few_or_no_spectrograms_are_named_and_trained_without_loss_of_the_run(project, cfg, caplog):
    labels = [0, 1] * 10 + [2]
    make_pickle(project / "data/training.pkl", count=21, classes=("Noise", "Low", "One", "None"), labels=labels)
    cfg.train.num_epochs = 1
    assert np.isfinite(train(cfg, seed=1).loss)
    assert "only one training spectrogram of: One" in caplog.text
    assert "no training spectrograms of: None" in caplog.text


def test_one_class_without_noise_trains_with_warnings_without_loss_of_the_run(project, cfg, caplog):
    make_pickle(project / "data/training.pkl", count=9, classes=("Only",))
    cfg.train.num_epochs = 1
    assert np.isfinite(train(cfg, seed=1).loss)
    assert "simple merge is off" in caplog.text and "add_real_noise is off" in caplog.text


def test_blank_spectrograms_and_odd_sizes_train_without_loss_of_the_run(project, cfg, caplog, monkeypatch):
    from britekit.datasets import training_set

    make_pickle(project / "data/training.pkl", count=17, size=(33, 50))
    read = training_set.read_training_set

    def blank(*args, **kwargs):
        samples = read(*args, **kwargs)
        samples.images[:] = 0
        return samples

    monkeypatch.setattr(training_set, "read_training_set", blank)
    cfg.audio.spec_height, cfg.audio.spec_width, cfg.train.num_epochs = 33, 50, 1
    cfg.train.batch_size = 16  # the 17th joins the first batch
    assert np.isfinite(train(cfg, seed=1).loss)
    assert "17 of 17 training spectrograms are all zero" in caplog.text


def test_errors_are_of_the_family():
    assert issubclass(TrainingError, BriteKitError)
