"""Index draws, batch bounds, merge, mixup and cutmix."""

import dataclasses
import logging

import numpy as np
import pytest
import torch

from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.augmentations.registry import Chain, Fade, Step
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches, batch_bounds, batch_size_for, derived_seed, plain_batches
from britekit.datasets.mixing import Mixer, MixSettings, PartnerPicker, cutmix_boxes, mixed_knowledge


@dataclasses.dataclass
class Samples:
    images: np.ndarray
    labels: np.ndarray


def coded(label_rows, height=4, width=6):
    """Image i is filled with the byte i, so that a batch shows what it was made of."""
    labels = np.array(label_rows, dtype=np.uint8)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((1, height, width), np.uint8)
    return Bank(Samples(images, labels))


def byte(value):
    return (value * 255).round().long()


def test_bytes_become_numbers_from_0_to_1():
    bank = Bank(Samples(np.array([[[0, 255]], [[51, 102]]], dtype=np.uint8), np.ones((2, 1), np.uint8)))
    assert bank.gather(torch.tensor([1, 0])).flatten().tolist() == pytest.approx([0.2, 0.4, 0.0, 1.0])


def test_the_array_is_not_copied_on_a_cpu():
    images = np.zeros((3, 2, 2), np.uint8)
    bank = Bank(Samples(images, np.ones((3, 1), np.uint8)))
    images[1] = 255
    assert bank.gather(torch.tensor([1])).min() == 1.0


@pytest.mark.parametrize(
    "count, size, expected",
    [
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (9, 4, [(0, 4), (4, 9)]),  # never a batch of one
        (8, 4, [(0, 4), (4, 8)]),
        (3, 4, [(0, 3)]),
        (5, 4, [(0, 5)]),
    ],
)
def test_no_sample_is_dropped_and_none_is_alone(count, size, expected):
    assert batch_bounds(count, size) == expected


@pytest.mark.parametrize(
    "count, size, steps, expected", [(320, 64, 20, 16), (10000, 64, 20, 64), (40, 64, 20, 8), (320, 4, 20, 4)]
)
def test_few_spectrograms_shrink_the_batch(count, size, steps, expected):
    assert batch_size_for(count, size, steps) == expected


def test_an_epoch_sees_each_training_sample_once_and_epochs_differ():
    bank = coded([[1, 0]] * 23)
    members = torch.arange(2, 21)
    batches = TrainingBatches(bank, members, 8, seed=1)
    first = torch.cat(list(batches.indices(0)))
    second = torch.cat(list(batches.indices(1)))
    assert sorted(first.tolist()) == sorted(second.tolist()) == members.tolist()
    assert first.tolist() != second.tolist()
    assert torch.equal(first, torch.cat(list(TrainingBatches(bank, members, 8, seed=1).indices(0))))
    assert len(batches) == 3
    plain = TrainingBatches(bank, members, 8, seed=1, shuffle=False)
    assert torch.cat(list(plain.indices(5))).tolist() == members.tolist()


