"""Views and pairs: their statistics, counted over many draws."""

import numpy as np
import pytest
import torch

from britekit.config.pretrain import PretrainConfig
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.bank import Bank
from britekit.pretraining.views import STEPS_PER_EPOCH, PairBatches, WindowImages, blank, crop, make_view

COUNTS = [1, 5, 10]


def draws(count, seed=0):
    return Draws(count, torch.Generator().manual_seed(seed))


def batches(seed=4, **settings):
    images = np.random.default_rng(1).integers(1, 256, (16, 16, 32), dtype=np.uint8)
    return PairBatches(Bank(WindowImages(images)), COUNTS, PretrainConfig(**settings), seed)


def test_a_crop_of_everything_is_the_spectrogram():
    images = torch.rand(5, 16, 32)
    assert torch.allclose(crop(images, draws(5), 1.0, 1.0), images, atol=1e-5)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_crop_shows_a_random_share_of_a_random_place(dim):
    """A ramp from 0 to 1 shows which part of it was cut."""
    count, size = 4000, 64
    ramp = (torch.arange(size) + 0.5) / size
    images = ramp.reshape((-1, 1) if dim == 1 else (1, -1)).expand(size, size)[None].repeat(count, 1, 1)
    cut = crop(images, draws(count), 0.5 if dim == 2 else 1.0, 0.5 if dim == 1 else 1.0)
    line = cut[:, :, size // 2] if dim == 1 else cut[:, size // 2]
    share = (line[:, -2] - line[:, 1]) * size / (size - 3)
    middle = line[:, size // 2 - 1 : size // 2 + 1].mean(1)
    assert share.min() > 0.49 and share.max() < 1.01
    assert float(share.mean()) == pytest.approx(0.75, abs=0.01)
    assert float(share.std()) == pytest.approx(0.5 / 12**0.5, abs=0.01)  # of a uniform distribution
    assert (middle - share / 2).min() > -0.02 and (middle + share / 2).max() < 1.02
    assert float(middle.mean()) == pytest.approx(0.5, abs=0.01)
    room = (1 - share) / 2
    assert np.corrcoef(room, (middle - 0.5).abs())[0, 1] > 0.5  # a smaller box moves farther


def test_blanks_are_bands_of_the_wanted_sizes():
    kept = blank(torch.ones(5000, 20, 40), draws(5000), 0.4, 1)
    rows = kept[:, :, 0]
    assert torch.equal(kept, rows[:, :, None].expand_as(kept))
    widths = (rows == 0).sum(1)
    assert widths.max() <= 8 and float(widths.float().mean()) == pytest.approx(4.0, abs=0.1)
    assert ((rows[:, 1:] != rows[:, :-1]).sum(1) <= 2).all()  # one band
    # Widths 0 to 8 (the ends half as likely), each at any place where it fits.
    chances = {width: (1 if width in (0, 8) else 2) / 16 / (21 - width) for width in range(9)}
    covered = sum(
        chance for width, chance in chances.items() for start in range(21 - width) if start <= 10 < start + width
    )
    assert float((rows[:, 10] == 0).float().mean()) == pytest.approx(covered, abs=0.02)


def test_views_are_spectrograms_and_differ():
    images = torch.rand(8, 16, 32)
    settings = PretrainConfig()
    first, second = make_view(images, draws(8, 1), settings), make_view(images, draws(8, 2), settings)
    assert first.shape == images.shape and first.min() >= 0 and torch.equal(first.amax((1, 2)), torch.ones(8))
    assert not torch.allclose(first, second)
    off = PretrainConfig(min_crop_time=1, min_crop_freq=1, max_background=0, max_power_change=0, max_blank=0)
    top = images.amax((1, 2), keepdim=True)
    assert torch.allclose(make_view(images, draws(8), off), images / top, atol=1e-5)


def test_a_background_is_another_window_of_the_batch():
    images = torch.eye(6).reshape(6, 1, 6).repeat(1, 4, 1) + 1e-3  # a column of its own for each
    settings = PretrainConfig(min_crop_time=1, min_crop_freq=1, max_background=0.4, max_power_change=0, max_blank=0)
    seen = make_view(images, draws(6), settings)[:, 0]
    others = seen - torch.diag(seen.diagonal())
    assert (others.gt(0.01).sum(1) <= 1).all() and others.max() < 0.41 and others.max() > 0.1


def test_every_window_comes_once_per_pass_in_a_new_order():
    made = batches(batch_size=5)
    found = [index.tolist() for epoch in range(2) for index in made.indices(epoch)]
    assert len(found) == 2 * STEPS_PER_EPOCH and all(len(index) == 5 for index in found)
    passes = [sum(found[start : start + 3], []) for start in range(0, len(found) - 2, 3)]
    assert all(len(set(windows)) == 15 for windows in passes)
    assert len({tuple(windows) for windows in passes}) == len(passes)
    assert {number for windows in passes for number in windows} == set(range(16))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_partners_are_of_the_same_recording(share):
    made = batches(prob_same_recording=share)
    made.begin_epoch(0)
    index = torch.arange(16).repeat(1000)
    partners = made.partners(index).reshape(-1, 16).numpy()
    owner = np.repeat([0, 1, 2], COUNTS)
    assert (owner[partners] == owner).all()
    # Any window of a recording of n: with the share, 1 / n of them are the window itself.
    same = (partners == np.arange(16)).mean(0)
    assert same == pytest.approx(1 - share + share / np.array(COUNTS)[owner], abs=0.06)
    if share:
        assert (np.ptp(partners[:, 6:], axis=0) == 9).all()


def test_an_epoch_draws_the_same_numbers_again():
    first, again, other = batches(), batches(), batches(seed=5)
    for made in (first, again, other):
        made.begin_epoch(3)
    index = next(iter(first.indices(3)))
    views = first.make(index)
    assert views.shape == (32, 16, 32)
    assert torch.equal(views, again.make(index)) and not torch.equal(views, other.make(index))
