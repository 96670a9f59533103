"""What an augmentation's file says is read without importing it, and mistakes in it are named."""

import inspect
import typing

import pytest

from britekit.config.augmentation_files import read_augmentations
from britekit.config.augmentations import KNOWN
from britekit.errors import ConfigError

GOOD = """
import torch

SETTINGS = {
    "place": 5,
    "prob": 0.25,
    "doc": "turn over",
    "params": {
        "share": {"doc": "how much", "unit": "px", "above": 0, "below": 1},
        "max_rows": {"doc": "most", "low": 1, "at_most": "spec_height"},
    },
}


def invert(images_BHW: torch.Tensor, draws, *, share: float = 0.5, max_rows: int | None = None):
    return 1 / 0
"""


def write(folder, text, name="invert"):
    (folder / f"{name}.py").write_text(text)
    return folder


def test_a_file_says_everything_and_is_not_run(tmp_path):
    write(tmp_path, "def helper(): pass\n", "helper")
    write(tmp_path, 'SETTINGS = {"doc": "later"}\ndef b(images_BHW, draws): ...\n', "b")
    write(tmp_path, 'SETTINGS = {"doc": "later"}\ndef a(images_BHW, draws): ...\n', "a")
    found = read_augmentations(write(tmp_path, GOOD))
    assert list(found) == ["invert", "a", "b"], "by place, then by name; helpers left out"
    known = found["invert"]
    assert (known.prob, known.doc, known.needs_noise) == (0.25, "turn over", False)
    kind, default, meta = known.params["share"]
    assert (kind, default, meta.doc, meta.unit, meta.range_text()) == (
        float, 0.5, "how much", "px", "> 0, < 1",
    )  # fmt: skip
    assert known.params["max_rows"][:2] == (int | None, None)
    assert known.limits == {"max_rows": "spec_height"}


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("def invert", "def inverted", 'no function "invert"'),
        ('"share": {"doc": "how much"', '"shared": {"doc": "how much"', "argument share"),
        ("share: float", "share: list", "argument share"),
        ("share: float = 0.5", "share: float", "argument share"),
        ('"above": 0', '"over": 0', "says share wrongly"),
        ('"at_most": "spec_height"', '"at_most": "height"', "says max_rows wrongly"),
        (', max_rows: int | None = None', "", "describes max_rows"),
        ('"prob": 0.25', '"chance": 0.25', "needs a doc"),
        ('"prob": 0.25', '"prob": float(1)', "not a literal"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(ConfigError, match="invert.py") as caught:
        read_augmentations(write(tmp_path, GOOD.replace(old, new)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parameter_name_is_used_once(tmp_path):
    """The tuner knows parameters by their bare names."""
    write(tmp_path, GOOD.replace("def invert", "def other"), "other")
    with pytest.raises(ConfigError, match='invert and other both have a parameter "share"'):
        read_augmentations(write(tmp_path, GOOD))


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_was_read_is_what_the_function_takes(name):
    """Against Python's own reading of the imported file."""
    from britekit.datasets.augmentations.registry import find_augmentation

    function = find_augmentation(name)
    hints = typing.get_type_hints(function)
    keyword_only = {
        argument.name: (hints[argument.name], argument.default)
        for argument in inspect.signature(function).parameters.values()
        if argument.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert {key: value[:2] for key, value in KNOWN[name].params.items()} == keyword_only