def test_seeds_that_are_near_give_unrelated_numbers():
    seeds = {derived_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_without_mixing_and_augmentation_nothing_changes():
    bank = coded([[1, 0], [0, 1], [1, 1]])
    batch = TrainingBatches(bank, torch.arange(3), 3, seed=0).make(torch.tensor([2, 0]))
    assert batch.images.shape == (2, 1, 4, 6)
    assert byte(batch.images[:, 0, 0, 0]).tolist() == [2, 0]
    assert batch.targets.tolist() == [[1, 1], [1, 0]]
    assert batch.merged.tolist() == [0, 0]


def test_partners_are_uniform_over_what_shares_no_class_and_is_no_noise():
    labels = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    members = torch.tensor([0, 1, 2, 3, 4, 5])
    picker = PartnerPicker(labels, members, noise_class=3)
    generator = torch.Generator().manual_seed(0)
    partner, exists = picker.pick(torch.zeros(6000, dtype=torch.long), generator)
    assert exists.all()
    counts = torch.bincount(partner, minlength=6)
    assert counts[[0, 1, 5]].tolist() == [0, 0, 0]  # itself, one that shares a class, noise
    assert all(abs(c - 2000) < 4 * (6000 * 2 / 9) ** 0.5 for c in counts[[2, 3, 4]].tolist())
    _, exists = picker.pick(torch.tensor([5, 1]), generator)
    assert exists.tolist() == [False, True]  # noise is never merged; 1 may take 3 or 4
    few = PartnerPicker(labels, torch.tensor([0, 1, 3]), noise_class=3)
    partner, _ = few.pick(torch.zeros(100, dtype=torch.long), generator)
    assert set(partner.tolist()) == {3}  # only members take part


def test_merge_adds_spectrograms_and_labels():
    bank = coded([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    batches = TrainingBatches(bank, torch.arange(3), 3, seed=0, mixing=MixSettings(prob_merge=1.0), noise_class=2)
    batches.begin_epoch(0)
    batch = batches.make(torch.tensor([0, 1, 2]))
    assert byte(batch.images[:, 0, 0, 0]).tolist() == [1, 1, 2]  # 0 + 1, 1 + 0, noise alone
    assert batch.targets.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert batch.merged.tolist() == [1, 1, 0]


def test_merge_happens_with_its_probability():
    bank = coded([[1, 0], [0, 1]] * 50)
    batches = TrainingBatches(bank, torch.arange(100), 100, seed=0, mixing=MixSettings(prob_merge=0.32))
    batches.begin_epoch(0)
    merged = torch.cat([batches.make(torch.arange(100)).merged for _ in range(50)])
    assert merged.mean().item() == pytest.approx(0.32, abs=0.03)


def test_merging_one_class_is_off_with_one_warning(caplog):
    bank = coded([[1], [1], [1]])
    with caplog.at_level(logging.WARNING):
        batches = TrainingBatches(bank, torch.arange(3), 3, seed=0, mixing=MixSettings(prob_merge=1.0))
    assert [r.message for r in caplog.records] == [m for m in caplog.messages if "simple merge is off" in m]
    assert len(caplog.records) == 1
    batches.begin_epoch(0)
    assert batches.make(torch.arange(3)).merged.sum() == 0


def test_mixup_is_the_weighted_mean_of_image_and_label():
    bank = coded([[1, 0], [0, 1]])
    batches = TrainingBatches(bank, torch.arange(2), 2, seed=0, mixing=MixSettings(prob_mixup=1.0, alpha=1.0))
    batches.begin_epoch(0)
    batch = batches.make(torch.zeros(4000, dtype=torch.long))
    # Sample 0 is black: the image's level is the partner's share, and so is the partner's label.
    share = batch.images[:, 0, 0, 0] * 255
    assert torch.allclose(share, batch.targets[:, 1], atol=1e-5)
    assert torch.allclose(batch.targets.sum(1), torch.ones(4000), atol=1e-6)
    mixed = share[share > 0]  # half of the partners are sample 0 itself
    assert len(mixed) / 4000 == pytest.approx(0.5, abs=0.04)
    assert mixed.mean().item() == pytest.approx(0.5, abs=0.03)  # Beta(1, 1) is uniform
    assert mixed.var().item() == pytest.approx(1 / 12, abs=0.01)


def test_cutmix_labels_are_weighted_by_the_pasted_area():
    bank = coded([[1, 0], [0, 1]], height=20, width=30)
    batches = TrainingBatches(bank, torch.arange(2), 2, seed=0, mixing=MixSettings(prob_cutmix=1.0, alpha=1.0))
    batches.begin_epoch(0)
    batch = batches.make(torch.zeros(500, dtype=torch.long))
    pasted = (batch.images[:, 0] > 0).float().mean((1, 2))
    assert torch.allclose(pasted, batch.targets[:, 1], atol=1e-6)
    mixed = pasted[pasted > 0]
    assert mixed.mean().item() == pytest.approx(0.5, abs=0.06)
    for image in (batch.images[:, 0] > 0)[:50]:
        rows, columns = image.any(1), image.any(0)
        assert image.sum() == rows.sum() * columns.sum()  # a box


def test_cutmix_boxes_stay_inside_and_reach_every_edge():
    generator = torch.Generator().manual_seed(0)
    boxes = cutmix_boxes(torch.rand(5000, generator=generator), torch.rand(5000, 2, generator=generator), 12, 17)
    top, left, bottom, right = boxes.T
    assert top.min() == 0 and left.min() == 0 and bottom.max() == 12 and right.max() == 17
    assert (bottom >= top).all() and (right >= left).all()


def mixed_alone(image, label, partner_image, partner_label, plan, i):
    """One sample mixed by the definition, pixel arrays of NumPy, with the draws of row i of the plan."""
    share = float(plan.share[i])
    if plan.merge[i]:
        return image + partner_image, np.maximum(label, partner_label), 1.0
    if plan.mixup[i]:
        return (share * image + (1 - share) * partner_image, share * label + (1 - share) * partner_label, 1.0)
    if plan.cutmix[i]:
        height, width = image.shape
        side = (1 - share) ** 0.5
        rows, columns = round(side * height), round(side * width)
        top = min(int(float(plan.place[i, 0]) * (height - rows + 1)), height - rows)
        left = min(int(float(plan.place[i, 1]) * (width - columns + 1)), width - columns)
        image = image.copy()
        image[top : top + rows, left : left + columns] = partner_image[top : top + rows, left : left + columns]
        area = rows * columns / (height * width)
        return image, (1 - area) * label + area * partner_label, 1.0
    return image, label, 0.0


def test_a_mixed_batch_equals_the_one_sample_twin():
    """Merge, mixup, cutmix and none with the same draws, sample by sample; then division and fade."""
    rng = np.random.default_rng(0)
    count, height, width = 60, 13, 17
    labels = np.zeros((count, 4), np.uint8)
    labels[np.arange(count), rng.integers(0, 4, count)] = 1
    labels[rng.random(count) < 0.2, 1] = 1
    data = rng.integers(0, 256, (count, height, width)).astype(np.uint8)
    bank = Bank(Samples(data, labels))
    settings = MixSettings(prob_merge=0.4, prob_mixup=0.2, prob_cutmix=0.3, alpha=0.8)
    chain = Chain([], Fade(0.5, 0.1, 0.9))
    batches = TrainingBatches(bank, torch.arange(count), count, 3, chain, settings, noise_class=0)
    plans, draws = [], []
    plan_of, drawn = batches.mixer.plan, Draws.factors

    def plan(*arguments):
        plans.append(plan_of(*arguments))
        return plans[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches.mixer, "plan", plan)
        patch.setattr(Draws, "factors", lambda self, *a: draws.append(drawn(self, *a)) or draws[-1])
        batches.begin_epoch(0)
        batch = batches.make(torch.arange(count))
    (used,), (factors,) = plans, draws
    assert (factors == 1).any() and (factors < 1).any()
    ways = torch.stack([used.merge, used.mixup, used.cutmix]).sum(1)
    assert (ways > 5).all() and ways.sum() < count, "each way, and none, is among them"
    for i in range(count):
        other = int(used.partner[i])
        image, label, merged = mixed_alone(
            data[i] / 255, labels[i].astype(float), data[other] / 255, labels[other].astype(float), used, i
        )
        image = np.clip(image / image.max(), 0, 1) * float(factors[i])
        np.testing.assert_allclose(batch.images[i, 0].numpy(), image, atol=2e-6)
        np.testing.assert_allclose(batch.targets[i].numpy(), label, atol=1e-6)
        assert float(batch.merged[i]) == merged
        if used.merge[i]:
            assert not (labels[i] & labels[other]).any() and not labels[i, 0] and not labels[other, 0]


def test_mixing_ways_exclude_one_another():
    bank = coded([[1, 0], [0, 1]] * 10)
    settings = MixSettings(prob_merge=0.3, prob_mixup=0.3, prob_cutmix=0.4)
    batches = TrainingBatches(bank, torch.arange(20), 20, seed=0, mixing=settings)
    plan = batches.mixer.plan(torch.arange(20).repeat(200), torch.Generator().manual_seed(0))
    ways = torch.stack([plan.merge, plan.mixup, plan.cutmix]).float()
    assert ways.sum(0).max() == 1
    assert ways.mean(1).tolist() == pytest.approx([0.3, 0.3, 0.4], abs=0.04)


def test_real_noise_comes_from_training_samples_of_the_noise_class():
    bank = coded([[1, 0], [0, 1], [0, 1], [1, 0]])
    seen = []

    def watch(images, draws):
        seen.append(draws.noise_images()[:, 0, 0])
        return images

    chain = Chain([Step("add_real_noise", 1.0, watch, {})], Fade())
    batches = TrainingBatches(bank, torch.tensor([0, 2, 3]), 3, seed=0, chain=chain, noise_class=1)
    batches.begin_epoch(0)
    batches.make(torch.tensor([0, 2, 3]))
    assert byte(seen[0]).tolist() == [2, 2, 2]


def test_real_noise_without_noise_is_off_with_one_warning(caplog):
    chain = Chain([Step("add_real_noise", 1.0, lambda x, d: x / 0, {})], Fade())
    with caplog.at_level(logging.WARNING):
        batches = TrainingBatches(coded([[1], [1]]), torch.arange(2), 2, seed=0, chain=chain)
    assert len(caplog.records) == 1 and "add_real_noise is off" in caplog.text
    batches.begin_epoch(0)
    assert torch.isfinite(batches.make(torch.arange(2)).images).all()


def test_held_out_batches_are_plain():
    bank = coded([[1, 0], [0, 1], [1, 1]])
    found = list(plain_batches(bank, torch.tensor([2, 1, 0]), 2))
    assert [len(b.images) for b in found] == [2, 1]
    assert byte(found[0].images[:, 0, 0, 0]).tolist() == [2, 1]


def test_what_is_known_of_mixed_samples():
    """Every pair of cells: absent and known, heard and known, unknown."""
    cells = [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0)]
    own, other = zip(*((a, b) for a in cells for b in cells), strict=True)
    targets, known = (torch.tensor([[cell[k] for cell in own]] * 4) for k in (0, 1))
    their = [torch.tensor([[cell[k] for cell in other]] * 3) for k in (0, 1)]
    ways = [torch.tensor([0]), torch.tensor([2]), torch.tensor([3])]
    found = mixed_knowledge(torch.cat([known, their[1]]), torch.cat([targets, their[0]]), ways, 4)
    # Merged: heard in either is heard; absent only from both.
    assert found[0].tolist() == [1, 1, 0, 1, 1, 1, 0, 1, 0]
    assert found[1].tolist() == known[1].tolist()
    # Mixup and cutmix: a share of both sides, which must both be known.
    assert found[2].tolist() == found[3].tolist() == [1, 1, 0, 1, 1, 0, 0, 0, 0]


def test_batches_carry_what_is_known_through_mixing_and_augmentation():
    bank = coded([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]] * 8)
    known = np.ones((32, 3), np.uint8)
    known[3::4] = [0, 1, 0]  # a segment in which the second class was rejected
    bank.known_labels = torch.from_numpy(known)
    batches = TrainingBatches(bank, torch.arange(32), 16, 5, mixing=MixSettings(0.3, 0.3, 0.3))
    untouched = 0
    for epoch in range(3):
        batches.begin_epoch(epoch)
        for index in batches.indices(epoch):
            batch = batches.make(index)
            plain = batch.merged == 0
            assert torch.equal(batch.known[plain], bank.known(index)[plain])
            untouched += int(plain.sum())
    assert 0 < untouched < 96
    assert [batch.known.shape for batch in plain_batches(bank, torch.arange(5), 4)] == [(4, 3), (1, 3)]


def test_several_sources_are_mixed_one_after_the_other():
    """Up to five spectrograms; images, labels and what is known by hand from the plan."""
    rng = np.random.default_rng(3)
    labels = (rng.uniform(size=(30, 6)) < 0.15).astype(np.uint8)
    labels[np.arange(30), np.arange(30) % 6] = 1
    samples = Samples(rng.integers(0, 255, (30, 4, 6)).astype(np.uint8), labels)
    samples.known = np.maximum((rng.uniform(size=(30, 6)) < 0.7).astype(np.uint8), labels)
    bank = Bank(samples)
    settings = MixSettings(prob_merge=0.5, prob_mixup=0.5, alpha=0.7, sources=5)
    batches = TrainingBatches(bank, torch.arange(30), 30, seed=0, mixing=settings)
    index = torch.arange(30).repeat(3)
    plans, plan_of = [], batches.mixer.plan

    def plan(*arguments):
        plans.append(plan_of(*arguments))
        return plans[-1]

    batches.mixer.plan = plan
    batches.begin_epoch(0)
    batch = batches.make(index)
    used = plans[0]
    assert set(used.sources.tolist()) == {2, 3, 4, 5}
    stored, known = samples.images / 255.0, samples.known.astype(float)
    for row, own in enumerate(index.tolist()):
        image, target, sure = stored[own], labels[own].astype(float), known[own]
        parts = [(int(used.partner[row]), float(used.share[row]))]
        further = zip(used.others[row].tolist(), used.other_shares[row].tolist(), strict=True)
        parts += list(further)[: int(used.sources[row]) - 2]
        for other, share in parts if used.merge[row] or used.mixup[row] else []:
            if used.merge[row]:
                assert not (labels[own] & labels[other]).any()
                image, target = image + stored[other], np.maximum(target, labels[other])
                sure = np.maximum(sure * known[other], target)
            else:
                image = share * image + (1 - share) * stored[other]
                target, sure = share * target + (1 - share) * labels[other], sure * known[other]
        np.testing.assert_allclose(batch.images[row, 0].numpy(), np.clip(image, 0, 1), atol=1e-5)
        np.testing.assert_allclose(batch.targets[row].numpy(), target, atol=1e-6)
        np.testing.assert_allclose(batch.known[row].numpy(), sure, atol=1e-6)


def test_shares_of_five_are_dirichlets():
    settings = MixSettings(prob_mixup=1.0, alpha=0.8, sources=5)
    batches = TrainingBatches(coded([[1], [1]]), torch.arange(2), 2, seed=0, mixing=settings)
    plan = batches.mixer.plan(torch.zeros(20_000, dtype=torch.int64), torch.Generator().manual_seed(0))
    left = torch.cat([plan.share[:, None], plan.other_shares], 1)  # what each mixing leaves of the mixture before
    shares = [left.prod(1)] + [(1 - left[:, k]) * left[:, k + 1 :].prod(1) for k in range(4)]
    for share in shares:  # Dirichlet(0.8, ...): mean 1/5, variance (1/5)(4/5) / (5 * 0.8 + 1)
        assert share.mean().item() == pytest.approx(0.2, abs=0.006)
        assert share.var().item() == pytest.approx(0.2 * 0.8 / 5, rel=0.05)


def test_partners_are_samples_of_which_everything_is_known():
    """Mixed with a partly known one, a sample would keep what is heard in it, and lose what is known to be absent."""
    bank = coded([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]] * 8)
    known = torch.ones(32, 3)
    known[3::4] = torch.tensor([0.0, 1.0, 0.0])
    bank.known_labels = known
    for mixing in (MixSettings(1.0), MixSettings(0.0, 1.0), MixSettings(0.0, 0.0, 1.0)):
        batches = TrainingBatches(bank, torch.arange(32), 16, 5, mixing=mixing)
        batches.begin_epoch(0)
        for index in batches.indices(0):
            batch, whole = batches.make(index), known[index].all(dim=1)
            assert batch.merged.all() and batch.known[whole].all()
            if mixing.prob_merge:
                partner = byte(batch.images[:, 0, 0, 0]) - index
                assert (partner % 4 != 3).all()
                # The rejected class stays known, and what the partner holds is heard.
                wanted = torch.maximum(known[index], bank.targets(partner))
                assert torch.equal(batch.known, wanted)
    # Where nothing is wholly known, partly known ones are better than none.
    bank.known_labels = torch.zeros(32, 3)
    assert TrainingBatches(bank, torch.arange(32), 16, 5, mixing=MixSettings(1.0)).mixer.active


def test_further_sources_come_from_where_partners_do():
    """A student mixes labeled samples with windows; so do the third to fifth."""
    settings = MixSettings(prob_mixup=1.0, sources=5)
    mixer = Mixer(torch.ones(6, 1), torch.arange(3), None, settings, lambda index, generator: index + 3)
    plan = mixer.plan(torch.tensor([0, 1, 2]), torch.Generator().manual_seed(0))
    assert plan.others.tolist() == [[3, 3, 3], [4, 4, 4], [5, 5, 5]]
