"""Training as a whole: learning, repeating, folds, log folder, checkpoints, published bytes."""

import dataclasses
import logging
import warnings

import lightning_utilities.core.rank_zero as rank_zero
import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from britekit.annotations.classes import ClassInfo
from britekit.config import to_dict
from britekit.errors import TrainingError
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, read_archive, save_checkpoint
from britekit.training.configured import make_recognizer
from britekit.training.find_lr import find_learning_rate
from britekit.training.held_out import ranking_figures
from britekit.training.loop import quiet_lightning
from britekit.training.schedule import default_epochs
from britekit.training.trainer import train

from .conftest import make_pickle


def test_a_network_learns_to_tell_the_classes_apart(project, cfg):
    make_pickle(project / "data/training.pkl", count=120)
    cfg.train.num_epochs, cfg.train.val_portion, cfg.train.min_steps = 12, 0.2, 10
    cfg.train.learning_rate = 0.005
    result = train(cfg, seed=1)
    assert result.epochs[-1]["val_roc"] > 0.9
    assert result.epochs[-1]["loss"] < result.epochs[0]["loss"]


def test_equal_seeds_publish_equal_bytes_and_other_seeds_do_not(project, cfg):
    cfg.train.drop_rate = 0.2  # dropout draws from the global generator
    for entry in cfg.train.augmentations:
        entry.prob = 0.5
    torch.manual_seed(1)
    train(cfg, seed=3, publish="a.ckpt")
    torch.manual_seed(2)
    train(cfg, seed=3, publish="b.ckpt")
    train(cfg, seed=4, publish="c.ckpt")
    a, b, c = ((project / f"{n}.ckpt").read_bytes() for n in "abc")
    assert a == b
    assert a != c


