"""Training with windows of unlabeled recordings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.database.spectrograms import encode
from britekit.datasets.extra_targets import ExtraTargets
from britekit.datasets.pseudo_labels import PseudoLabels, write_pseudo_labels
from britekit.datasets.window_targets import WindowTargets
from britekit.errors import InputError, TrainingError
from britekit.models.checkpoint import read_archive
from britekit.models.recognizer import frame_count
from britekit.training.trainer import train
from tests.training.conftest import HEIGHT, WIDTH

NAMES = ("Noise", "Low", "High")
FILE = "data/pseudo.npz"


def write_windows(count=30, names=NAMES, height=HEIGHT, low=0.02, high=0.9, frames=None):
    """Write windows in which the sound of a class is seen elsewhere than in the labeled spectrograms."""
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
            np.arange(count) * 5.0, np.full(count, 0.5, np.float32), labels, frames, {"audio": {}, "teachers": []},
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
    assert student.folds[0].epochs[0]["spectrograms"] == 96  # as many windows as labeled ones
    assert np.isfinite(student.loss)
    assert weights(student) != weights(plain)
    assert weights(train(cfg, seed=1, publish="again.ckpt")) == weights(student)


def test_soft_labels_move_scores_towards_them(project, cfg):
    """Of two students, the one whose windows say more of a class scores it higher there."""
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


def test_frames_of_windows_are_targets_of_frames_and_move_with_mixup():
    first, frames = 4, np.random.default_rng(0).uniform(0, 1, (3, 2, 5)).astype(np.float16)
    targets = WindowTargets(5, first=first, windows=frames)
    index, labels = torch.tensor([0, 5]), torch.tensor([[1.0, 0.0], [0.3, 0.4]])
    extras = targets.gather(index, labels)
    assert extras.frames[0].tolist() == [[1.0] * 5, [0.0] * 5]  # a labeled segment: the same in every frame
    assert np.allclose(extras.frames[1].numpy(), frames[1])
    assert extras.framed.tolist() == [0.0, 1.0] and extras.teacher is None
    extras.mixup(torch.tensor([0]), targets.gather(torch.tensor([6]), labels[1:]), torch.tensor([0.25]))
    expected = 0.25 * np.array([[1.0] * 5, [0.0] * 5]) + 0.75 * frames[2].astype(np.float64)
    assert np.allclose(extras.frames[0].numpy(), expected, atol=1e-6)


def test_frames_of_merged_sounds_are_noise_where_both_are():
    frames = np.random.default_rng(0).uniform(0, 1, (3, 2, 5)).astype(np.float16)
    targets = WindowTargets(5, first=4, windows=frames)
    labels = torch.tensor([[0.3, 0.4]])
    extras, others = (targets.gather(torch.tensor([row]), labels) for row in (4, 6))
    extras.merge(torch.tensor([0]), others, 1)
    expected = np.stack([np.maximum(frames[0, 0], frames[2, 0]), np.minimum(frames[0, 1], frames[2, 1])])
    assert np.allclose(extras.frames[0].numpy(), expected)


def test_targets_of_teachers_stay_those_of_labeled_samples_and_windows_keep_their_labels():
    labeled = ExtraTargets(0).with_teacher(np.array([[0.8, 0.1], [0.2, 0.7]], np.float32), None)
    targets = WindowTargets(0, labeled=labeled, first=2)
    extras = targets.gather(torch.tensor([1, 3]), torch.tensor([[0.0, 1.0], [0.6, 0.5]]))
    assert np.allclose(extras.teacher.numpy(), [[0.2, 0.7], [0.6, 0.5]])
    assert extras.frames is None and extras.framed is None


def test_a_head_with_frames_learns_from_those_of_windows(project, cfg):
    cfg.train.head_type, cfg.train.pseudo_labels = "basic_sed", FILE
    count = frame_count(cfg.train.sed_fps, cfg.audio.spec_duration)
    results = []
    for value in (0.0, 1.0):
        write_windows(frames=np.full((30, 3, count), value, np.float16))
        results.append(weights(train(cfg, seed=1, publish="s.ckpt")))
    assert results[0] != results[1]
    write_windows(frames=np.zeros((30, 3, count + 1), np.float16))
    with pytest.raises(TrainingError, match=f"has {count + 1} frames per window, the head {count}"):
        train(cfg, seed=1)
