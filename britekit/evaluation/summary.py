"""Write the summary of a test as text."""

from __future__ import annotations

import math

from britekit.evaluation.unit_report import UnitReport


def summary_text(report: UnitReport) -> str:
    """Return the metrics of a test with intervals, and notes on how to read them."""
    data = report.data
    lines = [f"Test per {data.unit}", "", *_facts(report), ""]
    if report.wanted_precision is not None:
        seconds = report.metrics()["tp_seconds_at_precision"]
        name = f"TP seconds at precision {report.wanted_precision:g}"
        lines += [_line(name, f"{seconds:.1f} s"), ""]
    lines += [f"Annotated classes ({len(data.annotated)}; {report.annotated.positives} true cells)"]
    lines += [_line(name, _area(report, key)) for name, key in _AREAS]
    lines += [*_rates(report, ""), "", f"All trained classes ({len(data.labels)})"]
    lines += [_line("Micro PR-AUC", _area(report, "micro_pr_trained"))]
    lines += [_line("Micro ROC-AUC", _area(report, "micro_roc_trained")), *_rates(report, "_trained"), ""]
    mean = report.mean_tp_score
    lines += [_line("Mean true-positive score", "none detected" if math.isnan(mean) else f"{mean:.3f}")]
    if not math.isnan(report.accuracy):
        of = f" of {len(data.truth_NC)} {data.unit}s"
        lines.append(_line("Accuracy by highest score", _percent(report, "accuracy", of)))
    lines += ["", "In brackets: 95 % intervals, from resampling recordings."] if report.intervals else []
    notes = report.notes()
    if notes:
        lines += ["", "Notes", *(f"  - {note}" for note in notes)]
    return "\n".join(lines) + "\n"


_AREAS = (
    ("Macro PR-AUC", "macro_pr"),
    ("Micro PR-AUC", "micro_pr"),
    ("Macro ROC-AUC", "macro_roc"),
    ("Micro ROC-AUC", "micro_roc"),
    ("cmAP, padded by 5", "cmap"),
)


def units_line(report: UnitReport) -> str:
    """Return the number and length of units."""
    data = report.data
    units = len(data.truth_NC)
    if data.unit == "segment":
        grid = data.grid
        return f"{units} of {grid.length_s:g} s, every {grid.step_s:g} s"
    if data.unit == "block":
        return f"{units} of {float(data.lengths_N.max()):g} s"
    return f"{units}, {float(data.seconds_R.sum()) / 3600:.2f} h"


def _facts(report: UnitReport) -> list[str]:
    data = report.data
    silent = f", {len(data.without_scores)} of them without scores (counted as 0)" if data.without_scores else ""
    source = data.source
    return [
        _line("Recordings", f"{len(data.recordings)}{silent}"),
        *([] if data.unit == "recording" else [_line(f"{data.unit.capitalize()}s", units_line(report))]),
        _line("Scores", f"{source.path.name} ({'unrounded' if source.unrounded else 'label files'})"),
        _line("Threshold", f"{report.threshold:g}, on {report.decisions.basis}"),
    ]


def _rates(report: UnitReport, ending: str) -> list[str]:
    unit = report.data.unit
    lines = [_line("Precision at the threshold", _percent(report, f"precision{ending}"))]
    if report.seconds is not None:
        lines = [
            _line(f"Precision in {unit}s", _percent(report, f"precision{ending}")),
            _line("Precision in seconds", _percent(report, f"precision_seconds{ending}")),
        ]
    name = "Recall at the threshold" if report.seconds is None else f"Recall in {unit}s"
    return [*lines, _line(name, _percent(report, f"recall{ending}"))]


def _area(report: UnitReport, key: str) -> str:
    value = report.metrics()[key]
    if math.isnan(value):
        return "not defined"
    found = report.intervals.get(key)
    shown = "" if found is None or math.isnan(found.low) else f"  [{found.low:.4f}, {found.high:.4f}]"
    return f"{value:.4f}{shown}"


def _percent(report: UnitReport, key: str, of: str = "") -> str:
    found = report.intervals.get(key)
    shown = "" if found is None or math.isnan(found.low) else f"  [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return f"{100 * report.metrics()[key]:.1f} %{of}{shown}"


def _line(name: str, value: str) -> str:
    return f"  {name + ':':<34}{value}"
