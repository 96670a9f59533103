"""Macro PR-AUC of a test in full precision, beside that of scores in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from britekit.annotations.scores import F32_TABLE
from britekit.evaluation.score_reading import TABLE_NAME
from britekit.evaluation.scored_segments import ScoredSegments
from britekit.evaluation.scored_units import ScoredUnits
from britekit.leftovers import temporary_folder
from britekit.metrics.ranking import ranking_summary


def macro_pr_in_f32(label_dir: Path, read: Callable[[Path], ScoredSegments | ScoredUnits]) -> float | None:
    """Return the macro PR-AUC of ``scores-f32.npz``; None where `analyze` did not write it.

    Parameters
    ----------
    read
        Reads a test from such a directory.
    """
    if not (label_dir / F32_TABLE).is_file():
        return None
    with temporary_folder("f32") as folder:
        (folder / TABLE_NAME).symlink_to((label_dir / F32_TABLE).absolute())
        if (label_dir / "manifest.yaml").is_file():
            (folder / "manifest.yaml").write_bytes((label_dir / "manifest.yaml").read_bytes())
        data = read(folder)
    return float(np.float64(ranking_summary(data.truth_NC, data.scores_NC, data.annotated)["macro_pr"]))
