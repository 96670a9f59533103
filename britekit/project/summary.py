"""How good the project's recognizer is, in a few lines; `summary`, the last stage and `make demo` print them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from britekit.errors import InputError
from britekit.project.layout import has_commit, uncommitted
from britekit.tracking.metrics_file import FIGURES_NAME

_FIGURES = (
    ("macro_pr", "macro PR-AUC", "average precision, mean over species"),
    ("micro_pr", "micro PR-AUC", "average precision, pooled over all species"),
    ("macro_roc", "macro ROC-AUC", "probability that a true one outranks a false one"),
    ("precision", "precision at {:g}", "share of detections that are right"),
    ("recall", "recall at {:g}", "share of sounds that are detected"),
)
_RESULTS = ("dvc.lock", "metrics", "models")


def is_tested(root: Path) -> bool:
    """Return whether the stage `rpt-test` has written its figures."""
    return (root / "results" / "test" / FIGURES_NAME).is_file()


def summary_text(root: Path) -> str:
    """Return the figures of the last test with their intervals, the report, and the next command.

    Raises `InputError` if the project has not been tested.
    """
    test = root / "results" / "test"
    path = test / FIGURES_NAME
    if not is_tested(root):
        raise InputError(f"{path} does not exist: nothing was tested yet; run dvc repro in the project")
    figures = json.loads(path.read_text(encoding="utf-8"))
    if not figures["recordings"]:
        return (test / "summary_report.txt").read_text(encoding="utf-8").rstrip()
    lines = [f"Test on {figures['recordings']} recordings that were not used for training", ""]
    lines.append(f"{'figure':<20}{'value':>7}   {'95 % interval':<18}meaning")
    lines += [_line(figures, *row) for row in _FIGURES]
    lines += ["", "report = results/test/report.html"]
    found = figures.get("suggested")
    if found is not None:
        lines.append(
            f"suggested threshold = {found['threshold']:g} (here precision {found['precision']:.2f}, recall "
            f"{found['recall']:.2f}; chosen on this test)"
        )
    return "\n".join([*lines, f"next = {_next(root)}"])


def _line(figures: dict[str, Any], key: str, name: str, meaning: str) -> str:
    value, pair = figures[key], figures["intervals"].get(key)
    if key == "precision" and not value and pair is None and figures["intervals"]:
        value, meaning = None, "undefined: nothing is detected at this threshold"
    shown = "-" if value is None else f"{value:.3f}"
    interval = "" if pair is None else f"{pair[0]:.3f} to {pair[1]:.3f}"
    return f"{name.format(figures['threshold']):<20}{shown:>7}   {interval:<18}{meaning}"


def _next(root: Path) -> str:
    if not has_commit(root):
        return 'git add . && git commit -m "First recognizer"   (experiments are compared with it)'
    if changed := [name for name in _RESULTS if uncommitted(root, name)]:
        return f'git add {" ".join(changed)} && git commit -m "Keep this result"   (or: britekit compare HEAD)'
    return "britekit exp train.model_type=effnet.4"
