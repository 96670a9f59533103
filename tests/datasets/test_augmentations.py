"""Each augmentation against a plain one-sample twin: equal with fixed draws, and in distribution."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from britekit.datasets.augmentations.bands import blur_matrix
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.augmentations.registry import (
    Chain,
    Fade,
    Step,
    augmentation_names,
    build_steps,
    default_params,
    find_augmentation,
    normalize,
)
from britekit.errors import ConfigError

H, W = 24, 40


@dataclasses.dataclass
class Entry:
    name: str
    prob: float = 1.0
    params: dict = dataclasses.field(default_factory=dict)


class Recorded(Draws):
    """Draws that remember what they gave, so that a twin can be fed the same numbers."""

    def __init__(self, count, seed=0, noise=None):
        super().__init__(count, torch.Generator().manual_seed(seed), noise_images=noise)
        self.log = []

    def _keep(self, value):
        self.log.append(value.clone())
        return value

    def uniform(self, low=0.0, high=1.0):
        return self._keep(super().uniform(low, high))

    def integers(self, low, high):
        return self._keep(super().integers(low, high))

    def factors(self, probability, low, high):
        return self._keep(super().factors(probability, low, high))

    def normal_like(self, images):
        return self._keep(super().normal_like(images))

    def beta(self, alpha):
        return self._keep(super().beta(alpha))

    def permutation(self):
        return self._keep(super().permutation())

    def noise_images(self):
        return self._keep(super().noise_images())


def images(count=6, seed=1):
    return torch.rand(count, H, W, generator=torch.Generator().manual_seed(seed))


def gaussian_blur_1d(line, sigma):
    """Plain Gaussian blur of one line, edges reflected without repeating the edge itself."""
    reach = max(1, int(4.0 * sigma + 0.5))
    weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
    padded = np.pad(line, reach, mode="reflect")
    return np.array([sum(w * padded[i + k] for k, w in enumerate(weights)) / sum(weights) for i in range(len(line))])


# A twin takes one image, the logged draws (each indexed by sample) and the sample's number.
def twin_flip(x, log, i):
    return x[:, ::-1]


def twin_shift(x, log, i):
    return np.roll(x, int(log[0][i]), axis=1)


def twin_time_mask(x, log, i):
    width, share = int(log[0][i]), float(log[1][i])
    start = min(int(share * (W - width + 1)), W - width)
    x = x.copy()
    x[:, start : start + width] = 0
    return x


def twin_freq_mask(x, log, i):
    width, share = int(log[0][i]), float(log[1][i])
    start = min(int(share * (H - width + 1)), H - width)
    x = x.copy()
    x[start : start + width] = 0
    return x


def twin_white_noise(x, log, i):
    return np.clip(x + 0.08 * log[0][i].numpy(), 0, 1)


def twin_white_noise_range(x, log, i):
    return np.clip(x + np.abs(log[0][i].numpy()) * float(log[1][i]) / 2.5, 0, 1)


def twin_speckle(x, log, i):
    return np.clip(x + x * (0.1 * log[0][i].numpy()), 0, 1)


def twin_real_noise(x, log, i):
    return x * float(log[0][i]) + log[1][i].numpy()


def twin_freq_blur(x, log, i):
    return np.apply_along_axis(gaussian_blur_1d, 0, x, 0.4)


def twin_blur(x, log, i):
    sigma = float(log[0][i])
    # The kernel's reach is that of the largest sigma; its weights are those of this image's.
    reach = max(1, int(4.0 * 1.0 + 0.5))

    def line(values):
        weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
        padded = np.pad(values, reach, mode="reflect")
        return np.convolve(padded, np.array(weights) / sum(weights), mode="valid")

    return np.apply_along_axis(line, 1, np.apply_along_axis(line, 0, x))


def twin_stretch(x, log, i):
    factor, center = 1.2 ** float(log[0][i]), float(log[1][i])
    # numpy interpolates each row; a column of zeros on either side is what lies beyond.
    places = np.arange(-1, W + 1)
    source = center + (np.arange(W) - center) / factor
    return np.array([np.interp(source, places, np.concatenate([[0], row, [0]]), left=0, right=0) for row in x])


def twin_shift_vertical(x, log, i):
    shift, out = int(log[0][i]), np.zeros_like(x)
    for row in range(H):
        if 0 <= row - shift < H:
            out[row] = x[row - shift]
    return out


def twin_equalize(x, log, i):
    gains = [float(points[i]) for points in log]
    return x * np.interp(np.linspace(0, len(gains) - 1, H), np.arange(len(gains)), gains)[:, None]


def twin_freq_mix_style(x, log, i):
    other, share = images()[int(log[0][i])].numpy(), float(log[1][i])
    out = np.empty_like(x)
    for row in range(H):
        mean = share * x[row].mean() + (1 - share) * other[row].mean()
        spread = share * x[row].std() + (1 - share) * other[row].std()
        out[row] = (x[row] - x[row].mean()) / x[row].std() * spread + mean
    return np.clip(out, 0, 1)


TWINS = [
    ("freq_mix_style", {}, twin_freq_mix_style),
    ("stretch", {}, twin_stretch),
    ("shift_vertical", {"max_rows": 6}, twin_shift_vertical),
    ("equalize", {}, twin_equalize),
    ("equalize", {"num_points": 7}, twin_equalize),
    ("flip_horizontal", {}, twin_flip),
    ("shift_horizontal", {"max_shift": 15}, twin_shift),
    ("time_mask", {"max_width2": 9}, twin_time_mask),
    ("freq_mask", {"max_width1": 7}, twin_freq_mask),
    ("add_white_noise", {}, twin_white_noise),
    ("add_white_noise", {"min_std": 0.05, "max_std": 0.2}, twin_white_noise_range),
    ("speckle", {}, twin_speckle),
    ("add_real_noise", {}, twin_real_noise),
    ("freq_blur", {}, twin_freq_blur),
    ("blur", {}, twin_blur),
]


@pytest.mark.parametrize("name, params, twin", TWINS)
def test_batch_equals_the_one_sample_twin(name, params, twin):
    batch = images()
    draws = Recorded(len(batch), noise=lambda n: images(n, seed=9))
    out = find_augmentation(name)(batch.clone(), draws, **params)
    for i, image in enumerate(batch):
        np.testing.assert_allclose(out[i].numpy(), twin(image.numpy(), draws.log, i), atol=5e-6)


def test_every_augmentation_has_a_twin():
    assert {name for name, _, _ in TWINS} == set(augmentation_names())


def test_mask_widths_and_places_are_uniform():
    count, top = 6000, 8
    draws = Draws(count, torch.Generator().manual_seed(3))
    out = find_augmentation("time_mask")(torch.ones(count, 1, W), draws, max_width2=top)[:, 0]
    widths = (out == 0).sum(1)
    seen = torch.bincount(widths, minlength=top + 1)[1:].double()
    assert seen.sum() == count and len(seen) == top
    assert (((seen - count / top) ** 2) / (count / top)).sum() < 24.3  # chi squared, 7 degrees, p = 0.001
    starts = (out == 0).double().argmax(1)[widths == 4]
    expected = len(starts) / (W - 3)
    counts = torch.bincount(starts, minlength=W - 3).double()
    assert (((counts - expected) ** 2) / expected).sum() < 68.0  # 36 degrees, p = 0.001


def test_shifts_are_uniform_and_every_sample_has_its_own():
    count, reach = 6000, 3
    one = torch.zeros(count, 1, 9)
    one[:, 0, 4] = 1
    out = find_augmentation("shift_horizontal")(one, Draws(count, torch.Generator().manual_seed(0)), max_shift=reach)
    counts = torch.bincount(out[:, 0].argmax(1), minlength=9).double()
    assert counts[0] == 0 and counts[8] == 0
    expected = count / 7
    assert (((counts[1:8] - expected) ** 2) / expected).sum() < 22.5  # 6 degrees, p = 0.001


def test_tempo_changes_by_the_configured_factor_either_way():
    """A ramp in time keeps being one, and its slope is 1 / factor; factors are even in their logarithm."""
    ramp = (torch.arange(W, dtype=torch.float32) / W).expand(4000, 3, W).clone()
    out = find_augmentation("stretch")(ramp, Draws(4000, torch.Generator().manual_seed(2)), max_stretch=0.5)
    middle = out[:, 0, W // 2] - out[:, 0, W // 2 - 1]
    factors = np.log(1.0 / (middle.numpy() * W)) / math.log(1.5)
    whole = factors[(out[:, 0, W // 2] > 0).numpy() & (np.abs(factors) < 1.01)]
    assert len(whole) > 3900
    quantiles = np.quantile(whole, [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(quantiles, [-1.0, -0.5, 0.0, 0.5, 1.0], atol=0.05)


def test_gains_lie_in_their_range_and_differ_between_samples():
    ones = torch.ones(3000, H, W)
    out = find_augmentation("equalize")(ones, Draws(3000, torch.Generator().manual_seed(3)))
    assert torch.equal(out.amax(2), out.amin(2))
    lowest = out[:, 0, 0].numpy()
    assert out.min() >= 0.7 and out.max() <= 1.3
    np.testing.assert_allclose(np.quantile(lowest, [0.25, 0.5, 0.75]), [0.85, 1.0, 1.15], atol=0.02)


def test_noise_has_the_configured_deviation():
    flat = torch.full((4, 100, 100), 0.5)
    out = find_augmentation("add_white_noise")(flat.clone(), Draws(4, torch.Generator().manual_seed(0)), std1=0.05)
    assert (out - 0.5).std().item() == pytest.approx(0.05, rel=0.02)
    out = find_augmentation("speckle")(flat.clone(), Draws(4, torch.Generator().manual_seed(0)), std2=0.1)
    assert (out - 0.5).std().item() == pytest.approx(0.05, rel=0.02)


def test_probability_chooses_samples_independently():
    count = 4000
    entry = build_steps([Entry("flip_horizontal", 0.3)], 1, 2)
    marked = torch.tensor([1.0, 0.0]).expand(count, 1, 2).clone()
    out = Chain(entry, Fade())(marked, Draws(count, torch.Generator().manual_seed(5)))
    flipped = out[:, 0, 1].mean().item()
    assert flipped == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / count))


def test_chain_divides_by_the_maximum_clips_and_fades():
    batch = torch.tensor([[[0.0, 2.0]], [[0.0, 0.5]], [[0.0, 0.0]]])
    out = Chain([], Fade())(batch.clone(), Draws(3, torch.Generator()))
    assert out[:, 0, 1].tolist() == [1.0, 1.0, 0.0]
    many = torch.ones(3000, 1, 2)
    out = Chain([], Fade(0.5, 0.1, 0.9))(many, Draws(3000, torch.Generator().manual_seed(2)))[:, 0, 0]
    faded = out[out < 1]
    assert len(faded) / 3000 == pytest.approx(0.5, abs=0.04)
    assert faded.min() >= 0.1 and faded.max() <= 0.9
    assert faded.mean().item() == pytest.approx(0.5, abs=0.02)


def test_factors_are_one_or_uniform():
    factors = Draws(20_000, torch.Generator().manual_seed(4)).factors(0.3, 0.2, 0.8)
    drawn = factors[factors != 1]
    assert len(drawn) / 20_000 == pytest.approx(0.3, abs=0.013)  # 4 standard deviations
    assert drawn.min() >= 0.2 and drawn.max() < 0.8
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.var().item() == pytest.approx(0.6**2 / 12, rel=0.05)


def test_beta_has_its_moments():
    drawn = Draws(20_000, torch.Generator().manual_seed(4)).beta(0.4)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.var().item() == pytest.approx(0.25 / (2 * 0.4 + 1), rel=0.03)


def test_styles_of_silent_rows_are_levels():
    """A row without variation has no deviations to scale; it gets the mean of its mixture."""
    batch = torch.stack([torch.zeros(2, 5), torch.full((2, 5), 0.6)])
    draws = Recorded(2, seed=3)
    out = find_augmentation("freq_mix_style")(batch.clone(), draws)
    for i in range(2):
        share, other = draws.log[1][i], batch[draws.log[0][i], 0, 0]
        np.testing.assert_allclose(out[i], float(share * batch[i, 0, 0] + (1 - share) * other), atol=1e-6)


def test_images_without_positive_values_become_zeros():
    batch = torch.stack([torch.full((2, 3), -0.5), torch.zeros(2, 3), torch.full((2, 3), 1e-30)])
    out = normalize(batch)
    assert out[:2].eq(0).all() and out[2].eq(1).all()


def test_at_most_max_augmentations_per_sample():
    """Counted by steps that each add one to a pixel of their own."""

    def add_at(column):
        def function(x, draws):
            x[:, 0, column] += 1
            return x

        return Step(f"add{column}", 0.9, function, {})

    chain = Chain([add_at(c) for c in range(4)], Fade(), max_augmentations=2)
    out = chain(torch.zeros(500, 1, 4), Draws(500, torch.Generator().manual_seed(0)))
    assert out[:, 0].sum(1).max() == 2


def test_equal_seeds_draw_equal_numbers_and_the_global_generator_is_untouched():
    entries = [Entry(name, 0.5) for name in augmentation_names() if name != "add_real_noise"]
    chain = Chain(build_steps(entries, H, W), Fade(0.5))
    before = torch.get_rng_state()
    first = chain(images(), Draws(6, torch.Generator().manual_seed(7)))
    second = chain(images(), Draws(6, torch.Generator().manual_seed(7)))
    other = chain(images(), Draws(6, torch.Generator().manual_seed(8)))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_blur_matrix_rows_sum_to_one():
    matrix = blur_matrix(5, torch.tensor([0.3, 3.0]), 3.0)
    assert torch.allclose(matrix.sum(2), torch.ones(2, 5))


@pytest.mark.parametrize(
    "entry, said",
    [
        (Entry("time_msk"), 'did you mean "time_mask"'),
        (Entry("time_mask", params={"max_width": 3}), 'did you mean "max_width2"'),
        (Entry("time_mask", params={"max_width2": W + 1}), "0 to 40"),
        (Entry("freq_mask", params={"max_width1": H + 1}), "0 to 24"),
    ],
)
def test_unusable_settings_are_refused(entry, said):
    with pytest.raises(ConfigError, match="train.augmentations") as caught:
        build_steps([entry], H, W)
    assert said in str(caught.value)


def test_defaults_are_those_of_the_configuration():
    from britekit.config import BaseConfig

    for entry in BaseConfig().train.augmentations:
        known = default_params(entry.name)
        assert set(entry.params) <= set(known), entry.name
        assert {k: known[k] for k in entry.params} == entry.params, entry.name
