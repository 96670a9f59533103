"""The example on real recordings says what is missing, in one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/esc10"


def run(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / name), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("name", ["prepare.py", "figures.py"])
def test_help(name, tmp_path):
    done = run(name, "--help", folder=tmp_path)
    assert done.returncode == 0 and "dvc repro" in done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [(["prepare.py", "nowhere", "project"], "does not contain a folder recordings"), (["figures.py"], "run dvc repro")],
)
def test_what_is_missing_is_told_without_a_traceback(line, said, tmp_path):
    done = run(*line, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.8], ["0.800", "-", "-"]),  # one seed: nothing is known of the spread
        # By hand: mean 0.8, standard deviation 0.1, t of 2 degrees of freedom 4.303, half width 0.248.
        ([0.7, 0.8, 0.9], ["0.800", "0.100", "0.552 to 1.048"]),
    ],
)
def test_spread_over_seeds(values, expected):
    spec = importlib.util.spec_from_file_location("esc10_figures", EXAMPLE / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.spread_of(values) == expected
