"""Training with frame labels and targets of teachers: the loss, what augmentations do to targets, and bad input."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from britekit.config import to_dict, without_defaults
from britekit.datasets.augmentations.columns import Columns
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.augmentations.registry import augmentation_names, default_params, find_augmentation
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches
from britekit.datasets.extra_targets import BatchExtras, ExtraTargets, frame_masks
from britekit.datasets.frame_labels import write_frame_labels
from britekit.datasets.mixing import MixSettings
from britekit.datasets.teacher_targets import TeacherTargets, read_teacher_targets, write_teacher_targets
from britekit.datasets.training_set import read_training_set
from britekit.errors import BriteKitError
from britekit.files import sha256_of
from britekit.models.checkpoint import hyper_parameters, load_checkpoint, read_archive, save_checkpoint
from britekit.models.recognizer import build_recognizer
from britekit.training.extras import read_extras
from britekit.training.find_lr import find_learning_rate
from britekit.training.losses import LossSettings, compute_loss
from britekit.training.taught_loss import TeachingSettings, taught_loss
from britekit.training.teachers import score_with_teachers
from britekit.training.trainer import train

FRAMES = 20


def entropy(logit, target):
    """Binary cross-entropy by hand."""
    p = 1 / (1 + math.exp(-logit))
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


@pytest.mark.parametrize("degree", [1.0, 3.0])
def test_loss_is_the_formula_cell_by_cell(degree):
    rng = np.random.default_rng(1)
    z, zf = rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 4))
    y, t = rng.integers(0, 2, (3, 2)).astype(float), rng.uniform(0.05, 0.95, (3, 2))
    yf, tf = rng.integers(0, 2, (3, 2, 4)).astype(float), rng.uniform(0.05, 0.95, (3, 2, 4))
    known, weights, framed = rng.integers(0, 2, (3, 2)).astype(float), np.array([1.5, 0.5]), np.array([1, 0, 1])
    positive, negative, w, d = 0.08, 0.01, 0.3, 0.4

    def soft(q):
        return 1 / (1 + math.exp(-math.log(q / (1 - q)) / degree))

    def cell(logit, label, teacher, b, c):
        hard = known[b, c] * entropy(logit, label * (1 - positive) + (1 - label) * negative)
        share = d if framed[b] else 1.0
        return weights[c] * ((1 - share) * hard + share * degree**2 * entropy(logit / degree, soft(teacher)))

    places = [(b, c) for b in range(3) for c in range(2)]
    segment = np.mean([cell(z[b, c], y[b, c], t[b, c], b, c) for b, c in places])
    frame = np.mean([cell(zf[b, c, k], yf[b, c, k], tf[b, c, k], b, c) for b, c in places for k in range(4)])
    tensor = lambda x: torch.tensor(x, dtype=torch.float64)  # noqa: E731
    extras = BatchExtras(tensor(yf), tensor(framed), tensor(t), tensor(tf))
    found = taught_loss(
        tensor(z), tensor(zf), tensor(y), torch.zeros(3), extras,
        LossSettings(True, positive, negative, w), TeachingSettings(d, degree, True), tensor(weights), tensor(known),
    )  # fmt: skip
    assert float(found) == pytest.approx((1 - w) * segment + w * frame, rel=1e-5)


def test_softmax_teachers_by_hand():
    z, y, q = np.array([[0.3, -1.0, 2.0]]), np.array([[0.0, 0.0, 1.0]]), np.array([[0.2, 0.1, 0.7]])
    degree, share = 2.0, 0.25

    def log_softmax(x):
        return x - np.log(np.exp(x).sum())

    soft = np.exp(log_softmax(np.log(q[0]) / degree))
    wanted = (1 - share) * -log_softmax(z[0])[2] - share * degree**2 * (soft * log_softmax(z[0] / degree)).sum()
    tensor = lambda x: torch.tensor(x, dtype=torch.float64)  # noqa: E731
    extras = BatchExtras(teacher=tensor(q))
    settings, teaching = LossSettings(multi_label=False), TeachingSettings(share, degree)
    found = taught_loss(tensor(z), None, tensor(y), torch.zeros(1), extras, settings, teaching)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_without_teachers_and_frame_labels_it_is_the_usual_loss():
    generator = torch.Generator().manual_seed(0)
    z, frames = torch.randn(5, 3, generator=generator), torch.randn(5, 3, 7, generator=generator)
    y, known = torch.randint(0, 2, (2, 5, 3), generator=generator).float()
    settings = LossSettings(True, 0.08, 0.01, 0.4, 0.01)
    usual = compute_loss(z, frames, y, torch.zeros(5), settings, torch.tensor([1.0, 2.0, 0.5]), known)
    extras = BatchExtras()
    ours = taught_loss(
        z, frames, y, torch.zeros(5), extras, settings, TeachingSettings(), torch.tensor([1.0, 2.0, 0.5]), known
    )
    assert float(ours) == pytest.approx(float(usual), rel=1e-6)


@pytest.mark.parametrize("name", augmentation_names())
def test_frames_follow_each_augmentation(name):
    """Each column holds its own number as brightness; where the numbers went, the frames must have gone."""
    width, count = 200, 40
    images = (torch.arange(width) + 20.0)[None, None, :].repeat(count, 24, 1) / width
    columns = Columns(count, width)
    draws = Draws(count, torch.Generator().manual_seed(3), noise_images=lambda n: torch.zeros(n, 24, width),
                  columns=columns)  # fmt: skip
    changed = find_augmentation(name)(images.clone(), draws, **default_params(name))
    moved_there = torch.where(columns.kept_BW, columns.source_BW + 20.0, torch.zeros(()))
    middle = changed.median(1).values * width
    if name in ("flip_horizontal", "shift_horizontal", "stretch", "time_mask"):
        # Between two columns a stretched image holds their mean, and at its ends it fades.
        assert ((middle - moved_there).abs() < 0.51).float().mean() > 0.99
    else:
        assert torch.equal(columns.source_BW, torch.arange(width).expand(count, width)) and columns.kept_BW.all()
        assert torch.corrcoef(torch.stack([middle.mean(0), torch.arange(width)]))[0, 1] > 0.5


def test_frames_follow_two_moves_and_only_the_samples_that_moved():
    columns = Columns(2, 100)
    columns.move(torch.tensor([1]), lambda c: 99 - c)  # reversed,
    columns.move(torch.tensor([1]), lambda c: (c - 20) % 100)  # then shifted to the right by two frames of ten
    columns.blank(None, torch.arange(100).expand(2, 100) >= 50)
    targets = torch.arange(10.0).repeat(2, 1, 1)
    moved, kept = columns.frames(targets)
    assert moved[0, 0].tolist() == list(range(10))
    assert moved[1, 0].tolist() == [1, 0, 9, 8, 7, 6, 5, 4, 3, 2]
    assert kept[:, 0].tolist() == [[0.0] * 5 + [1.0] * 5] * 2


def batches_of(project, extras, mixing, chain=None):
    samples = read_training_set(project / "data/training.pkl")
    bank = Bank(samples, extras=extras)
    return samples, TrainingBatches(bank, torch.arange(len(bank)), 16, 5, chain, mixing)


@pytest.mark.parametrize("mixing", [MixSettings(1.0), MixSettings(0.0, 1.0), MixSettings(0.0, 0.0, 1.0)])
def test_targets_are_mixed_as_the_images_are(project, mixing):
    """Teachers that repeat the labels must be mixed like the labels."""
    samples = read_training_set(project / "data/training.pkl")
    labels = samples.labels.astype(np.float32)
    extras = ExtraTargets(4).with_teacher(labels, labels[:, :, None].repeat(4, 2).astype(np.float16))
    _, batches = batches_of(project, extras, mixing)
    batches.begin_epoch(0)
    batch = batches.make(torch.arange(16))
    assert batch.merged.all()
    torch.testing.assert_close(batch.extras.teacher, batch.targets)
    # A pasted box changes only the frames that it covers, by its height; over all frames that is its area.
    torch.testing.assert_close(batch.extras.teacher_frames.mean(2), batch.targets, atol=1e-3, rtol=0)
    if mixing.prob_cutmix:
        assert (batch.extras.teacher_frames.std(2) > 0.01).any()


def test_frame_labels_are_resampled_and_hold_for_the_classes_of_a_sample():
    labels = {7: np.array([1, 0, 0, 1], np.float32), 9: {"B": np.array([0, 1, 0, 0], np.float32)}, 3: np.ones(4)}
    given = np.array([[1, 1], [0, 1], [1, 0]])
    masks = frame_masks(labels, np.array([7, 9, 11]), given, ["A", "B"], 8)
    targets = torch.tensor(given, dtype=torch.float32)
    extras = ExtraTargets(8, masks).gather(torch.tensor([2, 0, 1]), targets[[2, 0, 1]])
    assert extras.framed.tolist() == [0, 1, 1]
    assert extras.frames[0].tolist() == [[1] * 8, [0] * 8]
    assert extras.frames[1].tolist() == [[1, 1, 0, 0, 0, 0, 1, 1]] * 2
    assert extras.frames[2].tolist() == [[0] * 8, [0, 0, 1, 1, 0, 0, 0, 0]]


@pytest.fixture
def taught(project, cfg):
    """Settings with the targets of two teachers that never learned anything."""
    cfg.train.head_type, cfg.train.prob_simple_merge = "basic_sed", 0.3
    classes = read_training_set("data/training.pkl").classes
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        teacher = build_recognizer(cfg.train, cfg.audio, 3)
        hyper = hyper_parameters(teacher.blueprint, classes, 48, True)
        save_checkpoint(project / f"teachers/{name}.ckpt", teacher, hyper, to_dict(cfg), epoch=0, published=True)
    teachers = sorted((project / "teachers").glob("*.ckpt"))
    write_teacher_targets("targets.pkl", score_with_teachers("data/training.pkl", teachers, cfg, 7))
    return cfg


def scores_of(path, images):
    """Scores of a network of few steps, whose running statistics of batch norm are still far off."""
    network = load_checkpoint(path).recognizer.train()
    with torch.no_grad():
        return [None if x is None else torch.sigmoid(x).numpy() for x in network(images)]


def test_targets_are_the_mean_of_the_teachers_scores(taught, project):
    targets = read_teacher_targets("targets.pkl")
    samples = read_training_set("data/training.pkl")
    images = torch.from_numpy(samples.images).float()[:, None] / 255
    found, frames = [], []
    for path in sorted((project / "teachers").glob("*.ckpt")):
        with torch.no_grad():
            logits, frame_logits = load_checkpoint(path).recognizer(images)
        found.append(torch.sigmoid(logits).numpy())
        frames.append(torch.sigmoid(frame_logits).numpy())
    np.testing.assert_allclose(targets.probabilities, np.mean(found, axis=0), atol=1e-6)
    np.testing.assert_allclose(targets.frames.astype(float), np.mean(frames, axis=0), atol=1e-3)
    assert targets.source_sha256 == sha256_of("data/training.pkl") and len(targets.checkpoints) == 2
    assert pickle.loads((project / "targets.pkl").read_bytes())["format_version"] == 2


def test_a_student_takes_over_what_only_the_teachers_say(taught, project):
    """Teachers that contradict the labels: with share 1 their probabilities are learned, with 0 the labels."""
    targets = read_teacher_targets("targets.pkl")
    samples = read_training_set("data/training.pkl")
    wrong = np.roll(samples.labels, 1, axis=1).astype(np.float32)
    write_teacher_targets("targets.pkl", replace(targets, probabilities=wrong, frames=None))
    cfg, images = taught, torch.from_numpy(samples.images).float()[:, None] / 255
    cfg.train.head_type, cfg.train.num_epochs, cfg.train.augment = None, 5, False
    cfg.train.teacher_targets_pickle = "targets.pkl"
    right = {}
    for share in (0.0, 1.0):
        cfg.train.distillation_weight = share
        train(cfg, seed=3, publish="student.ckpt")
        best = scores_of("student.ckpt", images)[0].argmax(1)
        right[share] = (samples.labels[np.arange(48), best].mean(), wrong[np.arange(48), best].mean())
    assert right[0.0][0] > 0.8 > 0.2 > right[0.0][1]
    assert right[1.0][1] > 0.8 > 0.2 > right[1.0][0]


def test_frame_labels_show_where_a_sound_is(project, cfg):
    """The bar of the class High lies in the left or right half; that of other classes is not labeled."""
    cfg.train.head_type, cfg.train.num_epochs, cfg.train.augment = "basic_sed", 6, False
    cfg.train.frame_loss_weight = 1.0
    samples = read_training_set(project / "data/training.pkl")
    images = torch.from_numpy(samples.images).float()[2::3, None] / 255
    middle = (samples.images[2::3].max(1) == 250).argmax(1) + 10
    left = (np.arange(FRAMES) < FRAMES // 2).astype(np.float32)
    masks = np.where((middle < 32)[:, None], left, 1 - left)
    write_frame_labels("frames.pkl", {n: {"HIGH": mask} for n, mask in zip(range(2, 48, 3), masks, strict=True)})
    gap = {}
    for path in (None, "frames.pkl"):
        cfg.train.frame_label_pickle = path
        train(cfg, seed=3, publish="student.ckpt")
        frames = scores_of("student.ckpt", images)[1][:, 2]
        gap[path] = float((frames * masks).mean() - (frames * (1 - masks)).mean())
    assert gap["frames.pkl"] > gap[None] + 0.05


def test_together_and_with_mixing_a_run_ends_with_finite_figures(taught):
    cfg = taught
    mask = np.repeat(np.array([0, 1, 0, 0], np.float32), FRAMES // 4)
    write_frame_labels("frames.pkl", {n: {"HIGH": mask} for n in range(2, 48, 3)})
    cfg.train.teacher_targets_pickle, cfg.train.frame_label_pickle = "targets.pkl", "frames.pkl"
    cfg.train.teacher_only_if_no_frame, cfg.train.val_portion, cfg.train.prob_mixup = True, 0.3, 0.3
    assert find_learning_rate(cfg, 12).suggestion > 0
    result = train(cfg, seed=1)
    assert np.isfinite(result.loss) and np.isfinite(result.folds[0].final["val_loss"])


def test_new_settings_that_are_off_are_not_in_the_checkpoint(project, cfg):
    train(cfg, seed=1, publish="off.ckpt")
    stored = read_archive("off.ckpt")[0]["training_cfg"]["train"]
    assert "distillation_weight" in to_dict(cfg)["train"]
    assert not {name for name in stored if "distillation" in name or "frame_label" in name or "teacher" in name}
    cfg.train.distillation_weight = 0.25
    assert without_defaults(to_dict(cfg))["train"]["distillation_weight"] == 0.25


def changed(**values):
    return lambda targets: replace(targets, **{k: v(targets) for k, v in values.items()})


BAD_TARGETS = {
    "other classes": (changed(class_codes=lambda t: ["NOIS", "LOW", "DEEP"]), "DEEP"),
    "another order": (changed(class_codes=lambda t: ["NOIS", "HIGH", "LOW"]), "another order"),
    "another pickle": (changed(source_sha256=lambda t: "0" * 64), "another training file"),
    "NaN": (changed(probabilities=lambda t: np.full_like(t.probabilities, np.nan)), "row 0"),
    "above 1": (changed(frames=lambda t: t.frames + np.float16(1)), "frame_probabilities"),
    "segments missing": (changed(segment_ids=lambda t: t.segment_ids + 1), "lacks segments"),
    "rows missing": (changed(probabilities=lambda t: t.probabilities[1:]), "expected 48 × 3"),
    "frames of another head": (changed(frames=lambda t: t.frames[:, :, :13]), "13 frames"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets_are_refused_before_the_first_step(taught, case):
    change, words = BAD_TARGETS[case]
    write_teacher_targets("bad.pkl", change(read_teacher_targets("targets.pkl")))
    taught.train.teacher_targets_pickle = "bad.pkl"
    with pytest.raises(BriteKitError, match=words):
        read_extras(read_training_set("data/training.pkl"), taught)


def test_a_cut_or_strange_file_is_refused(taught, project):
    whole = (project / "targets.pkl").read_bytes()
    path = project / "cut.pkl"
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(BriteKitError):
            read_teacher_targets(path)
    content = pickle.loads(whole)
    for what in (
        {**content, "format_version": 1},
        {**content, "source": print},
        [1],
        {**content, "class_codes": "ABC"},
    ):
        path.write_bytes(pickle.dumps(what))
        with pytest.raises(BriteKitError):
            read_teacher_targets(path)


def test_teachers_that_do_not_fit_are_refused(taught, project):
    """Another class list, other audio settings, a file without IDs."""
    cfg = taught
    with pytest.raises(BriteKitError, match="max_freq"):
        other = to_dict(cfg)
        from britekit.config import from_dict

        other["audio"]["max_freq"] = 7000
        score_with_teachers("data/training.pkl", [project / "teachers/a.ckpt"], from_dict(other))
    content = pickle.loads((project / "data/training.pkl").read_bytes())
    for key, value, words in (
        ("class_codes", ["NOIS", "LOW", "DEEP"], "other classes"),
        ("spec_segment_ids", None, "no IDs"),
        ("audio", {"max_freq": 9000}, "max_freq"),
    ):
        (project / "other.pkl").write_bytes(pickle.dumps({**content, key: value}))
        with pytest.raises(BriteKitError, match=words):
            score_with_teachers("other.pkl", [project / "teachers/a.ckpt"], cfg)
    assert isinstance(score_with_teachers("data/training.pkl", [project / "teachers/a.ckpt"], cfg), TeacherTargets)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({0: [1, 0], 1: [1, 0, 1]}, "same number"),
        ({0: [0.5, 1]}, "neither 0 nor 1"),
        ({}, "no frame labels"),
        ({"a": [1]}, "by segment"),
        ({900: [1, 0]}, "none of the segments"),
        ({0: 3}, "vector"),
    ],
)
def test_bad_frame_labels_are_refused(project, cfg, labels, words):
    (project / "frames.pkl").write_bytes(pickle.dumps(labels))
    cfg.train.head_type, cfg.train.frame_label_pickle = "basic_sed", "frames.pkl"
    with pytest.raises(BriteKitError, match=words):
        read_extras(read_training_set("data/training.pkl"), cfg)


def test_frame_labels_need_a_head_with_frames(project, cfg):
    write_frame_labels("frames.pkl", {0: {"LOW": np.ones(FRAMES, np.float32)}})
    cfg.train.frame_label_pickle = "frames.pkl"
    with pytest.raises(BriteKitError, match="head_type"):
        read_extras(read_training_set("data/training.pkl"), cfg)
