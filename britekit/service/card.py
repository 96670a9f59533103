"""The model card: what the recognizer is for, what it learned from, how good it is and where it fails.

Markdown, after M. Mitchell et al., Model Cards for Model Reporting, FAccT 2019. Everything in it is read from
the project's files, so the same ensemble and results give the same bytes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.collect.attribution import Credit, credits_of_database
from britekit.collect.licences import normalize_licence
from britekit.config import BaseConfig
from britekit.database.session import open_database
from britekit.database.summary import ClassSummary, summarize
from britekit.errors import InputError, counted, some
from britekit.evaluation.compare import CELLS_NAME, Cells, read_cells
from britekit.files import write_text
from britekit.inference.platt import Calibration
from britekit.metrics.bootstrap import Interval, bin_ranks, resample
from britekit.metrics.ranking import rank_classes
from britekit.tracking.metrics_file import FIGURES_NAME, read_metrics, run_figures

# Where the pipeline's stage `extract` writes it.
DATABASE = "data/training.db"
WRITTEN_BY = "Model card, written by `britekit package`"
# Guide: with fewer recordings a class is learned poorly, and its figures say little.
_FEW_RECORDINGS = 30
_MOST_AUTHORS = 20
_EDGES = 64
_FIGURES = (
    ("macro_pr", "Macro PR-AUC", "average precision, mean over classes"),
    ("micro_pr", "Micro PR-AUC", "average precision, pooled over classes and units"),
    ("macro_roc", "Macro ROC-AUC", "chance that a true unit scores higher than a false one"),
    ("precision", "Precision", "share of detections at the threshold that are right"),
    ("recall", "Recall", "share of sounds that are detected at the threshold"),
)


def card_text(
    cfg: BaseConfig,
    classes: Sequence[ClassInfo],
    origin: dict[str, Any],
    calibration: Calibration | None,
    root: Path,
    tested: bool,
) -> str:
    """Return the card of an ensemble.

    Raises `InputError` if a file of the project cannot be read.

    Parameters
    ----------
    cfg
        Settings in force, the audio settings those of the members.
    classes
        What the ensemble knows, as it names them.
    origin
        ``training`` of each member, as in ``facts.json``.
    root
        The project: its database, results and metrics are read where they exist.
    tested
        Whether the results there are of this ensemble.
    """
    learned, credits = _training_data(root / DATABASE)
    figures = read_metrics(root / "results/test" / FIGURES_NAME) if tested else {}
    cells = read_cells(root / "results/test" / CELLS_NAME) if figures.get("recordings") else None
    if cells is not None:
        cells = _with_names(cells, classes)
    runs = {name: run_figures(root, name) for name in origin}
    parts = [
        [f"# {cfg.pipeline.bento_name}", "", f"{WRITTEN_BY}; pipeline.intended_use changes its first section."],
        _purpose(cfg, classes),
        _members(origin, runs),
        _learned_from(learned, credits, classes),
        _test(figures, cells, cfg),
        _calibration(calibration, read_metrics(root / "metrics/calibration.json") if tested else {}),
        _limits(cfg, classes, learned, credits, figures, cells),
        _cost(runs),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def write_card(path: Path, card: str) -> None:
    """Write the card beside the Bento; raises `InputError` if there is a file of this name that is not a card."""
    check_card_path(path)
    write_text(path, card)


def check_card_path(path: Path) -> None:
    """Refuse to replace a file that is not a card; call it before the Bento is built."""
    if path.exists() and WRITTEN_BY not in path.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{path} is not a model card that package wrote; move it, since the card is written there")


def _with_names(cells: Cells, classes: Sequence[ClassInfo]) -> Cells:
    """Return the same with names of classes, whatever the labels of the test were (`infer.label_field`)."""
    names = {text: x.name for x in classes for text in (x.alt_code, x.alt_name, x.code, x.name) if text}
    return replace(cells, labels=np.array([names.get(label, label) for label in cells.labels.tolist()]))


def class_intervals(cells: Cells) -> dict[str, dict[str, Interval]]:
    """Return PR-AUC, precision and recall of each class with their 95 % intervals, by resampling recordings."""
    names, groups = np.unique(cells.recordings, return_inverse=True)
    sampling = resample(len(names))
    ranked = rank_classes(cells.truth, cells.scores)
    heard_RC, found_RC, right_RC = (
        np.stack([np.bincount(groups, column, len(names)).astype(np.float64) for column in mask.T], axis=1)
        for mask in (cells.truth, cells.found, cells.truth & cells.found)
    )
    intervals = {}
    for c, label in enumerate(cells.labels.tolist()):
        areas = bin_ranks(cells.truth, cells.scores, groups, len(names), _EDGES, [c]).areas(sampling)[0]
        shares = (
            sampling.share_interval(right_RC[:, c], whole[:, c], _ratio(right_RC[:, c], whole[:, c]))
            for whole in (found_RC, heard_RC)
        )
        area = sampling.area_interval(areas, float(ranked.pr_auc_C[c]), int(np.count_nonzero(heard_RC[:, c])))
        intervals[label] = dict(zip(("PR-AUC", "precision", "recall"), (area, *shares), strict=True))
    return intervals


def _purpose(cfg: BaseConfig, classes: Sequence[ClassInfo]) -> list[str]:
    audio = cfg.audio
    return [
        "## Intended use",
        "",
        cfg.pipeline.intended_use
        or f"Finds the sounds of {counted(len(classes), 'class', 'classes')} in recordings of unattended recorders.",
        "",
        f"- Input: recordings of any rate, resampled to {audio.sampling_rate:,} Hz; windows of "
        f"{audio.spec_duration:g} s; frequencies from {audio.min_freq:,} to {audio.max_freq:,} Hz.",
        "- Output: for each window and class a value from 0 to 1. Detections are suggestions: verify a sample of "
        "them (`britekit review`) before drawing conclusions.",
        "- Not intended for: counting individuals, sounds of classes that are not listed below, or decisions "
        "about a site that rest on unverified detections.",
    ]


def _members(origin: dict[str, Any], runs: dict[str, dict[str, Any]]) -> list[str]:
    rows = []
    for name, facts in origin.items():
        revision = (facts.get("revision") or "")[:10]
        rows.append((name, (facts.get("date") or "")[:10], revision, facts.get("version") or "", *_counts(runs[name])))
    heads = ("member", "trained on", "revision", "britekit", "spectrograms", "epochs")
    return ["## Ensemble", "", "The scores of a recording are the mean over these networks.", "", *_table(heads, rows)]


def _counts(run: dict[str, Any]) -> tuple[object, object]:
    return run.get("spectrograms", ""), run.get("epochs", "")


def _learned_from(
    learned: Sequence[ClassSummary], credits: Sequence[Credit], classes: Sequence[ClassInfo]
) -> list[str]:
    lines = ["## Training data", ""]
    if not learned:
        return [*lines, "The training database is not in this project, so its recordings are not listed."]
    groups: dict[tuple[str, str], list[Credit]] = defaultdict(list)
    for credit in credits:
        groups[credit.source or "unknown", normalize_licence(credit.licence) if credit.licence else "unknown"].append(
            credit
        )
    rows = [
        (source, licence, len(items), some(sorted({item.author or "unknown" for item in items}), _MOST_AUTHORS))
        for (source, licence), items in sorted(groups.items())
    ]
    lines += [
        f"{counted(len(credits), 'recording')}; `britekit attribution` lists each with its address.",
        "",
        *_table(("source", "licence", "recordings", "authors"), rows),
        "",
    ]
    by_name = {item.name: item for item in learned}
    known = [
        (info.name, info.code, len(by_name[info.name].segments_of), by_name[info.name].segments)
        if info.name in by_name
        else (info.name, info.code, 0, 0)
        for info in classes
    ]
    noise = [(item.name, item.code, len(item.segments_of), item.segments) for item in learned]
    others = [row for row in noise if row[0] not in {info.name for info in classes}]
    return [*lines, *_table(("class", "code", "recordings", "segments"), [*known, *others])]


def _test(figures: dict[str, Any], cells: Cells | None, cfg: BaseConfig) -> list[str]:
    lines = ["## Test", ""]
    if cells is None:
        return [*lines, "**Not tested**: no annotated recordings, or results of other networks."]
    lines += [
        f"{counted(figures['recordings'], 'recording')} that are not in the training data, per {cells.unit}, "
        f"at a threshold of {figures['threshold']:g}. Intervals (95 %) come from resampling recordings.",
        "",
    ]
    rows = []
    for key, name, meaning in _FIGURES:
        pair = figures["intervals"].get(key)
        rows.append((name, _number(figures.get(key)), "" if pair is None else _span(*pair), meaning))
    lines += [*_table(("figure", "value", "95 % interval", "meaning"), rows), ""]
    each = class_intervals(cells)
    positives = dict(zip(cells.labels.tolist(), cells.truth.sum(axis=0).tolist(), strict=True))
    per_class = [(name, positives[name], *map(_with_span, found.values())) for name, found in each.items()]
    return [*lines, *_table(("class", f"{cells.unit}s with it", "PR-AUC", "precision", "recall"), per_class)]


def _calibration(calibration: Calibration | None, figures: dict[str, Any]) -> list[str]:
    lines = ["## Calibration and thresholds", ""]
    if calibration is None or calibration.is_identity:
        return [*lines, "Not calibrated: scores are not probabilities."]
    lines.append(
        f"Scores become probabilities by Platt scaling (coefficient {calibration.coefficient:.3f}, intercept "
        f"{calibration.intercept:.3f})."
    )
    if figures.get("ece_after") is not None:
        lines.append(f"Expected calibration error on the test after scaling: {figures['ece_after']:.3f}.")
    if calibration.thresholds:
        rows = [(name, "none reaches it" if x is None else f"{x:.2f}") for name, x in calibration.thresholds.items()]
        lines += [
            "",
            f"Lowest thresholds that reach a precision of {calibration.precision or 0:g} with 95 % confidence:",
            "",
            *_table(("class", "threshold"), rows),
        ]
    return lines


def _limits(
    cfg: BaseConfig,
    classes: Sequence[ClassInfo],
    learned: Sequence[ClassSummary],
    credits: Sequence[Credit],
    figures: dict[str, Any],
    cells: Cells | None,
) -> list[str]:
    def found() -> Iterator[str]:
        names = [info.name for info in classes]
        recordings = {item.name: len(item.segments_of) for item in learned}
        if few := [name for name in names if learned and recordings.get(name, 0) < _FEW_RECORDINGS]:
            yield f"Trained on fewer than {_FEW_RECORDINGS} recordings: {', '.join(map(_cell, few))}."
        if cells is not None:
            positive = {name for name, truth in zip(cells.labels.tolist(), cells.truth.T, strict=True) if truth.any()}
            if untested := [name for name in names if name not in positive]:
                yield f"In no test recording, so how well they are found is unknown: {', '.join(map(_cell, untested))}."
            if figures["recordings"] < _FEW_RECORDINGS:
                yield f"With {counted(figures['recordings'], 'test recording')} the intervals are too narrow."
        else:
            yield "Its figures are unknown."
        if unknown := sum(not credit.licence for credit in credits):
            yield f"{counted(unknown, 'training recording')} without a known licence: ask before publishing."
        yield (
            "Figures hold for recordings like those of the test. Other sites, seasons, recorders and noise give "
            "others: measure again there (`britekit rpt-precision`)."
        )
        yield f"Sounds above {cfg.audio.max_freq:,} Hz or below {cfg.audio.min_freq:,} Hz are not used."

    return ["## Limits", "", *(f"- {line}" for line in found())]


def _cost(runs: dict[str, dict[str, Any]]) -> list[str]:
    rows = []
    for name, run in runs.items():
        seconds, joules = run.get("seconds"), run.get("joules")
        rows.append(
            (
                name,
                run.get("device", ""),
                "" if seconds is None else f"{seconds / 60:.1f} min",
                "not measured" if joules is None else f"{joules / 3.6e6:.4f} kWh",
            )
        )
    return [
        "## Cost of training",
        "",
        "Energy is that of processor packages and graphics cards whose counters can be read, other programs included.",
        "",
        *_table(("member", "device", "time", "energy"), rows),
    ]


def _training_data(database: Path) -> tuple[list[ClassSummary], list[Credit]]:
    if not database.is_file():
        return [], []
    with open_database(str(database)) as session:
        return list(summarize(session).classes), credits_of_database(session)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [_row(heads), _row(["---"] * len(heads)), *(_row([_cell(cell) for cell in row]) for row in rows)]


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cell(value: object) -> str:
    """Return text that neither ends a cell nor is interpreted as markup."""
    text = " ".join(str(value).split())
    for letter in "\\|<>[]*_`":
        text = text.replace(letter, f"&#{ord(letter)};" if letter in "<>" else f"\\{letter}")
    return text


def _with_span(found: Interval) -> str:
    span = "" if math.isnan(found.low) else f" ({_span(found.low, found.high)})"
    return f"{_number(found.value)}{span}"


def _span(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else math.nan
