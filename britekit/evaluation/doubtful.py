"""Find stored segments whose labels are doubtful, by models that were trained without them.

Folds of a cross-validation score each segment; confident learning (`britekit.metrics.confident_learning`) says which
labels are probably wrong. What a model has learned by heart it does not doubt, hence the folds.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig
from britekit.database.embeddings import iter_stored
from britekit.database.schema import Recording, Segment, SpecValue
from britekit.database.spectrograms import require_group
from britekit.datasets.curation_rows import COLUMNS as DECISION_COLUMNS
from britekit.datasets.training_set import TrainingSet, read_training_set
from britekit.errors import InputError, some
from britekit.evaluation.contradictions import stored_image
from britekit.evaluation.matrix_file import write_table
from britekit.files import together
from britekit.metrics.confident_learning import confusions, doubted, doubted_cells
from britekit.plots.contact_sheet import ContactSheet

COLUMNS = ("rank", "recording", "start", "end", "class", "labelled", "score", "rival", "rival_score", "segment_id")
CONFUSION_COLUMNS = ("class", "taken_for", "segments", "of", "share", "mean_score")
QUEUE_COLUMNS = ("recording", "start", "end", "name", "score")
SHEET_SIZE = 72


@dataclass(frozen=True)
class Doubt:
    """A segment and a class of which its label is probably wrong."""

    row: int
    """In the training file."""
    column: int
    labeled: bool
    """Whether the segment has the class, and probably does not hold it; else it probably holds what it lacks."""
    score: float
    """Of the class, by a model that had not seen the segment."""
    rival: int
    """The likeliest class that the segment is not labeled with; -1 if there is none."""


@dataclass
class DoubtReport:
    """All doubts, the strongest first, with the scores they come from."""

    samples: TrainingSet
    score_NC: NDArray[np.float32]
    doubts: list[Doubt]

    def of_class(self, column: int, labeled: bool) -> int:
        """Return the number of doubts about a class."""
        return sum(doubt.column == column and doubt.labeled == labeled for doubt in self.doubts)


def find_doubts(session: Session, cfg: BaseConfig, folds: int, seed: int, group: str = "default") -> DoubtReport:
    """Train ``folds`` times, each time without a part of the training file, and compare its labels with the scores.

    Recordings of a group stay together, so no model scores what it has heard part of.

    Parameters
    ----------
    session
        Of the database that the training file was made from, with this spectrogram group; it is only read.

    Raises
    ------
    InputError
        Fewer than two folds; segments of the training file are not in the database.
    """
    from britekit.training.preparation import without_rejections
    from britekit.training.trainer import train

    if folds < 2:
        raise InputError(f"--folds {folds}: expected at least 2, so that each segment is scored by others' model")
    cfg = copy.deepcopy(cfg)
    cfg.train.num_folds, cfg.train.val_portion, cfg.train.test_pickle = folds, 0.0, None
    samples = read_training_set(
        cfg.train.train_pickle, cfg.train.num_workers, (cfg.audio.spec_height, cfg.audio.spec_width)
    )
    samples = without_rejections(samples, cfg)
    _check_segments(session, samples, group)
    score_NC = np.full(samples.labels.shape, np.nan, np.float32)

    def take(held_out: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        score_NC[held_out] = scores

    with tempfile.TemporaryDirectory() as logs:
        train(cfg, seed=seed, log_root=logs, on_held_out=take)
    return DoubtReport(samples, score_NC, _doubts(samples, score_NC, cfg.train.multi_label))


def _scored(score_NC: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (N,) which samples have scores; folds that stop early may give none."""
    return np.asarray(np.isfinite(score_NC).all(axis=1))


def _doubts(samples: TrainingSet, score_NC: NDArray[np.float32], multi_label: bool) -> list[Doubt]:
    label, known = samples.labels.astype(np.int64), samples.known
    scored = _scored(score_NC)
    if multi_label:
        mask = np.ones_like(label) if known is None else known.astype(np.int64)
        cells = doubted_cells(label, score_NC, mask * scored[:, None])
    else:
        cells = np.zeros(label.shape, bool)
        given = label[scored].argmax(axis=1)
        wrong = doubted(given, score_NC[scored])
        cells[np.flatnonzero(scored)[wrong], given[wrong]] = True
    others = np.where(label > 0, -1.0, score_NC if known is None else np.where(known > 0, score_NC, -1.0))
    found = []
    for row, column in np.argwhere(cells).tolist():
        others_of_row = others[row].copy()
        others_of_row[column] = -1.0
        rival = int(others_of_row.argmax()) if others_of_row.max() >= 0 else -1
        found.append(Doubt(row, column, bool(label[row, column]), float(score_NC[row, column]), rival))
    return sorted(found, key=lambda doubt: (doubt.score if doubt.labeled else 1 - doubt.score, doubt.row, doubt.column))


