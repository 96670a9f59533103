"""The results of the last test as Markdown, for a comment on a pull request."""

from __future__ import annotations

import csv
import math
from contextlib import ExitStack
from pathlib import Path

from britekit.errors import InputError
from britekit.evaluation.compare import CELLS_NAME, Comparison, Difference, compare_tests, read_cells
from britekit.project.summary import summary_text
from britekit.tracking.dvc import results_file

_CURVES = (
    ("pr_curve_annotated.csv", "recall", "precision", "Precision against recall, annotated classes"),
    ("roc_per_threshold_annotated.csv", "false positive rate", "true positive rate", "ROC, annotated classes"),
)
_STEPS = 20


def markdown_report(root: Path, base: str | None = None) -> str:
    """Return figures, comparison, curves and classes of the project's last test as Markdown.

    The curves are Mermaid charts, which GitHub and GitLab draw, so no picture must be stored anywhere.

    Raises `InputError` if the project has not been tested.

    Parameters
    ----------
    root
        Folder of the project.
    base
        Revision to compare with, such as the target of a pull request. Results that it does not have are reported
        in a sentence, since the first pull request of a project has nothing to compare with.
    """
    parts = ["## Recognizer\n", f"```\n{_without_advice(summary_text(root))}\n```\n"]
    if base is not None:
        parts += _comparison(root, base)
    test = root / "results" / "test"
    for name, x, y, title in _CURVES:
        if (test / name).is_file():
            parts.append(_chart(test / name, x, y, title))
    return "\n".join(parts)


def _without_advice(text: str) -> str:
    """Return a summary without the lines about this machine: the place of the report and the next command."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(("report = ", "next = "))).rstrip()


def _comparison(root: Path, base: str) -> list[str]:
    with ExitStack() as stack:
        try:
            old = read_cells(stack.enter_context(results_file(base, CELLS_NAME)))
            found = compare_tests(old, read_cells(root / "results" / "test" / CELLS_NAME))
        except InputError as error:
            return [f"There is no comparison with the base: {_escaped(str(error))}.\n"]
    lines = [f"**{found.verdict()}** (A: base, B: this change; {found.recordings} recordings)\n"]
    lines += [f"- {_escaped(sentence)}" for sentence in found.exclusions]
    return [*lines, "", *_tables(found)]


def _tables(found: Comparison) -> list[str]:
    classes = _table("PR-AUC of", found.classes)
    return [
        _table("figure", found.figures),
        f"<details><summary>{len(found.classes)} classes</summary>\n\n{classes}\n</details>\n",
    ]


def _table(head: str, rows: list[Difference]) -> str:
    lines = [f"| {head} | base | this change | difference | 95 % interval |", "|---|---:|---:|---:|---|"]
    for row in rows:
        low, high = row.difference.low, row.difference.high
        interval = "" if math.isnan(low) else f"{low:+.3f} to {high:+.3f}"
        values = [f"{row.first:.3f}", f"{row.second:.3f}", f"{row.difference.value:+.3f}"]
        cells = [_escaped(row.name.removeprefix("class ")), *("-" if "nan" in value else value for value in values)]
        lines.append(f"| {' | '.join([*cells, interval])} |")
    return "\n".join([*lines, ""])


def _chart(path: Path, x: str, y: str, title: str) -> str:
    """Return a curve as a Mermaid chart of 21 values of x, each with the best y at that x or above (ROC: or below)."""
    with open(path, encoding="utf-8", newline="") as file:
        points = [(float(row[x]), float(row[y])) for row in csv.DictReader(file) if row[x] and row[y]]
    values = []
    for step in range(_STEPS + 1):
        at = step / _STEPS
        reached = [b for a, b in points if (a >= at if x == "recall" else a <= at) and not math.isnan(b)]
        values.append(max(reached, default=0.0))
    numbers = ", ".join(f"{value:.3f}" for value in values)
    return (
        f'```mermaid\nxychart-beta\n  title "{title}"\n  x-axis "{x}" 0 --> 1\n  y-axis "{y}" 0 --> 1\n'
        f"  line [{numbers}]\n```\n"
    )


def _escaped(text: str) -> str:
    """Return text in which nothing is Markdown or HTML: names of classes and files come from users."""
    for mark in "\\`*_[]|~#":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
