"""Masks, batches and the loss against their definitions, and where gradients go."""

import numpy as np
import pytest
import torch

from britekit.config import BaseConfig
from britekit.config.pretrain import PretrainConfig
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.bank import Bank
from britekit.models.recognizer import build_recognizer
from britekit.pretraining.masking import (
    STEPS_PER_EPOCH,
    MaskedBatches,
    MaskedLoss,
    WindowImages,
    crop,
    make_masks,
    masked_loss,
)


def batches(**settings):
    images = np.random.default_rng(1).integers(1, 256, (16, 32, 64), dtype=np.uint8)
    return MaskedBatches(Bank(WindowImages(images)), PretrainConfig(**settings))


def loss_of(model, classes=3, size=(32, 64)):
    cfg = BaseConfig()
    cfg.train.model_type, (cfg.audio.spec_height, cfg.audio.spec_width) = model, size
    return MaskedLoss(build_recognizer(cfg.train, cfg.audio, classes), size, torch.contiguous_format)


def test_the_loss_is_the_mean_of_hidden_pixels_by_hand():
    rng = np.random.default_rng(3)
    images, guess = rng.random((3, 8, 12)), 2 * rng.normal(size=(3, 8, 12))
    hidden = (rng.random((3, 8, 12)) < 0.4).astype(float)
    total, count = 0.0, 0
    for b in range(3):
        mean, spread = images[b].mean(), images[b].std(ddof=1) + 1e-3
        for place in zip(*np.nonzero(hidden[b]), strict=True):
            d = abs(guess[b][place] - (images[b][place] - mean) / spread)
            total, count = total + (d * d / 2 if d < 1 else d - 0.5), count + 1
    found = masked_loss(*(torch.from_numpy(values).float() for values in (guess, images, hidden)))
    assert float(found) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize(("size", "share"), [((32, 64), 0.6), ((32, 64), 0.25), ((40, 50), 0.5)])
def test_masks_hide_the_same_number_of_random_patches(size, share):
    settings = PretrainConfig(patch_size=8, mask_share=share)
    masks = make_masks(3000, size, settings, torch.Generator().manual_seed(1))
    rows, columns = -(-size[0] // 8), -(-size[1] // 8)
    assert masks.shape == (3000, *size) and set(masks.unique().tolist()) == {0.0, 1.0}
    corners = masks[:, ::8, ::8]
    assert torch.equal(corners.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, : size[0], : size[1]], masks)
    assert set(corners.sum((1, 2)).tolist()) == {round(share * rows * columns)}
    # Every patch as often as any other: a binomial share with a standard error below 0.0095.
    assert corners.mean(0).numpy() == pytest.approx(round(share * rows * columns) / (rows * columns), abs=0.045)


def test_a_crop_of_everything_is_the_spectrogram():
    images = torch.rand(5, 16, 32)
    draws = Draws(5, torch.Generator().manual_seed(0))
    assert torch.allclose(crop(images, draws, 1.0, 1.0), images, atol=1e-5)


def test_a_crop_shows_a_random_share_of_a_random_place():
    """A ramp from 0 to 1 shows which part of it was cut."""
    count, size = 2000, 64
    images = ((torch.arange(size) + 0.5) / size).expand(count, 4, size)
    line = crop(images, Draws(count, torch.Generator().manual_seed(0)), 0.5, 1.0)[:, 2]
    share = (line[:, -2] - line[:, 1]) * size / (size - 3)
    middle = line[:, size // 2 - 1 : size // 2 + 1].mean(1)
    assert share.min() > 0.49 and share.max() < 1.01
    assert float(share.mean()) == pytest.approx(0.75, abs=0.015)
    assert float(share.std()) == pytest.approx(0.5 / 12**0.5, abs=0.01)  # of a uniform distribution
    assert (middle - share / 2).min() > -0.02 and (middle + share / 2).max() < 1.02
    assert float(middle.mean()) == pytest.approx(0.5, abs=0.01)


def test_every_window_comes_once_per_pass_in_a_new_order():
    made = batches(batch_size=5)
    found = [index.tolist() for epoch in range(2) for index in made.indices(epoch)]
    assert len(found) == 2 * STEPS_PER_EPOCH and all(len(index) == 5 for index in found)
    passes = [sum(found[start : start + 3], []) for start in range(0, len(found) - 2, 3)]
    assert all(len(set(windows)) == 15 for windows in passes)
    assert len({tuple(windows) for windows in passes}) == len(passes)
    assert {number for windows in passes for number in windows} == set(range(16))


def test_an_epoch_draws_the_same_numbers_again():
    made = [batches(), batches(), batches(seed=5)]
    for each in made:
        each.begin_epoch(3)
    index = torch.arange(8)
    (images, hidden), (again, same), (_, other) = (each.make(index) for each in made)
    assert torch.equal(images, again) and torch.equal(hidden, same) and not torch.equal(hidden, other)


@pytest.mark.parametrize("model", ["effnet.1", "timm.test_vit", "timm.test_efficientnet"])
def test_gradients_reach_the_backbone_and_no_head(model):
    size = (160, 160) if model == "timm.test_vit" else (32, 64)
    loss = loss_of(model, size=size)
    hidden = make_masks(3, size, PretrainConfig(), torch.Generator().manual_seed(2))
    loss((torch.rand(3, *size), hidden)).backward()
    reached = {name for name, p in loss.named_parameters() if p.grad is not None and bool(p.grad.any())}
    names = [name for name, _ in loss.named_parameters() if name.startswith("recognizer.")]
    heads = {n for n in names if ".head." in n or "classifier" in n}
    inside = set(names) - heads
    assert heads and not heads & reached
    # A bias in front of a norm may get none.
    assert len(inside & reached) > 0.8 * len(inside) and "token" in reached


def test_what_is_hidden_is_not_seen_and_what_is_seen_does_not_count():
    loss = loss_of("timm.test_efficientnet").eval()
    images, hidden = torch.rand(2, 32, 64), torch.zeros(2, 32, 64)
    hidden[:, 8:24, 16:48] = 1
    other = torch.where(hidden > 0, torch.rand(2, 32, 64), images)
    seen = [loss.reconstruct(each * (1 - hidden) + loss.token * hidden) for each in (images, other)]
    assert torch.equal(seen[0], seen[1])
    guess = torch.rand(2, 32, 64, requires_grad=True)
    masked_loss(guess, images, hidden).backward()
    assert torch.equal(guess.grad != 0, hidden > 0)


def test_a_block_of_pixels_comes_from_its_cell_of_the_features():
    loss = loss_of("timm.test_efficientnet").eval()
    cells = torch.zeros(1, loss.decoder[0].in_channels, 1, 2)
    loss.recognizer.feature_map = lambda _: cells.clone()
    before = loss.reconstruct(torch.zeros(1, 32, 64))
    cells[:, :, 0, 1] = 5.0
    changed = loss.reconstruct(torch.zeros(1, 32, 64)) != before
    assert changed[:, :, 32:].all() and not changed[:, :, :32].any()
