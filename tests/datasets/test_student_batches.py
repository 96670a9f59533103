"""Batches of labeled spectrograms and windows with soft labels: what is drawn, how often, and how it is mixed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches
from britekit.datasets.mixing import MixSettings
from britekit.datasets.student_batches import StudentBatches, check_classes
from britekit.errors import InputError

LABELED, WINDOWS = 40, 5
SOFT = np.array([[0.9, 0.1], [0.2, 0.3], [0.5, 0.5], [0.0, 0.7], [0.01, 0.02]], np.float32)
CONFIDENCE = np.array([0.4, 0.1, 0.2, 0.25, 0.05], np.float32)


def bank(weight=1.0, known=None):
    """Each image holds the number of its sample, in all pixels; windows follow at 100."""
    images = np.repeat(np.arange(LABELED, dtype=np.uint8), 24).reshape(-1, 4, 6)
    labels = np.tile(np.eye(2, dtype=np.uint8), (LABELED // 2, 1))
    windows = np.repeat(np.arange(100, 100 + WINDOWS, dtype=np.uint8), 24).reshape(-1, 4, 6)
    samples = SimpleNamespace(images=images, labels=labels, known=known)
    return Bank(samples, "cpu", SimpleNamespace(images=windows, probabilities=SOFT), weight)


def batches(share=0.5, size=16, mixing=None, noise_class=None, **more):
    return StudentBatches(
        bank(**more), torch.arange(LABELED), size, 1, None, mixing, noise_class, True, confidence=CONFIDENCE,
        share=share,
    )  # fmt: skip


@pytest.mark.parametrize(("share", "labeled", "windows"), [(0.5, 8, 8), (0.25, 12, 4), (0.75, 4, 12)])
def test_each_batch_has_its_share_of_windows(share, labeled, windows):
    made = batches(share)
    assert made.batch_size == labeled + windows
    parts = list(made.indices(0))
    full = parts[0]
    assert (full < LABELED).sum() == labeled and (full >= LABELED).sum() == windows
    seen = torch.cat(parts)
    assert sorted(seen[seen < LABELED].tolist()) == list(range(LABELED))  # once per epoch
    assert len(seen) == made.spectrograms


def test_windows_are_drawn_by_confidence():
    made = batches(0.75)
    drawn = torch.cat([part for epoch in range(200) for part in made.indices(epoch)])
    counts = torch.bincount(drawn[drawn >= LABELED] - LABELED, minlength=WINDOWS).numpy()
    expected = CONFIDENCE * counts.sum()
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


def test_an_epoch_is_drawn_from_seed_and_number_alone():
    first, again = batches(), batches()
    list(again.indices(0))
    assert torch.equal(torch.cat(list(first.indices(3))), torch.cat(list(again.indices(3))))
    assert not torch.equal(torch.cat(list(first.indices(3))), torch.cat(list(first.indices(4))))


def test_mixup_is_between_both_kinds_with_the_weighted_mean_of_image_and_label():
    made = batches(mixing=MixSettings(prob_mixup=1.0, alpha=1.0))
    index = next(iter(made.indices(0)))
    plans = []
    plan = made.mixer.plan

    def remember(*arguments):
        plans.append(plan(*arguments))
        return plans[-1]

    made.mixer.plan = remember
    made.begin_epoch(0)
    batch = made.make(index)
    partner, share = plans[0].partner.numpy(), plans[0].share.numpy().astype(np.float64)
    assert ((index.numpy() < LABELED) != (partner < LABELED)).all()
    values = np.concatenate([np.arange(LABELED), 100 + np.arange(WINDOWS)]) / 255.0
    labels = np.concatenate([np.tile(np.eye(2), (LABELED // 2, 1)), SOFT])
    own = index.numpy()
    expected = share * values[own] + (1 - share) * values[partner]
    assert np.allclose(batch.images[:, 0, 2, 3].numpy(), expected, atol=1e-6)
    expected = share[:, None] * labels[own] + (1 - share)[:, None] * labels[partner]
    assert np.allclose(batch.targets.numpy(), expected, atol=1e-6)
    assert batch.known is None


def test_merge_is_between_both_kinds_and_noise_is_what_both_lack():
    made = batches(mixing=MixSettings(prob_merge=1.0), noise_class=1)
    index = next(iter(made.indices(0)))
    plans = []
    plan = made.mixer.plan

    def remember(*arguments):
        plans.append(plan(*arguments))
        return plans[-1]

    made.mixer.plan = remember
    made.begin_epoch(0)
    batch = made.make(index)
    own, partner = index.numpy(), plans[0].partner.numpy()
    assert ((own < LABELED) != (partner < LABELED)).all() and batch.merged.all()
    values = np.concatenate([np.arange(LABELED), 100 + np.arange(WINDOWS)]) / 255.0
    labels = np.concatenate([np.tile(np.eye(2), (LABELED // 2, 1)), SOFT])
    assert np.allclose(batch.images[:, 0, 2, 3].numpy(), values[own] + values[partner], atol=1e-6)
    calls = np.maximum(labels[own, 0], labels[partner, 0])
    noise = np.minimum(labels[own, 1], labels[partner, 1])
    assert np.allclose(batch.targets.numpy(), np.stack([calls, noise], 1), atol=1e-6)


def test_the_weight_counts_for_windows_alone():
    made = batches(weight=0.25)
    batch = made.make(torch.tensor([0, LABELED]))
    assert batch.known.tolist() == [[1.0, 1.0], [0.25, 0.25]]
    known = np.ones((LABELED, 2), np.uint8)
    known[0, 1] = 0
    batch = batches(weight=1.0, known=known).make(torch.tensor([0, 1, LABELED]))
    assert batch.known.tolist() == [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]


def test_without_windows_nothing_is_drawn_otherwise():
    samples = SimpleNamespace(images=bank().images[:LABELED].numpy(), labels=bank().labels[:LABELED].numpy() > 0)
    samples.labels = samples.labels.astype(np.uint8)
    mixing = MixSettings(0.3, 0.3, 0.3, 0.4)
    plain = TrainingBatches(Bank(samples), torch.arange(LABELED), 8, 1, mixing=mixing)
    plain.begin_epoch(2)
    made = plain.make(torch.arange(8))
    # As before windows existed: the partner is the second draw of the epoch's generator.
    from britekit.datasets.batches import derived_seed

    generator = torch.Generator().manual_seed(derived_seed(1, 2, 2))
    chance = torch.rand(8, generator=generator)
    partner = torch.randint(LABELED, (8,), generator=generator)
    cut = ((chance >= 0.6) & (chance < 0.9)).nonzero().squeeze(1)
    assert len(cut)
    for row in cut.tolist():
        inside = set(np.unique(np.rint(made.images[row].numpy() * 255)).astype(int).tolist())
        assert inside <= {row, int(partner[row])}


def test_other_classes_are_named():
    check_classes("p.npz", ["A", "B"], ["A", "B"], "t.pkl")
    with pytest.raises(InputError, match='p.npz has other classes ."B" is in one of them only'):
        check_classes("p.npz", ["A", "C"], ["A", "B"], "t.pkl")
    with pytest.raises(InputError, match="the same classes in another order"):
        check_classes("p.npz", ["B", "A"], ["A", "B"], "t.pkl")
