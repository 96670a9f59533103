"""Training with windows of unlabelled recordings."""

from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.database.spectrograms import encode
from britekit.datasets.pseudo_labels import PseudoLabels, write_pseudo_labels
from britekit.errors import InputError
from britekit.models.checkpoint import read_archive
from britekit.training.trainer import train
from tests.training.conftest import HEIGHT, WIDTH

NAMES = ("Noise", "Low", "High")
FILE = "data/pseudo.npz"


def write_windows(count=30, names=NAMES, height=HEIGHT, low=0.02, high=0.9):
    """Write windows in which the sound of a class is seen elsewhere than in the labelled spectrograms."""
    rng = np.random.default_rng(4)
    labels = np.full((count, len(names)), low, np.float32)
    values = []
    for row in range(count):
        image = rng.uniform(0, 0.4, (height, WIDTH))
        image[2 + 10 * (row % 3) : 6 + 10 * (row % 3), 10:40] = 0.9
        labels[row, row % 3] = high
        values.append(encode(image))
    Path("data").mkdir(exist_ok=True)
    Path("values").write_bytes(b"".join(values))
    write_pseudo_labels(
        FILE,
        PseudoLabels(
            [ClassInfo(name, name[:4].upper()) for name in names], ["x"], np.zeros(count, np.int32),
            np.arange(count) * 5.0, np.full(count, 0.5, np.float32), labels, None, {"audio": {}, "teachers": []},
        ),
        [len(value) for value in values],
        Path("values"),
    )  # fmt: skip


def weights(result):
    return {name: value.numpy().tobytes() for name, value in read_archive(result.published)[0]["state_dict"].items()}


def test_windows_take_their_share_of_the_run_and_change_what_is_learned(project, cfg):
    plain = train(cfg, seed=1, publish="plain.ckpt")
    assert plain.folds[0].epochs[0]["spectrograms"] == 48
    write_windows()
    cfg.train.pseudo_labels, cfg.train.prob_mixup, cfg.train.prob_simple_merge = FILE, 0.5, 0.2
    student = train(cfg, seed=1, publish="student.ckpt")
    assert student.folds[0].epochs[0]["spectrograms"] == 96  # as many windows as labelled ones
    assert np.isfinite(student.loss)
    assert weights(student) != weights(plain)
    assert weights(train(cfg, seed=1, publish="again.ckpt")) == weights(student)


def test_soft_labels_move_scores_towards_them(project, cfg):
    """Of two students, the one whose windows say more of a class scores it higher there."""
    import torch

    from britekit.models.checkpoint import load_checkpoint

    cfg.train.num_epochs, cfg.train.augment = 6, False
    cfg.train.pseudo_labels, cfg.train.pseudo_share = FILE, 0.75
    scores = []
    for low, high in ((0.02, 0.9), (0.3, 0.4)):
        write_windows(low=low, high=high)
        train(cfg, seed=2, publish="s.ckpt")
        network = load_checkpoint("s.ckpt").recognizer
        from britekit.datasets.pseudo_labels import read_pseudo_labels

        images = read_pseudo_labels(FILE, (HEIGHT, WIDTH)).images
        with torch.no_grad():
            logits, _ = network(torch.from_numpy(images).float()[:, None] / 255)
        found = torch.sigmoid(logits).numpy()
        own = found[np.arange(30), np.arange(30) % 3].mean()
        scores.append(own - (found.sum() - 30 * own) / 60)
    assert scores[0] > scores[1] + 0.05


def test_without_windows_the_settings_of_students_change_no_byte(project, cfg):
    first = train(cfg, seed=1, publish="a.ckpt")
    cfg.train.pseudo_share, cfg.train.pseudo_weight = 0.3, 0.5
    assert weights(train(cfg, seed=1, publish="b.ckpt")) == weights(first)


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ({"names": ("Noise", "Low", "Mid")}, '"High" is in one of them only'),
        ({"names": ("Noise", "High", "Low")}, "the same classes in another order"),
        ({"height": 16}, "spectrogram 0 is not 32"),
        ({"high": 1.2}, "outside 0 to 1"),
    ],
)
def test_windows_that_do_not_fit_end_before_the_first_step(project, cfg, windows, reason):
    if windows.get("height"):
        windows = {**windows, "count": 3}
    write_windows(**windows)
    cfg.train.pseudo_labels = FILE
    with pytest.raises(InputError, match=reason):
        train(cfg, seed=1)
    assert not Path("logs").exists()