def write_doubts(
    folder: Path, session: Session, report: DoubtReport, cfg: BaseConfig, root: Path, group: str = "default"
) -> list[Path]:
    """Write the tables, the queue and the contact sheet; return the pages of the sheet.

    Parameters
    ----------
    root
        The folder of recordings that a review of the queue is given.
    """
    samples, classes = report.samples, report.samples.classes
    about = _about(session, samples, report.doubts, group)
    seconds = cfg.audio.spec_duration
    rows, queue, decisions = [], [], []
    for rank, doubt in enumerate(report.doubts, 1):
        segment, _, path, offset = about[doubt.row]
        name = classes[doubt.column].name
        rival = ("", "") if doubt.rival < 0 else (
            classes[doubt.rival].name, f"{report.score_NC[doubt.row, doubt.rival]:.3f}"
        )  # fmt: skip
        rows.append(
            (rank, path.as_posix(), f"{offset:.2f}", f"{offset + seconds:.2f}", name, "yes" if doubt.labeled else "no",
             f"{doubt.score:.3f}", *rival, segment)
        )  # fmt: skip
        below = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        recording = below.with_suffix("").as_posix()
        queue.append((recording, f"{offset:.2f}", f"{offset + seconds:.2f}", name, f"{doubt.score:.3f}"))
        if doubt.labeled:
            decisions.append((path.name, f"{offset:.2f}", name, "drop", ""))
    with together():
        write_table(folder / "doubtful.csv", [COLUMNS, *rows])
        write_table(folder / "confusion.csv", [CONFUSION_COLUMNS, *_confusion_rows(report)])
        write_table(folder / "queue.csv", [QUEUE_COLUMNS, *queue])
        write_table(folder / "curation.csv", [DECISION_COLUMNS, *decisions])
    return _write_sheet(folder, session, report, about, cfg)


def _check_segments(session: Session, samples: TrainingSet, group: str) -> None:
    if samples.segment_ids is None:
        raise InputError("the training file does not name its segments; make it with britekit pickle")
    stored = session.scalars(
        select(SpecValue.segment_id).where(SpecValue.specgroup_id == require_group(session, group))
    )
    if missing := sorted(set(samples.segment_ids.tolist()) - set(stored)):
        raise InputError(
            f"{session.info['where']} lacks {len(missing)} segments of the training file "
            f"({some([str(number) for number in missing], 5)}); name the database that it was made from with -d, or "
            "run pickle again"
        )


def _about(
    session: Session, samples: TrainingSet, doubts: Sequence[Doubt], group: str
) -> dict[int, tuple[int, int, Path, float]]:
    """Return segment, stored spectrogram, path and offset of each row with a doubt."""
    assert samples.segment_ids is not None
    wanted = {int(samples.segment_ids[doubt.row]): doubt.row for doubt in doubts}
    query = (
        select(Segment.id, SpecValue.id, Recording.path, Recording.filename, Segment.offset)
        .join(SpecValue, SpecValue.segment_id == Segment.id)
        .join(Recording, Recording.id == Segment.recording_id)
        .where(SpecValue.specgroup_id == require_group(session, group))
    )
    return {
        wanted[segment]: (segment, value, Path(path or name), offset)
        for segment, value, path, name, offset in session.execute(query)
        if segment in wanted
    }


def _confusion_rows(report: DoubtReport) -> Iterator[tuple[object, ...]]:
    """Yield pairs of classes that are confused at least once, for each class the most frequent first."""
    samples = report.samples
    scored = _scored(report.score_NC)
    known = None if samples.known is None else samples.known[scored]
    seen, taken, mean = confusions(samples.labels[scored], report.score_NC[scored], known)
    names = [info.name for info in samples.classes]
    for c in sorted(range(len(names)), key=names.__getitem__):
        for other in sorted(range(len(names)), key=lambda k: (-taken[c, k], -np.nan_to_num(mean[c, k]), names[k])):
            if other != c and taken[c, other]:
                yield (
                    names[c], names[other], taken[c, other], seen[c, other],
                    f"{taken[c, other] / seen[c, other]:.3f}", f"{mean[c, other]:.3f}",
                )  # fmt: skip


def _write_sheet(
    folder: Path, session: Session, report: DoubtReport, about: dict[int, tuple[int, int, Path, float]], cfg: BaseConfig
) -> list[Path]:
    audio = cfg.audio
    legend = (
        f"Width {audio.spec_duration:g} s, height {audio.min_freq} to {audio.max_freq} Hz; + labeled, - not labeled "
        "with the class; its score, recording and offset in seconds"
    )

    def page(number: int) -> Path:
        return folder / ("doubtful.jpeg" if number == 1 else f"doubtful-{number}.jpeg")

    with ContactSheet(page, "Segments whose labels are probably wrong", legend) as sheet:
        for doubt in report.doubts[:SHEET_SIZE]:
            _, value_id, path, offset = about[doubt.row]
            info: ClassInfo = report.samples.classes[doubt.column]
            sign = "+" if doubt.labeled else "-"
            for found in iter_stored(session, [value_id], 1):
                for _, segment, value in found:
                    image = stored_image(session, segment, value, audio.spec_height, audio.spec_width)
                    sheet.add(image, f"{sign}{info.code or info.name} {doubt.score:.3f} {path.stem} {offset:.2f}")
    return sheet.pages
