"""Settings written into a file that a person has written: everything else in it stays."""

from pathlib import Path

import pytest

from britekit.config import template_text
from britekit.errors import ConfigError
from britekit.tuning.apply import apply_settings

TEXT = """\
# my project
audio: {spec_width: 64, spec_height: 32}  # small
train:
  model_type: "effnet.1"   # quoted
  learning_rate: 1e-3      # by hand

  augmentations:
  - name: add_white_noise
    # often
    prob: 0.5
# what follows is of another program
other:
    deep: [1,
      2]
infer:
"""


def changed(tmp_path, text, *changes):
    """Return the lines that differ, each as (before, after)."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    apply_settings(changes, path)
    return text.splitlines(), path.read_text().splitlines()


def test_one_value_of_a_full_file(tmp_path):
    for target, value in ((("infer", "overlap"), 0.25), (("audio", "n_fft"), 2048)):
        before, after = changed(tmp_path, template_text(), (target, value))
        (difference,) = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert difference[1].split("#")[0].split(": ")[1].strip() == str(value)
        assert difference[0].partition("#")[2] == difference[1].partition("#")[2]


def test_comments_quotes_and_foreign_sections_stay(tmp_path):
    before, after = changed(
        tmp_path, TEXT,
        (("train", "learning_rate"), 0.004), (("train", "augmentations", "add_white_noise", "prob"), 0.25),
        (("infer", "overlap"), 1.5), (("train", "num_epochs"), 7),
        (("train", "augmentations", "equalize", "min_gain"), 0.5), (("audio", "max_freq"), 9000),
    )  # fmt: skip
    text = "\n".join(after)
    for kept in ("# my project", "# small", 'model_type: "effnet.1"   # quoted', "# by hand", "    # often",
                 "# what follows is of another program\nother:", "spec_width: 64", "deep: [1"):  # fmt: skip
        assert kept in text, kept
    for new in ("learning_rate: 0.004", "prob: 0.25", "infer:\n  overlap: 1.5", "num_epochs: 7", "max_freq: 9000",
                "- name: equalize\n    params:\n      min_gain: 0.5"):  # fmt: skip
        assert new in text, new
    assert text.index("num_epochs") < text.index("what follows")


def test_what_would_not_be_valid_changes_nothing(tmp_path):
    path = tmp_path / "params.yaml"
    for text, change, words in (
        (TEXT, (("audio", "spec_width"), 1 << 30), "larger than any spectrogram"),
        ("audio: 3\n", (("audio", "spec_width"), 64), "audio is not a map of settings"),
        ("audio: [1\n", (("audio", "spec_width"), 64), "not YAML"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            apply_settings([change], path)
        assert path.read_text() == text


def test_a_file_that_is_not_there_gets_every_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    apply_settings([(("infer", "overlap"), 0.25)])
    assert Path("params.yaml").read_text() == template_text({"infer": {"overlap": 0.25}})
