"""Training with files in which part of the labels is unknown."""

import pickle
import zlib

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from britekit.training.find_lr import find_learning_rate
from britekit.training.held_out import ranking_figures
from britekit.training.trainer import train
from tests.training.conftest import make_pickle


def judged_pickle(path, rejected=12):
    """Add spectrograms of the class High that are known not to be Low, of which no more is known."""
    make_pickle(path)
    content = pickle.loads(path.read_bytes())
    rng = np.random.default_rng(3)
    count = len(content["spec_values"])
    for number in range(rejected):
        image = rng.integers(0, 60, (32, 64)).astype(np.uint8)
        content["spec_values"].append(zlib.compress(image.tobytes()))
        content["spec_class_indexes"].append([])
        for key in ("spec_segment_ids", "spec_recording_ids", "spec_group_ids"):
            content[key].append(count + number)
    content["spec_known_indexes"] = [None] * count + [[1]] * rejected
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("extra", [{"prob_simple_merge": 0.5}, {"head_type": "basic_sed"}, {"use_class_weights": True}])
def test_a_run_with_unknown_labels_ends_with_figures(project, cfg, extra):
    judged_pickle(project / "data/training.pkl")
    for name, value in {"val_portion": 0.3, **extra}.items():
        setattr(cfg.train, name, value)
    result = train(cfg, seed=1)
    assert np.isfinite(result.loss) and np.isfinite(result.folds[0].final["val_loss"])
    assert result.folds[0].final["val_roc_macro"] is not None


def test_unknown_labels_change_what_is_learned(project, cfg):
    """The same images, where nothing else is said of them than that one class is absent."""
    losses = []
    for unknown in (True, False):
        judged_pickle(project / "data/training.pkl")
        if not unknown:
            content = pickle.loads((project / "data/training.pkl").read_bytes())
            content["spec_known_indexes"] = [x and [0, 1, 2] for x in content["spec_known_indexes"]]
            (project / "data/training.pkl").write_bytes(pickle.dumps(content))
        losses.append(train(cfg, seed=1).loss)
    assert losses[0] != losses[1]


def test_all_known_is_the_same_run_as_without_the_key(project, cfg):
    path = project / "data/training.pkl"
    first = train(cfg, seed=1).loss
    content = pickle.loads(path.read_bytes())
    content["spec_known_indexes"] = [None] * len(content["spec_values"])
    path.write_bytes(pickle.dumps(content))
    assert train(cfg, seed=1).loss == pytest.approx(first, rel=1e-6)


def test_classes_that_exclude_each_other_learn_nothing_from_rejections(project, cfg, caplog):
    judged_pickle(project / "data/training.pkl")
    cfg.train.multi_label = False
    assert train(cfg, seed=1).folds[0].epochs[0]["spectrograms"] == 48
    assert "12 spectrograms in which classes were only rejected are left out" in caplog.text


def test_find_lr_takes_such_a_file(project, cfg):
    judged_pickle(project / "data/training.pkl")
    assert len(find_learning_rate(cfg, 12).losses) > 2


def test_figures_count_known_cells_alone():
    rng = np.random.default_rng(0)
    truth, score = (rng.random((40, 3)) < 0.4).astype(float), rng.random((40, 3))
    known = rng.random((40, 3)) < 0.7
    figures = ranking_figures(truth, score, known)
    by_class = [(truth[known[:, c], c], score[known[:, c], c]) for c in range(3)]
    assert figures["roc_macro"] == pytest.approx(np.mean([roc_auc_score(*pair) for pair in by_class]))
    assert figures["pr_macro"] == pytest.approx(np.mean([average_precision_score(*pair) for pair in by_class]))
    assert figures["pr_micro"] == pytest.approx(average_precision_score(truth[known], score[known]))
    whole = known.all(axis=1)
    assert figures["top1"] == np.mean([truth[row, score[row].argmax()] for row in np.flatnonzero(whole)])
