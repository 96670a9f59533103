"""Every figure: written, readable, not empty, and the same bytes for the same numbers."""

import numpy as np
import pytest
from PIL import Image

from britekit.errors import InputError
from britekit.plots.curves import plot_inverted_roc_curve, plot_pr_curve, plot_pr_per_threshold, plot_roc_curve
from britekit.plots.reliability import ReliabilityLine, plot_reliability
from britekit.plots.spectrogram import plot_spectrogram
from britekit.plots.style import figure
from britekit.plots.training import plot_training_curve

RISING = np.linspace(0, 1, 50)


def line(name="before"):
    center = (np.arange(15) + 0.5) / 15
    count = np.arange(15) * 10
    center = np.where(count > 0, center, np.nan)
    return ReliabilityLine(name, center, center**2, center**2 * 0.8, np.minimum(center**2 * 1.2, 1), count)


FIGURES = {
    "pr": lambda path: plot_pr_curve(path, RISING, 1 - RISING / 2, 0.75, 0.1, "Title"),
    "roc": lambda path: plot_roc_curve(path, RISING, np.sqrt(RISING), 0.67, "Title"),
    "inverted": lambda path: plot_inverted_roc_curve(path, RISING, np.sqrt(RISING), 0.67, "Title"),
    "threshold": lambda path: plot_pr_per_threshold(path, RISING, RISING, 1 - RISING, 0.8, "Title"),
    "one_point": lambda path: plot_pr_curve(path, np.ones(1), np.ones(1), 1.0, 1.0, "Title"),
    "reliability": lambda path: plot_reliability(path, line(), line("after"), "Title"),
    "reliability_before": lambda path: plot_reliability(path, line(), None, "Title"),
    "training": lambda path: plot_training_curve(path, range(5), {"loss": [5, 4, 3, 2, 1]}, {"roc": [0.5] * 5}),
    "one_epoch": lambda path: plot_training_curve(path, [3], {"loss": [5.0]}),
    "spectrogram": lambda path: plot_spectrogram(path, np.eye(16), np.linspace(100, 16000, 16), 3.0, title="T"),
    "constant": lambda path: plot_spectrogram(path, np.zeros((16, 20)), np.linspace(10, 900, 16), 3.0, power=0.5),
}


@pytest.mark.parametrize("name", FIGURES)
def test_same_numbers_give_the_same_picture(name, tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    FIGURES[name](first)
    FIGURES[name](second)
    assert first.read_bytes() == second.read_bytes()
    picture = np.asarray(Image.open(first).convert("L"))
    assert min(picture.shape) > 300 and picture.min() < 100 and picture.max() == 255


@pytest.mark.parametrize("suffix", [".jpeg", ".pdf", ".svg"])
def test_other_formats_are_reproducible_too(suffix, tmp_path):
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for path in paths:
        FIGURES["pr"](path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_png_says_nothing_of_its_maker(tmp_path):
    FIGURES["roc"](tmp_path / "x.png")
    assert "Software" not in Image.open(tmp_path / "x.png").info


def test_style_does_not_leak(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    FIGURES["pr"](tmp_path / "x.png")
    assert dict(matplotlib.rcParams) == before


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r'"\.bmp"'), figure(tmp_path / "x.bmp"):
        pass


def test_nothing_is_left_of_a_figure_that_failed(tmp_path):
    with pytest.raises(RuntimeError), figure(tmp_path / "x.png"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_wrong_shapes_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected"):
        plot_spectrogram(tmp_path / "x.png", np.zeros((4, 5)), np.zeros(3), 1.0)
