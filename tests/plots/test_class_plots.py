"""Pictures of many classes, and of single examples: readable, reproducible, whatever the number."""

import io

import numpy as np
import pytest
from PIL import Image

from britekit.config.audio import AudioConfig
from britekit.plots.classes import plot_detection_curves, plot_missed_for
from britekit.plots.examples import ExamplePlot
from britekit.plots.lettering import shorten


@pytest.mark.parametrize("classes", [1, 2, 6, 7, 100])
def test_detection_curves_of_any_number_of_classes(tmp_path, classes):
    thresholds = np.arange(1, 101) / 100
    recall = np.repeat(1 - thresholds[:, None], classes, axis=1)
    recall[:, -1] = np.nan  # never heard
    for name in ("a", "b"):
        plot_detection_curves(
            tmp_path / f"{name}.png", thresholds, 1 - recall / 2, recall,
            [f"A class of a very long name {k}" for k in range(classes)], 0.8, "segment",
        )  # fmt: skip
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    assert (picture[:, [0, -1]] == 255).all(), "the title is cut off"
    height, width = picture.shape
    assert width <= 1500 and height >= 200 * -(-classes // 6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 4)])
def test_missed_for_any_number_of_classes(tmp_path, shape):
    shares = np.random.default_rng(0).random(shape)
    rows, columns = ([f"Class {k}" for k in range(n)] for n in shape)
    plot_missed_for(tmp_path / "a.png", shares, rows, columns, "block")
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert min(picture.shape[:2]) >= 450 and (picture[..., 2] > picture[..., 0] + 60).any()


_NAMES = [
    "Price $5 and $6",
    "A $\\bad{$ name",
    "灰椋鸟" * 9,
    "Зяблик",
    "White-throated Sparrow (Zonotrichia albicollis)",
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_names_of_classes_in_any_script_and_no_formulas(tmp_path, classes):
    names = _NAMES[:classes]
    curve = np.linspace(1, 0, 100)[:, None].repeat(classes, axis=1)
    plot_detection_curves(tmp_path / "a.svg", np.arange(1, 101) / 100, curve, curve, names, 0.8, "segment")
    plot_missed_for(
        tmp_path / "b.png", np.eye(classes, classes + 1), [f"{name} (3)" for name in names],
        [*names, "(nothing)"], "recording",
    )  # fmt: skip
    picture = np.asarray(Image.open(tmp_path / "b.png").convert("L"))
    edges = (picture[:, :3], picture[:, -3:], picture[:3], picture[-3:])
    assert all((edge == 255).all() for edge in edges), "a label is cut off"


def test_wide_letters_count_twice_where_names_are_cut():
    assert shorten("灰椋鸟", 6) == "灰椋鸟" and shorten("灰椋鸟", 5) == "灰椋…"
    assert shorten("Barred Owl", 10) == "Barred Owl" and shorten("Barred Owl", 8) == "Barred…"


def test_an_example_marks_its_stretch():
    cfg = AudioConfig(spec_height=64)
    plot = ExamplePlot(cfg)
    image = np.zeros((64, 300), np.float32)
    image[:, 100:200] = 1.0
    first = plot.draw(image, 9.0, 10.0, (13.0, 16.0))
    plot.draw(np.zeros((64, 100), np.float32), 3.0, 0.0, (0.0, 3.0))
    assert plot.draw(image, 9.0, 10.0, (13.0, 16.0)) == first
    picture = np.asarray(Image.open(io.BytesIO(first)).convert("RGB")).astype(int)
    assert picture.shape == (220, 440, 3)
    orange = (picture[..., 0] - picture[..., 2] > 120).sum(axis=0)
    places = np.flatnonzero(orange > 80)
    left, right = 0.12 * 440, 0.86 * 440
    for expected in (left + right * 3 / 9, left + right * 6 / 9):
        assert np.abs(places - expected).min() <= 2
    middle = picture[60:120].mean(axis=(0, 2))
    assert middle[int(left + right / 2)] < 20 and middle[int(left + right / 9)] > 235
