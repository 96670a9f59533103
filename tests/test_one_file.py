"""A new augmentation, backbone, head, format or command is one new file and nothing else.

A copy of the package gets the five files that the page "Adding a part" shows; the settings' template, the
reference page, the checks, the network, a training step and the list of models must know them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "britekit"
PAGE = (PACKAGE.parent / "docs/development/adding.md").read_text(encoding="utf-8")
# The page's examples, each under the name that stands before it.
FILES = re.findall(r"^`(britekit/[\w/]+\.py)`.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

USE = """
import torch
from britekit.config import BaseConfig, from_dict, reference_text, template_text
from britekit.datasets.augmentations.draws import Draws
from britekit.datasets.augmentations.registry import Chain, Fade, build_steps
from britekit.errors import BriteKitError
from britekit.models.cost import model_names
from britekit.models.options import Blueprint
from britekit.models.recognizer import build

entry = next(e for e in BaseConfig().train.augmentations if e.name == "invert")
assert (entry.prob, entry.params) == (0.25, {"invert_rows": 16})
assert BaseConfig().train.augmentations[-1] == entry, "after those that have a place"
assert "- name: invert" in template_text() and "rows turned [px, >= 1]" in template_text()
assert "| invert | 0.25 | `invert_rows` 16 | turn loud into quiet |" in reference_text()
for wrong in ({"invert_rows": 0}, {"invert_rows": 129}, {"invert_row": 3}, {"invert_rows": 1.5}):
    try:
        from_dict({"train": {"augmentations": [{"name": "invert", "params": wrong}]}})
    except BriteKitError as error:
        assert "invert" in str(error), error
    else:
        raise AssertionError(f"{wrong} was accepted")
cfg = from_dict({"train": {"augmentations": [{"name": "invert", "prob": 1.0, "params": {"invert_rows": 2}}]}})
steps = build_steps([e for e in cfg.train.augmentations if e.name == "invert"], 4, 3)
out = Chain(steps, Fade())(torch.zeros(5, 4, 3), Draws(5, torch.Generator()))
assert out.sum((1, 2)).tolist() == [6.0] * 5

assert {"tiny.1", "tiny.2"} <= set(model_names())
assert build(Blueprint("tiny.1", None, 3, 16, 32))(torch.rand(2, 1, 16, 32))[0].shape == (2, 3)
network = build(Blueprint("tiny.2", "loudest", 3, 16, 32))
segment, frames = network(torch.rand(2, 1, 16, 32))
segment.sum().backward()
assert segment.shape == (2, 3) and frames is None
assert type(network.head).__name__ == "LoudestHead"
assert build(Blueprint("effnet.1", "loudest", 3, 32, 32)).head.linear.out_features == 3
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, root / "britekit", ignore=shutil.ignore_patterns("__pycache__"))
    assert len(FILES) == 5
    for name, text in FILES:
        (root / name).write_text(text)
    return root


def run(copy, *arguments):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_augmentation_backbone_and_head(copy):
    result = run(copy, "-c", USE)
    assert result.returncode == 0, result.stderr


def test_command(copy):
    assert "hello-there" in run(copy, "-m", "britekit", "--help").stdout
    assert run(copy, "-m", "britekit", "hello-there", "--name", "owl").stdout == "hello = owl\n"


def test_format(copy):
    code = """
from britekit import formats
from britekit.service.answers import format_names, media_types, rendered
form, = formats.chosen("brief")
label = ("A", "Ant", "A", 1.5, 2.0, 0.5, False)
recording = formats.Recording("x")
assert rendered("brief", recording, [label], formats.Facts()) == (b"x A 1.5\\n", "text/plain", "x.brief")
assert "brief" in format_names() and "text/plain" in media_types()
assert formats.is_detections("x.brief")
"""
    result = run(copy, "-c", code)
    assert result.returncode == 0, result.stderr
    assert "brief" in run(copy, "-m", "britekit", "analyze", "--help").stdout


def test_without_them_nothing_is_known(copy):
    """The copy is what was tested, and not an installed package that has them too."""
    result = run(PACKAGE.parent, "-c", USE)
    assert result.returncode != 0 and "StopIteration" in result.stderr