def test_few_spectrograms_per_recording_are_used_and_judged(project, cfg):
    import pickle

    path = project / "data/training.pkl"
    content = pickle.loads(path.read_bytes())
    for key in ("spec_recording_ids", "spec_group_ids"):
        content[key] = [i // 8 for i in range(48)]  # six recordings of eight spectrograms
    path.write_bytes(pickle.dumps(content))
    cfg.train.num_epochs, cfg.train.val_portion = 1, 0.34
    whole = train(cfg, seed=1).epochs[-1]
    cfg.train.max_per_recording, cfg.train.val_max_per_recording = 3, 2
    found = train(cfg, seed=1).epochs[-1]
    assert whole["spectrograms"] == 32 and found["spectrograms"] == 4 * 3
    assert found["val_loss"] != whole["val_loss"]
    path.write_bytes(pickle.dumps({key: value for key, value in content.items() if key != "spec_recording_ids"}))
    with pytest.raises(TrainingError, match="max_per_recording needs"):
        train(cfg, seed=1)


def test_the_callers_random_state_is_left_alone(project, cfg):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(cfg, seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_log_folder(project, cfg):
    cfg.train.num_epochs, cfg.train.save_last_n, cfg.train.val_portion = 4, 2, 0.25
    result = train(cfg, seed=1, prefix="try")
    folder = project / "logs/version_0"
    names = sorted(p.name for p in (folder / "checkpoints").iterdir())
    assert names == ["try-v0-e2.ckpt", "try-v0-e3.ckpt"]
    assert [p.name for p in result.checkpoints] == names
    for name in ("backbone.txt", "head.txt", "hparams.yaml", "config.yaml"):
        assert (folder / name).stat().st_size > 0
    from britekit.config import resolve

    again = resolve(str(folder / "config.yaml"))
    assert again.train.seed == 1 and again.train.num_epochs == 4
    assert yaml.safe_load((folder / "hparams.yaml").read_text())["train_class_names"] == ["Noise", "Low", "High"]
    content, _ = read_archive(folder / "checkpoints/try-v0-e2.ckpt")
    assert content["training_cfg"]["train"]["num_epochs"] == 3 and content["epoch"] == 2
    assert "optimizer_states" in content
    load_checkpoint(folder / "checkpoints/try-v0-e3.ckpt")
    assert train(cfg, seed=1).checkpoints[0].parts[1] == "version_1"


def test_a_databases_password_stays_out_of_checkpoints_and_logs(project, cfg):
    cfg.train.train_db, cfg.train.num_epochs = "postgresql://me:hunter2@host/birds", 1
    train(cfg, seed=1, publish="a.ckpt")
    content, _ = read_archive("a.ckpt")
    assert content["training_cfg"]["train"]["train_db"] == "postgresql://me:***@host/birds"
    written = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]


def test_tensorboard_events(project, cfg):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make_pickle(project / "data/test.pkl", count=12, seed=4)
    cfg.train.val_portion, cfg.train.test_pickle = 0.25, "data/test.pkl"
    cfg.train.warmup_fraction = 0.0
    result = train(cfg, seed=1)
    events = EventAccumulator(str(next((project / "logs/version_0").glob("seed-1-*"))))
    events.Reload()
    assert {"lr", "loss", "val_loss", "val_roc", "epoch", "test_loss", "test_roc_auc"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("loss")) == result.epochs[-1]["step"]
    assert events.Scalars("lr")[0].value == pytest.approx(cfg.train.learning_rate)
    assert 0 <= result.folds[0].test["test_roc_auc"] <= 1


def test_callbacks_get_plain_figures(project, cfg):
    steps, epochs = [], []
    result = train(cfg, seed=1, on_step=steps.append, on_epoch=epochs.append)
    assert [s["step"] for s in steps] == list(range(result.epochs[-1]["step"]))
    assert [e["epoch"] for e in epochs] == [0, 1]
    first = [s["loss"] for s in steps if s["epoch"] == 0]
    assert epochs[0]["loss"] == pytest.approx(np.mean(first), rel=1e-5)  # 48 samples in batches of 16
    assert all(isinstance(v, int | float | None) for row in steps + epochs for v in row.values())


def test_folds(project, cfg):
    cfg.train.num_folds, cfg.train.num_epochs = 3, 1
    result = train(cfg, seed=1)
    assert [f.fold for f in result.folds] == [0, 1, 2]
    assert sorted(p.parent.parent.parent.name for p in result.checkpoints) == ["fold-0", "fold-1", "fold-2"]
    assert all("val_roc" in f.epochs[-1] for f in result.folds)
    assert sum(e["spectrograms"] for f in result.folds for e in f.epochs) == 2 * 48


@pytest.mark.parametrize("head", [None, "basic", "basic_sed", "scalable_sed", "temporal_sed", "effnet", "hgnet"])
def test_every_head_trains(project, cfg, head):
    cfg.train.head_type, cfg.train.num_epochs = head, 1
    assert np.isfinite(train(cfg, seed=1).loss)


def test_an_optimizer_that_differentiates_gradients_trains(project, cfg):
    cfg.train.optimizer, cfg.train.num_epochs = "adahessian", 1
    assert np.isfinite(train(cfg, seed=1).loss)
    assert np.isfinite(find_learning_rate(cfg, 10).losses).all()


def test_single_label_training_with_mixup(project, cfg):
    cfg.train.multi_label, cfg.train.prob_simple_merge, cfg.train.prob_mixup = False, 0.0, 0.7
    cfg.train.use_class_weights, cfg.train.prob_cutmix = True, 0.2
    cfg.train.val_portion = 0.25
    result = train(cfg, seed=1, publish="a.ckpt")
    assert np.isfinite(result.loss) and 0 <= result.epochs[-1]["val_top1"] <= 1
    assert load_checkpoint("a.ckpt").multi_label is False


def test_mixed_precision_and_compile_free_paths(project, cfg):
    cfg.train.mixed_precision, cfg.train.num_epochs = True, 1
    assert np.isfinite(train(cfg, seed=1).loss)


def test_lightning_says_nothing():
    with quiet_lightning():
        assert not rank_zero.log.isEnabledFor(logging.INFO)


def test_what_a_device_cannot_repeat_is_told(recwarn):
    with quiet_lightning():
        warnings.warn("advice of Lightning", stacklevel=1)
        warnings.warn("bincount does not have a deterministic implementation", stacklevel=1)
    assert ["bincount" in str(warning.message) for warning in recwarn] == [True]


def test_starting_from_a_checkpoint(project, cfg, caplog):
    first = train(cfg, seed=1, publish="first.ckpt")
    assert first.published.is_file()
    cfg.train.load_ckpt_path, cfg.train.freeze_backbone, cfg.train.num_epochs = "first.ckpt", True, 1
    cfg.train.head_type = "basic"
    make_pickle(project / "data/training.pkl", classes=("Noise", "Low", "High", "More"))
    train(cfg, seed=2, publish="second.ckpt")
    assert "the head is new" in caplog.text
    ours, theirs = load_checkpoint("first.ckpt"), load_checkpoint("second.ckpt")
    assert len(theirs.classes) == 4
    old, new = ours.recognizer.backbone.state_dict(), theirs.recognizer.backbone.state_dict()
    kept = [n for n in new if n in old and old[n].shape == new[n].shape and not n.startswith("model.classifier")]
    assert kept and all(torch.equal(old[n], new[n]) for n in kept)


@pytest.mark.parametrize("stored", [None, "pcen"])
@pytest.mark.parametrize("names", [("A", "B"), ("A", "C")], ids=["same classes", "other classes"])
def test_the_front_is_that_of_the_checkpoint_to_start_from(tmp_path, cfg, caplog, stored, names):
    first, second = ([ClassInfo(name, name, "", "") for name in listed] for listed in (("A", "B"), names))
    cfg.train.front = stored
    source = make_recognizer(cfg, first)
    if stored:
        source.front.gain.data += 0.5
    hyper = hyper_parameters(source.blueprint, first, 8, True)
    save_checkpoint(tmp_path / "first.ckpt", source, hyper, to_dict(cfg), epoch=0)
    cfg.train.load_ckpt_path = str(tmp_path / "first.ckpt")
    for wanted in (None, "pcen"):
        caplog.clear()
        cfg.train.front = wanted
        front = make_recognizer(cfg, second).front
        assert (front is None) == (stored is None)
        assert front is None or torch.equal(front.gain, source.front.gain)
        assert (f"train.front {wanted} is not used: training starts from" in caplog.text) == (wanted != stored)


def test_example_batch_is_what_the_network_sees(project, cfg):
    result = train(cfg, seed=1)
    assert result.example.shape == (16, 32, 64)
    assert result.example.min() >= 0 and result.example.max() <= 1


def test_ranking_figures_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = (rng.random((80, 4)) < 0.3).astype(float)
    truth[:, 3] = 0
    score = rng.random((80, 4)).round(1)
    figures = ranking_figures(truth, score)
    assert figures["roc_micro"] == pytest.approx(roc_auc_score(truth.ravel(), score.ravel()))
    assert figures["pr_micro"] == pytest.approx(average_precision_score(truth.ravel(), score.ravel()))
    assert figures["roc_macro"] == pytest.approx(np.mean([roc_auc_score(truth[:, c], score[:, c]) for c in range(3)]))
    nothing = ranking_figures(np.zeros((5, 2)), rng.random((5, 2)))
    assert nothing["roc_micro"] is None and nothing["pr_macro"] is None


def test_result_has_plain_metrics(project, cfg):
    result = train(cfg, seed=9)
    assert result.seed == 9 and result.num_spectrograms == 48
    assert result.seconds > 0 and result.spectrograms_per_second > 0
    assert result.device.startswith("cpu")
    assert dataclasses.is_dataclass(result)


def test_a_small_set_is_trained_for_2500_steps_unless_told_otherwise():
    # By hand: ceil(2500 / 17) = 148; at 250 steps per epoch and more the ten epochs of before are enough.
    assert [default_epochs(steps) for steps in (1, 17, 249, 250, 251, 9000)] == [2500, 148, 11, 10, 10, 10]


def test_null_epochs_are_counted_and_announced(project, cfg, caplog, monkeypatch):
    make_pickle(project / "data/training.pkl", count=6)
    cfg.train.num_epochs, cfg.train.batch_size = None, 2
    monkeypatch.setattr("britekit.training.schedule._ENOUGH_STEPS", 40)
    with caplog.at_level(logging.INFO):
        result = train(cfg, seed=1)
    # 6 spectrograms in batches of 2 are 3 steps; 14 epochs are the first that make 40.
    assert (len(result.epochs), result.epochs[-1]["step"]) == (14, 42)
    assert "train: 14 epochs of 3 steps (42 in all), about" in caplog.text
    assert result.epochs[-1]["lr"] < 0.01 * cfg.train.learning_rate, "the schedule ends with the last epoch"
    assert yaml.safe_load((result.folds[0].log_folder / "config.yaml").read_text())["train"]["num_epochs"] == 14
    assert cfg.train.num_epochs is None
    cfg.train.num_epochs = 2
    assert len(train(cfg, seed=1).epochs) == 2


def test_runs_of_tensorboard_carry_seed_and_experiment(project, cfg, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-owl")
    cfg.train.num_epochs = 1
    train(cfg, seed=7)
    (events,) = (project / "logs/version_0").rglob("events.out.*")
    assert events.parent.name == "seed-7-brave-owl"
