"""The same calls of public britekit 1.8.4 and of this package, on files of both, give the same answers.

Needs the interpreter of an environment in which the public package is installed, in BRITEKIT_PUBLIC.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

PUBLIC = os.environ.get("BRITEKIT_PUBLIC", "")
FACTS = Path(__file__).with_name("facts.py")
pytestmark = pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC names no interpreter of public britekit")


def answers(python, folder, *others):
    folder.mkdir(exist_ok=True)
    run = subprocess.run(
        [python, FACTS, folder, *others], capture_output=True, text=True, check=False, cwd=folder, timeout=500
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads((folder / "answers.json").read_text())


def differences(one, other, where=""):
    """Return the places at which two answers differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return [x for key in sorted(keys) for x in differences(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [x for place, (a, b) in enumerate(zip(one, other)) for x in differences(a, b, f"{where}/{place}")]
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return []
    return [] if one == other and type(one) is type(other) else [f"{where}: {one} there, {other} here"]


def test_same_answers_on_files_of_both(tmp_path):
    there = answers(PUBLIC, tmp_path / "there")
    here = answers(sys.executable, tmp_path / "here", tmp_path / "there")
    assert differences(there, {key: here[key] for key in there}) == []
    for key, value in here.items():  # their files, read here
        if key.endswith(" True"):
            assert differences(there[key.replace(" True", " False")], value) == []
    assert differences(there["one"], here["one of others"]) == []
    # Our files, read there; a folder of its own, since what it writes must not exist.
    back = answers(PUBLIC, tmp_path / "back", tmp_path / "here")
    assert differences(there["one"], back["one of others"]) == []
    for key in ("two", "one.pkl", "two.pkl"):
        assert differences(here[f"{key} False"], back[f"{key} True"]) == []
