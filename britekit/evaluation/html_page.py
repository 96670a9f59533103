"""One HTML page per test: figures, plots, classes, and the worst mistakes as spectrograms.

Pictures are embedded, so that the page can be mailed or archived as one file and needs no server.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from britekit import __version__
from britekit.evaluation.report_tables import annotated_class_rows
from britekit.evaluation.summary import units_line
from britekit.evaluation.unit_report import UnitReport
from britekit.evaluation.worst_mistakes import Example
from britekit.files import render_page, waiting_path, write_text
from britekit.tracking.facts import main_root, provenance

PAGE_NAME = "report.html"

_FIGURES = (
    ("macro_pr", "Macro PR-AUC", "average precision of each species, averaged over species; 1 is perfect"),
    ("micro_pr", "Micro PR-AUC", "average precision over the segments of all annotated species together"),
    (
        "macro_roc",
        "Macro ROC-AUC",
        "probability that a segment with the species scores higher than one without; 0.5 is random guessing",
    ),
    ("micro_roc", "Micro ROC-AUC", "the same over the segments of all annotated species together"),
    ("cmap", "cmAP, padded by 5", "macro PR-AUC after adding five positive units to each class"),
    ("precision", "Precision", "share of detections that are right"),
    ("precision_seconds", "Precision in seconds", "the same, weighted by the length of detections"),
    ("recall", "Recall", "share of segments with a species in which it is detected"),
    ("accuracy", "Accuracy", "share of segments in which the annotated class has the highest score"),
    ("micro_pr_trained", "Micro PR-AUC, trained", "over all trained classes"),
    ("micro_roc_trained", "Micro ROC-AUC, trained", "over all trained classes"),
    ("precision_trained", "Precision, trained", "over all trained classes"),
    ("recall_trained", "Recall, trained", "over all trained classes"),
)
_KINDS = (
    ("false positive", "false", "Worst false positives", "There are no false positives at this threshold."),
    ("miss", "misses", "Worst misses", "There are no misses at this threshold."),
)
_PICTURES = (
    ("pr_curve", "Precision against recall"),
    ("roc_classic_curve", "True against false positive rate"),
    ("pr_per_threshold", "Precision and recall by threshold"),
)


def write_page(
    path: str | Path,
    report: UnitReport,
    folder: str | Path,
    examples: Sequence[Example],
    pictures: Sequence[bytes | None],
    recordings_dir: str | Path,
    sounds: Sequence[bytes | None] | None = None,
) -> None:
    """Write the HTML page of a test.

    Parameters
    ----------
    examples, pictures
        Worst mistakes and their spectrograms (`draw_examples`).
    recordings_dir
        Where the recordings were looked for.
    sounds
        Ogg Vorbis of each example (`cut_sounds`).
    """
    data, folder = report.data, Path(folder)
    header, *rows = annotated_class_rows(report)
    endings = ("",) if data.unit == "recording" else ("_annotated", "_trained")
    if len(data.annotated) == len(data.labels):
        endings = endings[:1]  # all trained classes are annotated, so the curves are identical
    names = {label: info.name for label, info in zip(data.labels, data.source.classes) if info.name != label}
    text = render_page(
        Path(__file__).with_suffix(".html"),
        title=f"Test per {data.unit}",
        intro=_intro(report),
        facts=_facts(report, recordings_dir),
        names=names,
        notes=list(report.notes()),
        figures=list(_figures(report)),
        has_intervals=bool(report.intervals),
        picture=lambda name: _data_uri(folder / f"{name}.png"),
        curves=[
            (f"{name}{ending}", f"{words}, {ending.removeprefix('_') or 'annotated'} classes")
            for ending in endings
            for name, words in _PICTURES
        ],
        header=header,
        rows=rows,
        kinds=_KINDS,
        word="probability" if report.decisions.fitted else "score",
        examples=[
            {
                "number": number,
                "kind": example.kind,
                "label": example.label,
                "name": names.get(example.label, ""),
                "value": f"{example.value:.3f}",
                "recording": example.recording,
                "at": _clock(example.start_s),
                "heard": ", ".join(example.heard),
                "detected": ", ".join(example.detected),
                "sound": sound and "data:audio/ogg;base64," + base64.b64encode(sound).decode(),
                "picture": picture and "data:image/jpeg;base64," + base64.b64encode(picture).decode(),
            }
            for number, (example, picture, sound) in enumerate(
                zip(examples, pictures, sounds or [None] * len(examples), strict=True)
            )
        ],
        recordings_dir=recordings_dir,
        version=__version__,
    )
    write_text(path, text)


def _intro(report: UnitReport) -> str:
    data = report.data
    hours = float(data.seconds_R.sum()) / 3600
    units = "" if data.unit == "recording" else f", {data.unit}s: {units_line(report)}"
    return (
        f"{len(data.recordings)} recordings ({hours:.2f} h){units}; {len(data.annotated)} of "
        f"{len(data.labels)} trained classes annotated; scores from {data.source.path.name}; threshold "
        f"{report.threshold:g}, on {report.decisions.basis}."
    )


def _facts(report: UnitReport, recordings_dir: str | Path) -> list[tuple[str, str]]:
    """Return project, models, data, date and revision for the head of the page."""
    models = [str(x.get("name") or x.get("path") or "") for x in report.data.source.members if isinstance(x, dict)]
    revision = provenance()["revision"]
    return [
        ("Project", main_root().name),
        ("Models", ", ".join(Path(name).name for name in models if name) or "not known"),
        ("Recordings", str(recordings_dir)),
        ("Date", date.today().isoformat()),
        ("Revision", revision[:10] if revision else "none"),
    ]


def _figures(report: UnitReport) -> Iterator[dict[str, Any]]:
    """Yield each metric with its meaning and its interval, as bounds and as percentages of a bar."""
    figures = report.metrics()
    if report.wanted_precision is not None:
        yield {
            "name": f"TP seconds at precision {report.wanted_precision:g}",
            "value": f"{figures['tp_seconds_at_precision']:.1f} s",
            "meaning": "most seconds of true detections at a threshold of that precision",
        }
    for key, name, meaning in _FIGURES:
        value, found = figures.get(key), report.intervals.get(key)
        same = key.endswith("_trained") and len(report.data.annotated) == len(report.data.labels)
        if value is None or same:
            continue
        shown = {"name": name, "meaning": meaning, "value": f"{value:.3f}"}
        if math.isnan(value):
            yield shown | {"value": "not defined"}
        elif found is None or math.isnan(found.low):
            yield shown
        else:
            low, high = max(found.low, 0.0), min(found.high, 1.0)
            bar = {"left": 100 * low, "width": 100 * (high - low), "at": 100 * value}
            yield {**shown, "low": found.low, "high": found.high, **bar}


def _data_uri(path: Path) -> str:
    """Return a picture of this run as a data URI; empty if there is none."""
    current = waiting_path(path)
    if not current.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(current.read_bytes()).decode()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{minutes}:{rest:05.2f}"
    return f"{hours}:{minutes:02}:{rest:05.2f}" if hours else shown
