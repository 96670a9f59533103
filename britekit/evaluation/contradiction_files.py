"""Write the output of analyze-db: tables, a summary, pictures of the most contradicted segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from britekit.config import AudioConfig
from britekit.database.embeddings import iter_stored
from britekit.datasets.occlusion import occlusion_columns
from britekit.evaluation.contradictions import ClassView, Contradicted, stored_image
from britekit.evaluation.matrix_file import write_table
from britekit.files import together, write_text
from britekit.plots.axis_ticks import row_centers_hz
from britekit.plots.contact_sheet import ContactSheet
from britekit.plots.spectrogram import SpectrogramPlot

_QUANTILES = (0.1, 0.2, 0.3)
_RIVALS = 3
# Pictures of the whole database on the contact sheet that is always written.
SHEET_SIZE = 72


def write_contradictions(folder: str | Path, views: Sequence[ClassView], max_score: float, facts: str) -> list[Path]:
    """Write ``class_summary.csv``, ``summary.txt`` and a table for each class; all appear together.

    Parameters
    ----------
    max_score
        Only spectrograms with a lower score are listed in the tables of classes; all if they were occluded.
    """
    place = Path(folder)
    with together():
        written = [write_table(place / "class_summary.csv", [_HEAD, *(_summary_row(v) for v in views)])]
        for view, name in zip(views, file_names(views), strict=True):
            occluded = view.rows[0].occluded
            head = _DETAILS if occluded is None else (*_DETAILS, *occlusion_columns(occluded.shape[1] + 1))
            rows = [
                (
                    number, row.segment_id, row.recording, f"{row.offset:.2f}", f"{row.score:.3f}",
                    *_rival_cells(row), *_occluded_cells(row),
                )
                for number, row in enumerate(view.rows if occluded is not None else below(view, max_score), start=1)
            ]  # fmt: skip
            written.append(write_table(place / f"{name}.csv", [head, *rows]))
        write_text(place / "summary.txt", _summary_text(views, max_score, facts))
    return [*written, place / "summary.txt"]


_HEAD = ("Name", "Code", "Spectrograms", "Mean", "Quantile .1", "Quantile .2", "Quantile .3",
         *(f"FP{k} {what}" for k in range(1, _RIVALS + 1) for what in ("Name", "Mean")))  # fmt: skip
_DETAILS = ("#", "Segment ID", "Recording", "Offset", "Score", "FP Name", "FP Code", "FP Score")


def _rival_cells(row: Contradicted) -> tuple[str, str, str]:
    return ("", "", "") if row.rival is None else (row.rival.name, row.rival.code, f"{row.rival_score:.3f}")


def _occluded_cells(row: Contradicted) -> list[str]:
    return [] if row.occluded is None else [f"{score:.3f}" for score in row.occluded.ravel()]


def below(view: ClassView, max_score: float) -> list[Contradicted]:
    """Return the spectrograms of a class with a score below a bound, the lowest first."""
    return [row for row in view.rows if row.score < max_score]


def file_names(views: Sequence[ClassView]) -> list[str]:
    """Return a file name for each class: its code, else its name; unique on any file system."""
    taken = {"class_summary"}
    names = []
    for view in views:
        text = view.info.code or view.info.name
        name = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in text).strip(". ") or "_"
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        names.append(name)
    return names


def plot_contradictions(
    folder: str | Path, session: Session, views: Sequence[ClassView], audio: AudioConfig, max_score: float
) -> int:
    """Write ``{class}/{rank}-{stem}-{offset}-{score}.jpeg`` of each spectrogram below the bound.

    Existing pictures are kept. Return the number of new ones.
    """
    plot = SpectrogramPlot(row_centers_hz(audio))
    count = 0
    for view, name in zip(views, file_names(views), strict=True):
        rows = list(enumerate(below(view, max_score), start=1))
        targets = {
            row.value_id: Path(folder) / name / f"{k}-{Path(row.recording).stem}-{row.offset:.2f}-{row.score:.3f}.jpeg"
            for k, row in rows
        }
        for row, image in _images(session, [row for _, row in rows], audio):
            target = targets[row.value_id]
            if not target.exists():
                plot.save(target, image, audio.spec_duration, row.offset, _caption(view, row))
                count += 1
    return count


def write_sheet(folder: str | Path, session: Session, views: Sequence[ClassView], audio: AudioConfig) -> list[Path]:
    """Write ``most_contradicted.jpeg``: the spectrograms with the lowest scores over all classes."""
    pairs = sorted(((row, view) for view in views for row in view.rows), key=lambda pair: pair[0].score)[:SHEET_SIZE]
    view_of = {id(row): view for row, view in pairs}
    place = Path(folder)

    def page(number: int) -> Path:
        return place / ("most_contradicted.jpeg" if number == 1 else f"most_contradicted-{number}.jpeg")

    legend = (
        f"Width {audio.spec_duration:g} s, height {audio.min_freq} to {audio.max_freq} Hz; class, score, "
        "recording and offset in seconds"
    )
    with ContactSheet(page, "Training segments that the models contradict most", legend) as sheet:
        for row, image in _images(session, [row for row, _ in pairs], audio):
            info = view_of[id(row)].info
            sheet.add(image, f"{info.code or info.name} {row.score:.3f} {Path(row.recording).stem} {row.offset:.2f}")
    return sheet.pages


def _images(
    session: Session, rows: Iterable[Contradicted], audio: AudioConfig
) -> Iterator[tuple[Contradicted, NDArray[np.float32]]]:
    """Yield each row with its spectrogram, in order, holding few in memory."""
    for row in rows:
        for found in iter_stored(session, [row.value_id], 1):
            for _key, segment, value in found:
                yield row, stored_image(session, segment, value, audio.spec_height, audio.spec_width)


def _caption(view: ClassView, row: Contradicted) -> str:
    rival = "" if row.rival is None else f"; {row.rival.name} {row.rival_score:.3f}"
    return f"{view.info.name} {row.score:.3f}{rival}"


def _summary_row(view: ClassView) -> tuple[object, ...]:
    scores = view.scores
    rivals: list[str] = []
    for info, mean in view.rival_means[:_RIVALS]:
        rivals += [info.name, f"{mean:.3f}"]
    rivals += [""] * (2 * _RIVALS - len(rivals))
    quantiles = [f"{np.quantile(scores, q):.3f}" for q in _QUANTILES]
    return (view.info.name, view.info.code, len(scores), f"{scores.mean():.3f}", *quantiles, *rivals)


def _summary_text(views: Sequence[ClassView], max_score: float, facts: str) -> str:
    every = np.concatenate([view.scores for view in views])
    lines = ["Models on stored spectrograms", "", facts, ""]
    lines += [
        f"  Spectrograms by class:  {len(every)} in {len(views)} classes",
        f"  Mean score:             {every.mean():.3f}",
    ]
    lines += [f"  Below {max_score:g}:             {int((every < max_score).sum())}", ""]
    lines += ["Classes by the 10th percentile of their scores", ""]
    for view in sorted(views, key=lambda v: float(np.quantile(v.scores, 0.1))):
        rival = view.rival_means[0] if view.rival_means else None
        also = "" if rival is None else f", next {rival[0].name} {rival[1]:.3f}"
        lines.append(
            f"  {np.quantile(view.scores, 0.1):.3f}  {view.info.name} ({len(view.rows)}, "
            f"mean {view.scores.mean():.3f}{also})"
        )
    lines += ["", "Models that were trained on these spectrograms have learned some of their errors: what they still"]
    lines += ["contradict deserves a look first, but what they agree with is not necessarily right."]
    return "\n".join(lines) + "\n"
