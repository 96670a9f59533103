"""One HTML page per test: figures, plots, classes, and the worst mistakes as spectrograms.

The page holds its pictures inside, so that it can be mailed or archived as one file, and asks no server for
anything.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from britekit import __version__
from britekit.evaluation.examples import Example
from britekit.evaluation.report_tables import annotated_class_rows
from britekit.evaluation.summary import units_line
from britekit.evaluation.unit_report import UnitReport
from britekit.files import waiting_path, write_text

PAGE_NAME = "report.html"

_FIGURES = (
    ("macro_pr", "Macro PR-AUC", "mean over annotated classes of the area under the precision-recall curve"),
    ("micro_pr", "Micro PR-AUC", "all cells of annotated classes as one list"),
    ("macro_roc", "Macro ROC-AUC", "mean over classes of the chance that a true cell outranks a false one"),
    ("micro_roc", "Micro ROC-AUC", "all cells of annotated classes as one list"),
    ("cmap", "cmAP, padded by 5", "macro PR-AUC with five true units added to each class"),
    ("precision", "Precision", "share of detections at the threshold that are true"),
    ("precision_seconds", "Precision in seconds", "the same, weighted by how long detections last"),
    ("recall", "Recall", "share of true cells that are detected at the threshold"),
    ("accuracy", "Accuracy", "how often the highest score is that of the one true class"),
    ("micro_pr_trained", "Micro PR-AUC, trained", "all classes that the models know"),
    ("micro_roc_trained", "Micro ROC-AUC, trained", "all classes that the models know"),
    ("precision_trained", "Precision, trained", "all classes that the models know"),
    ("recall_trained", "Recall, trained", "all classes that the models know"),
)
_PICTURES = (
    ("pr_curve", "Precision against recall"),
    ("roc_classic_curve", "True against false positive rate"),
    ("pr_per_threshold", "Precision and recall by threshold"),
)
_STYLE = """
:root{--ink:#1b1f23;--soft:#57606a;--line:#d8dee4;--back:#fff;--band:#f6f8fa;--blue:#0072b2;--warn:#fff4d6}
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif;color:var(--ink);background:var(--back)}
main{max-width:1120px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:36px 0 10px}
p{margin:6px 0}.soft{color:var(--soft)}
nav a{margin-right:16px}a{color:var(--blue)}
.notes{background:var(--warn);border-radius:6px;padding:8px 16px;margin:16px 0}
.notes ul{margin:4px 0;padding-left:20px}
table{border-collapse:collapse;width:100%}
th,td{padding:5px 10px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{background:var(--band);font-weight:600;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
table.sortable th{cursor:pointer}
.scroll,.wide{overflow-x:auto}
.scroll td:not(.n){min-width:7em}.scroll td:is(.soft,.names){min-width:17em}
.range{position:relative;height:10px;background:var(--band);border-radius:5px;min-width:160px;margin-top:6px}
.range i{position:absolute;top:0;height:10px;background:#9ecae1;border-radius:5px}
.range b{position:absolute;top:-2px;width:3px;height:14px;background:var(--blue)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(310px,1fr));gap:16px}
.plots img{max-width:100%;height:auto}
.wide img{max-width:max(100%,680px);height:auto}
.examples{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:16px}
figure{margin:0;border:1px solid var(--line);border-radius:6px;padding:8px;scroll-margin-top:12px}
figure:target{outline:3px solid var(--blue)}figure img{width:100%;height:auto;display:block}
figcaption{font-size:13px;overflow-wrap:anywhere}
"""
_SORT = """
document.querySelectorAll("table.sortable").forEach(function(table){
  table.querySelectorAll("th").forEach(function(head,column){
    head.addEventListener("click",function(){
      var down=head.dataset.down!=="1",rows=Array.from(table.tBodies[0].rows);
      table.querySelectorAll("th").forEach(function(other){delete other.dataset.down});
      head.dataset.down=down?"1":"0";
      rows.sort(function(a,b){
        var x=a.cells[column].textContent,y=b.cells[column].textContent,u=parseFloat(x),v=parseFloat(y);
        var order=isNaN(u)||isNaN(v)?(isNaN(u)&&isNaN(v)?x.localeCompare(y):(isNaN(u)?-1:1)):u-v;
        return down?-order:order});
      rows.forEach(function(row){table.tBodies[0].appendChild(row)})})})});
"""


def write_page(
    path: str | Path,
    report: UnitReport,
    folder: str | Path,
    examples: Sequence[Example],
    pictures: Sequence[bytes | None],
    recordings_dir: str | Path,
) -> None:
    """Write the page of a test.

    Parameters
    ----------
    path
        The page.
    report
        The test.
    folder
        Where `write_report` left its pictures.
    examples, pictures
        Worst mistakes and their spectrograms (`draw_examples`).
    recordings_dir
        Where the recordings were looked for.
    """
    data = report.data
    title = f"Test per {data.unit}"
    body = [
        f"<h1>{title}</h1>",
        f'<p class="soft">{_intro(report)}</p>',
        '<nav><a href="#figures">Figures</a><a href="#curves">Curves</a><a href="#classes">Classes</a>'
        '<a href="#missed">Missed for what</a><a href="#false">Worst false positives</a>'
        '<a href="#misses">Worst misses</a></nav>',
        _notes(report.notes()),
        '<h2 id="figures">Figures</h2>',
        _figures(report),
        '<h2 id="curves">Curves</h2>',
        _curves(report, Path(folder)),
        '<h2 id="classes">Classes</h2>',
        _classes(report, examples),
        _wide(Path(folder) / "detection_curves.png", "Precision and recall of each class by threshold"),
        '<h2 id="missed">What was said where a class was missed</h2>',
        _wide(Path(folder) / "confusion.png", "Classes wrongly detected where another was missed")
        or "<p>Nothing was missed at the threshold.</p>",
        _examples(report, examples, pictures, recordings_dir),
        f'<p class="soft">britekit {escape(__version__)}; all tables lie beside this page as CSV.</p>',
    ]
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
    )
    text = "\n".join(part for part in body if part)
    write_text(path, f"{head}\n<body><main>\n{text}\n</main><script>{_SORT}</script></body></html>\n")


def _intro(report: UnitReport) -> str:
    data = report.data
    hours = float(data.seconds_R.sum()) / 3600
    units = "" if data.unit == "recording" else f", {data.unit}s: {units_line(report)}"
    return escape(
        f"{len(data.recordings)} recordings ({hours:.2f} h){units}; {len(data.annotated)} of "
        f"{len(data.labels)} trained classes annotated; scores from {data.source.path.name}; threshold "
        f"{report.threshold:g}, on {report.decisions.basis}."
    )


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<div class="notes"><b>To know</b><ul>{items}</ul></div>' if items else ""


def _figures(report: UnitReport) -> str:
    figures, rows = report.metrics(), []
    if report.wanted_precision is not None:
        rows.append(
            f"<tr><td><b>TP seconds at precision {report.wanted_precision:g}</b></td>"
            f'<td class="n">{figures["tp_seconds_at_precision"]:.1f} s</td><td></td><td></td>'
            '<td class="soft">most seconds of true detections at a threshold of that precision</td></tr>'
        )
    for key, name, meaning in _FIGURES:
        value = figures.get(key)
        if value is None:
            continue
        found = report.intervals.get(key)
        shown, bar = "", ""
        if math.isnan(value):
            text = "not defined"
        else:
            text = f"{value:.3f}"
            if found is not None and not math.isnan(found.low):
                shown = f"{found.low:.3f} – {found.high:.3f}"
                low, high = max(found.low, 0.0), min(found.high, 1.0)
                place = f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"
                bar = (
                    f'<div class="range"><i style="{place}"></i><b style="left:{100 * value:.1f}%"></b></div>'
                )
        rows.append(
            f'<tr><td><b>{name}</b></td><td class="n">{text}</td><td class="n">{shown}</td><td>{bar}</td>'
            f'<td class="soft">{meaning}</td></tr>'
        )
    head = '<th>Figure</th><th class="n">Value</th><th class="n">95 % interval</th><th></th><th>Meaning</th>'
    said = (
        '<p class="soft">Intervals by resampling recordings: what another set of as many recordings like '
        "these would show.</p>"
        if report.intervals
        else ""
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"</div>{said}"
    )


def _curves(report: UnitReport, folder: Path) -> str:
    endings = ("",) if report.data.unit == "recording" else ("_annotated", "_trained")
    shown = []
    for ending in endings:
        for name, words in _PICTURES:
            source = _data_uri(folder / f"{name}{ending}.png")
            if source:
                which = ending.removeprefix("_") or "annotated"
                shown.append(f'<img src="{source}" alt="{words}, {which} classes" loading="lazy">')
    return f'<div class="plots">{"".join(shown)}</div>'


def _classes(report: UnitReport, examples: Sequence[Example]) -> str:
    first: dict[str, list[str]] = {}
    for number, example in enumerate(examples):
        first.setdefault(example.label, []).append(
            f'<a href="#e{number}">{"false" if example.kind == "false positive" else "missed"}</a>'
        )
    header, *rows = annotated_class_rows(report)
    head = f"<th>{escape(str(header[0]))}</th>" + "".join(
        f'<th class="n">{escape(str(name))}</th>' for name in header[1:]
    )
    lines = []
    for name, *cells in rows:
        numbers = "".join(f'<td class="n">{escape(str(cell)) or "–"}</td>' for cell in cells)
        links = " ".join(first.get(str(name), []))
        lines.append(f"<tr><td>{escape(str(name))}</td>{numbers}<td>{links}</td></tr>")
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}<th>examples</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _examples(
    report: UnitReport,
    examples: Sequence[Example],
    pictures: Sequence[bytes | None],
    recordings_dir: str | Path,
) -> str:
    parts = []
    for kind, anchor, heading, empty in (
        ("false positive", "false", "Worst false positives", "No false positive at the threshold."),
        ("miss", "misses", "Worst misses", "No miss at the threshold."),
    ):
        numbered = [(k, example) for k, example in enumerate(examples) if example.kind == kind]
        parts.append(f'<h2 id="{anchor}">{heading}</h2>')
        if not numbered:
            parts.append(f"<p>{empty}</p>")
            continue
        drawn = [pictures[k] for k, _ in numbered]
        if not any(drawn):
            parts.append(
                f'<p class="soft">Spectrograms need the recordings, and {escape(str(recordings_dir))} holds '
                "none of these; name their folder with --recordings.</p>"
            )
        word = "probability" if report.decisions.fitted else "score"
        shown = {k for (k, _), picture in zip(numbered, drawn, strict=True) if picture}
        parts.append(_example_table(numbered, shown, word))
        figures = [
            _figure(k, example, picture, word)
            for (k, example), picture in zip(numbered, drawn, strict=True)
            if picture
        ]
        parts.append(f'<div class="examples">{"".join(figures)}</div>' if figures else "")
    return "\n".join(parts)


def _example_table(numbered: Sequence[tuple[int, Example]], drawn: set[int], word: str) -> str:
    """Return the examples as a table; one without a picture is what links to it lead to."""

    def begin(k: int, label: str) -> str:
        name = escape(label)
        return f'<tr><td><a href="#e{k}">{name}</a></td>' if k in drawn else f'<tr id="e{k}"><td>{name}</td>'

    rows = "".join(
        f'{begin(k, x.label)}<td class="n">{x.value:.3f}</td>'
        f'<td>{escape(x.recording)}</td><td class="n">{_clock(x.start_s)}</td>'
        f'<td class="names">{escape(", ".join(x.heard)) or "–"}</td>'
        f'<td class="names">{escape(", ".join(x.said)) or "–"}</td></tr>'
        for k, x in numbered
    )
    head = (
        f'<th>Class</th><th class="n">{word.capitalize()}</th><th>Recording</th><th class="n">At</th>'
        "<th>Annotated there</th><th>Detected there</th>"
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _figure(number: int, example: Example, picture: bytes, word: str) -> str:
    source = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
    what = (
        "detected, but not annotated" if example.kind == "false positive" else "annotated, but not detected"
    )
    heard = ", ".join(example.heard) or "nothing"
    caption = (
        f"<b>{escape(example.label)}</b> {what} ({word} {example.value:.3f})<br>"
        f"{escape(example.recording)} at {_clock(example.start_s)}; annotated there: {escape(heard)}"
    )
    alt = escape(f"Spectrogram of {example.recording} at {_clock(example.start_s)}", quote=True)
    return (
        f'<figure id="e{number}"><img src="{source}" alt="{alt}" loading="lazy">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _wide(path: Path, alt: str) -> str:
    source = _data_uri(path)
    return f'<div class="wide"><img src="{source}" alt="{escape(alt, quote=True)}"></div>' if source else ""


def _data_uri(path: Path) -> str:
    """Return a picture of this run as text; empty if there is none."""
    current = waiting_path(path)
    if not current.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(current.read_bytes()).decode()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{minutes}:{rest:05.2f}"
    return f"{hours}:{minutes:02}:{rest:05.2f}" if hours else shown
