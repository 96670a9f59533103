"""Write the output of a search: tables after every trial, the best settings as YAML, pictures."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from britekit.config.yaml_reader import dump_plain
from britekit.files import csv_text, together, write_text
from britekit.plots.tuning import plot_history, plot_importances, plot_slices
from britekit.tuning.search import Study
from britekit.tuning.space import Parameter, put

BEST = "best.yaml"
_NAMES = {
    "macro_pr": "Macro PR-AUC",
    "micro_pr": "Micro PR-AUC",
    "macro_roc": "Macro ROC-AUC",
    "micro_roc": "Micro ROC-AUC",
    "micro_pr_trained": "Micro PR-AUC trained",
    "micro_roc_trained": "Micro ROC-AUC trained",
}
_LABELS = _NAMES | {
    "combo_pr": "Mean of macro and trained micro PR-AUC",
    "combo_roc": "Mean of macro and trained micro ROC-AUC",
}


def write_results(folder: Path, study: Study, metric: str, base: dict[str, Any], pictures: bool = True) -> None:
    """Write tables, best settings and pictures of all finished trials, atomically.

    Parameters
    ----------
    base
        Settings of the ``-c`` file, which are part of the best settings.
    """
    with study.lock, together():
        trials = study.done()
        write_text(folder / "metrics-summary.csv", _summary(study, trials))
        write_text(folder / "metrics-details.csv", _details(trials))
        best = study.best()
        if best is None:
            return
        write_text(folder / BEST, best_text(study.parameters, study.values_of(best), best, metric, base))
        if not pictures:
            return
        complete = [t for t in trials if t.state is TrialState.COMPLETE]
        scores = [float(t.value) for t in complete if t.value is not None]
        plot_history(folder / "history.png", [t.number + 1 for t in complete], scores, _LABELS[metric])
        if study.parameters:
            values = [study.values_of(t) for t in complete]
            columns = {p.name: [row[k] for row in values] for k, p in enumerate(study.parameters)}
            plot_slices(folder / "slices.png", columns, scores, _LABELS[metric])
        importances = study.importances()
        if importances:
            plot_importances(folder / "importances.png", importances)


def copy_inputs(folder: Path, cfg_path: str | Path | None, param_path: str | Path | None) -> None:
    """Copy both YAML files to the results."""
    for source, name in ((cfg_path, "base-settings.yaml"), (param_path, "tuning.yaml")):
        if source is not None and Path(source).resolve() != (folder / name).resolve():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)


def best_text(
    parameters: list[Parameter], values: list[Any], trial: FrozenTrial, metric: str, base: dict[str, Any]
) -> str:
    """Return the best settings, merged with the base settings, as text of a file for ``-c``."""
    settings: dict[str, Any] = {section: dict(body or {}) for section, body in base.items()}
    for parameter, value in zip(parameters, values, strict=True):
        put(settings, parameter.target, value)
    head = f"# The best of a search: trial {trial.number + 1}, {_LABELS[metric]} {trial.value:.4f}\n"
    return head + (dump_plain(settings) if settings else "")


def _summary(study: Study, trials: list[FrozenTrial]) -> str:
    head = ["Trial #", "Params"]
    for name in _NAMES.values():
        head += [name, f"{name} stdev"]
    rows = []
    for trial in trials:
        pairs = zip(study.parameters, study.values_of(trial), strict=True)
        texts = ["; ".join(f"{p.name}={v}" for p, v in pairs)]
        runs = trial.user_attrs.get("runs", [])
        for metric in _NAMES:
            values = [run[metric] for run in runs]
            texts.append(f"{statistics.fmean(values):.4f}" if values else "")
            texts.append(f"{statistics.stdev(values):.4f}" if len(values) > 1 else "")
        note = trial.user_attrs.get("error", "")
        if trial.state is TrialState.PRUNED:
            note = "pruned: worse than half of the others"
        rows.append([trial.number + 1, *texts, note])
    return _csv([*head, "Error"], rows)


def _details(trials: list[FrozenTrial]) -> str:
    rows = [
        [trial.number + 1, number, *(f"{run[metric]:.4f}" for metric in _NAMES)]
        for trial in trials
        for number, run in enumerate(trial.user_attrs.get("runs", []), start=1)
    ]
    return _csv(["Trial #", "Run #", *_NAMES.values()], rows)


def _csv(head: list[str], rows: list[list[Any]]) -> str:
    return csv_text([head, *rows])
