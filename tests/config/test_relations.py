"""Contradictions between settings, warnings, and the ranges of single fields."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from britekit.config import AudioConfig, BaseConfig, from_dict
from britekit.config.base import SECTIONS
from britekit.config.fields import declared
from britekit.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "blamed"),
    [
        ({"audio": {"min_freq": 8000}}, "audio.min_freq"),
        ({"audio": {"min_freq": 0, "freq_scale": "log"}}, "audio.min_freq"),
        ({"audio": {"max_freq": 9001}}, "audio.max_freq"),
        ({"audio": {"win_length": 5.0}}, "audio.win_length"),
        ({"audio": {"win_length": 0.0005}}, "audio.win_length"),
        ({"audio": {"n_fft": 900}}, "audio.n_fft"),
        ({"audio": {"n_fft": 2**30}}, "audio.n_fft"),
        ({"audio": {"win_length": 4.9, "sampling_rate": 96_000}}, "audio.win_length"),
        ({"audio": {"spec_duration": 0.06, "spec_width": 1100}}, "audio.spec_width"),
        ({"audio": {"spec_height": 10**9}}, "audio.spec_height"),
        ({"audio": {"spec_duration": 1e9}}, "audio.spec_duration"),
        ({"audio": {"sampling_rate": 4_000_000_000}}, "audio.spec_duration"),
        ({"train": {"val_portion": 0.2, "num_folds": 3}}, "train.val_portion"),
        ({"train": {"prob_mixup": 0.5, "prob_cutmix": 0.5}}, "train.prob_simple_merge"),
        ({"train": {"min_fade1": 0.9, "max_fade1": 0.5}}, "train.min_fade1"),
        ({"train": {"opt_beta1": None}}, "train.opt_beta1"),
        ({"train": {"pretrained": True}}, "train.pretrained"),
        ({"train": {"freeze_backbone": True}}, "train.freeze_backbone"),
        ({"train": {"multi_label": False, "head_type": "basic_sed"}}, "train.multi_label"),
        ({"train": {"ema_decay": 0.9, "swa_portion": 0.2}}, "train.ema_decay"),
        ({"train": {"loss": "focal", "multi_label": False}}, "train.loss"),
        ({"train": {"sampling": "class", "shuffle": False}}, "train.sampling"),
        ({"train": {"front": "pcen"}, "audio": {"decibels": True}}, "train.front"),
        ({"infer": {"overlap": 5}}, "infer.overlap"),
        ({"pipeline": {"extract_overlap": 5}}, "pipeline.extract_overlap"),
        ({"infer": {"segment_len": 0.05}}, "infer.segment_len"),
        ({"infer": {"scaling_coefficient": 0}}, "infer.scaling_coefficient"),
        ({"misc": {"group_regex": "(a"}}, "misc.group_regex"),
        ({"misc": {"source_regexes": [["^XC", "a"], ["[", "b"]]}}, "misc.source_regexes"),
        ({"misc": {"source_regexes": [["^XC"]]}}, "misc.source_regexes"),
        ({"misc": {"map_names": {"a": ""}}}, "misc.map_names"),
        ({"misc": {"map_codes": {"a": 3}}}, "misc.map_codes"),
        ({"pipeline": {"seeds": []}}, "pipeline.seeds"),
        ({"pipeline": {"seeds": [1, 1]}}, "pipeline.seeds"),
        ({"pipeline": {"bento_name": "My Bento"}}, "pipeline.bento_name"),
        ({"train": {"head_type": "basic_sed", "sed_fps": 1}, "audio": {"spec_duration": 0.5}}, "train.sed_fps"),
    ],
)
def test_contradictions(settings, blamed):
    with pytest.raises(ConfigError) as caught:
        from_dict(settings)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [blamed]


def test_contradictions_in_python_fail_at_once():
    with pytest.raises(ConfigError, match=r"audio\.max_freq"):
        AudioConfig(sampling_rate=12000)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"audio": {"sampling_rate": 16100}}, "about 16800 Hz is advised"),
        ({"audio": {"spec_height": 100}}, "96 is"),
        ({"audio": {"spec_width": 1216, "spec_duration": 1.0}}, "has no drift"),
        ({"audio": {"spec_height": 512}}, "mel filters contain no frequency"),
        ({"infer": {"scaling_coefficient": -1}}, "high scores become low"),
        ({"infer": {"segment_len": 1.1}}, "4 frames are used"),
    ],
)
def test_warnings(settings, said, caplog):
    from_dict(settings)
    assert any(said in record.getMessage() for record in caplog.records)


def test_the_advised_width_or_rate_has_no_drift():
    for width in range(200, 1300, 7):
        cfg = AudioConfig(spec_width=width)
        words = cfg._without_drift().split()
        if words[0] == "a" and words[1] == "width":
            better = AudioConfig(spec_width=int(words[-1]))
        else:
            better = AudioConfig(spec_width=width, sampling_rate=int(words[-1]), max_freq=4000)
        samples = better.spec_duration * better.sampling_rate
        assert abs(better.hop_samples * better.spec_width - samples) / samples < 0.001


def test_defaults_are_quiet(caplog):
    from_dict({})
    assert not caplog.records


@pytest.mark.parametrize("height", [64, 128, 256, 400])
def test_empty_mel_filters_counted_as_triangles_are(height):
    """Against the triangles themselves, evaluated at every bin."""
    cfg = AudioConfig(spec_height=height)
    bins = np.arange(cfg.fft_samples // 2 + 1) * cfg.sampling_rate / cfg.fft_samples
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (cfg.min_freq, cfg.max_freq))
    edges = 700 * (10 ** (np.linspace(low, high, height + 2) / 2595) - 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    empty = int((np.minimum(rising, falling).max(axis=1) <= 0).sum())
    assert cfg.empty_mel_filters() == empty


def test_every_field_has_a_meaning_and_a_default_in_range():
    for key, section in SECTIONS.items():
        for name, (field, _) in declared(section).items():
            assert field.metadata["setting"].doc, f"{key}.{name}"
            default = getattr(getattr(BaseConfig(), key), name)
            assert section.check(name, default)[1] == "", f"{key}.{name}"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "x", [], {}, object()])
def test_no_number_field_takes_anything_else(wrong):
    for key, section in SECTIONS.items():
        for name in declared(section):
            value = getattr(getattr(BaseConfig(), key), name)
            if isinstance(value, (int, float)):
                assert section.check(name, wrong)[1], f"{key}.{name}"


def test_every_field_is_read_by_something():
    """A field exists only if something reads it; a name of several sections counts once read anywhere."""
    package = Path(__file__).parents[2] / "britekit"
    files = [path for path in package.rglob("*.py") if "config" not in path.parts]
    text = "\n".join(path.read_text() for path in [*files, package / "project" / "dvc.yaml"])
    unread = [
        f"{key}.{name}"
        for key, section in SECTIONS.items()
        for name in declared(section)
        if not re.search(rf"\w\.{name}\b", text)
    ]
    assert not unread
