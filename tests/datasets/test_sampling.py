"""How often samples are drawn, by counting."""

import numpy as np
import pytest
import torch

from britekit.datasets.sampling import draw_order, sample_shares

LABELS = np.array([[1, 0]] * 16 + [[0, 1]] * 4 + [[1, 1]] + [[0, 0]], np.uint8)


def test_rare_classes_are_drawn_by_the_square_root_of_their_rarity():
    shares = sample_shares(LABELS, np.arange(22), "class")
    assert shares.mean() == pytest.approx(1)
    # 17 and 5 samples hold the classes; one with both counts as the rarer.
    assert shares[16] / shares[0] == pytest.approx((17 / 5) ** 0.5)
    assert shares[20] == shares[16]
    assert shares[21] == pytest.approx(shares[:21].mean())


def test_recordings_are_drawn_alike():
    recordings = np.array([7] * 10 + [8] * 2 + list(range(100, 110)))
    shares = sample_shares(LABELS, recordings, "recording")
    sums = [shares[recordings == number].sum() for number in np.unique(recordings)]
    np.testing.assert_allclose(sums, sums[0])
    both = sample_shares(LABELS, recordings, "both")
    product = shares * sample_shares(LABELS, recordings, "class")
    np.testing.assert_allclose(both, product / product.mean())


def test_an_epoch_draws_each_sample_its_share_rounded_either_way():
    shares = torch.from_numpy(sample_shares(LABELS, np.arange(22), "class"))
    generator, counts = torch.Generator().manual_seed(0), []
    for _ in range(1000):
        order = draw_order(shares, generator)
        assert len(order) == 22
        counts.append(torch.bincount(order, minlength=22))
    counts = torch.stack(counts)
    assert (counts >= shares.floor()).all() and (counts <= shares.ceil()).all()
    np.testing.assert_allclose(counts.double().mean(0), shares, atol=0.07)  # four standard errors
    # In random order: a sample comes first as often as it comes at all.
    firsts = torch.bincount(torch.stack([draw_order(shares, generator)[0] for _ in range(2000)]), minlength=22)
    np.testing.assert_allclose(firsts[:16].sum() / 2000, shares[:16].sum() / 22, atol=0.05)


def test_equal_shares_draw_each_sample_once():
    order = draw_order(torch.ones(50, dtype=torch.float64), torch.Generator().manual_seed(1))
    assert sorted(order.tolist()) == list(range(50))
