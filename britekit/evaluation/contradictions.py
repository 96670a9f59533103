"""Find stored training segments that the models contradict: their own class scores low, or another one high.

Every spectrogram is scored once. Only the scores of its classes and the highest score of any other class are kept, so
memory grows slowly with the number of spectrograms.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.database.absences import absences
from britekit.database.classes import require_class
from britekit.database.embeddings import iter_stored
from britekit.database.schema import Class, Recording, Segment, SegmentClass, SpecValue
from britekit.database.spectrograms import decode, require_group
from britekit.datasets.storing import warn_of_settings
from britekit.errors import DatabaseError, InputError, some
from britekit.evaluation.occluding import frame_count, occlusion_scores
from britekit.inference.ensemble import Ensemble
from britekit.progress import Meter

_BATCH = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contradicted:
    """One stored spectrogram of a class, with its scores."""

    value_id: int
    segment_id: int
    recording: str
    offset: float
    score: float
    """Of the class, 0 to 1."""
    rival: ClassInfo | None
    rival_score: float
    """Highest-scoring class that the segment does not have; None if it has all."""
    occluded: NDArray[np.float32] | None = None
    """(2, n - 1) scores of the class without the first, and without the last, 1 … n - 1 frames."""


@dataclass
class ClassView:
    """All spectrograms of one class, lowest scores first."""

    info: ClassInfo
    rows: list[Contradicted] = field(default_factory=list)
    rival_means: list[tuple[ClassInfo, float]] = field(default_factory=list)
    """Other classes with their mean score over these spectrograms, highest first."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) scores of the class, ascending."""
        return np.array([row.score for row in self.rows])


def find_contradictions(
    session: Session,
    ensemble: Ensemble,
    names: Sequence[str] | None = None,
    group: str = "default",
    occlude: bool = False,
) -> list[ClassView]:
    """Score the stored spectrograms of classes.

    Raises `DatabaseError` if a class or group does not exist, the models do not know a class, nothing is stored, or a
    spectrogram does not have the size that the models take.

    Parameters
    ----------
    ensemble
        Loaded models; its scores are not calibrated.
    occlude
        Also score each spectrogram without its first and without its last frames, see `occlusion_scores`.

    Returns
    -------
    list
        A view of each class that has spectrograms, by name.
    """
    group_id = require_group(session, group)
    warn_of_settings(session, group_id, group, ensemble.audio)
    column_of = {info.name: column for column, info in enumerate(ensemble.classes)}
    chosen = _chosen(session, names, column_of)
    links, absent = _links(session), absences(session)
    class_names = {row.id: row.name for row in session.scalars(select(Class))}
    views = {column_of[name]: ClassView(ensemble.classes[column_of[name]]) for name in chosen}
    sums_CC = np.zeros((len(ensemble.classes), len(ensemble.classes)))
    counts_CC = np.zeros(sums_CC.shape, dtype=np.int64)
    values = _values(session, group_id, list(chosen.values()))
    meter = Meter(len(values), "analyze-db")
    ids = [value for value, *_ in values]
    about = {value: (segment, recording, offset) for value, segment, recording, offset in values}
    try:
        for keys, scores_BC, occluded in _scored(session, ensemble, ids, frame_count(ensemble) if occlude else 0):
            for place, (key, scores_C) in enumerate(zip(keys, scores_BC, strict=True)):
                segment, recording, offset = about[key]
                own = {column_of.get(class_names[c], -1) for c in links[segment]}
                others = np.ones(len(scores_C), dtype=bool)
                if segment in absent:  # of the others nothing is known
                    others[:] = False
                    others[[c for key in absent[segment] if (c := column_of.get(class_names[key], -1)) >= 0]] = True
                others[[c for c in own if c >= 0]] = False
                rival = int(np.argmax(np.where(others, scores_C, -1))) if others.any() else -1
                for column in own & views.keys():
                    sums_CC[column] += np.where(others, scores_C, 0)
                    counts_CC[column] += others
                    views[column].rows.append(
                        Contradicted(
                            key, segment, recording, offset, float(scores_C[column]),
                            None if rival < 0 else ensemble.classes[rival],
                            float("nan") if rival < 0 else float(scores_C[rival]),
                            None if occluded is None else occluded[:, :, place, column].copy(),
                        )
                    )  # fmt: skip
            meter.advance(len(keys))
        meter.finish()
    finally:
        meter.close()
    found = [view for _, view in sorted(views.items(), key=lambda item: item[1].info.name) if view.rows]
    if not found:
        raise DatabaseError(
            f'{session.info["where"]} has no spectrogram of these classes in group "{group}"; extract some first'
        )
    for view in found:
        column = column_of[view.info.name]
        view.rows.sort(key=lambda row: (row.score, row.recording, row.offset))
        seen = np.flatnonzero(counts_CC[column])
        means = sums_CC[column, seen] / counts_CC[column, seen]
        order = np.argsort(-means, kind="stable")
        view.rival_means = [(ensemble.classes[seen[k]], float(means[k])) for k in order]
    return found


def _chosen(session: Session, names: Sequence[str] | None, column_of: dict[str, int]) -> dict[str, int]:
    """Return name and ID of the classes to score."""
    if names is None:
        stored = {row.name: row.id for row in session.scalars(select(Class))}
        unknown = sorted(set(stored) - set(column_of))
        if unknown:
            log.warning("the models do not know %s: left out", some(unknown, 5))
        known = {name: key for name, key in stored.items() if name in column_of}
        if not known:
            raise DatabaseError(
                f"the models know none of the classes of {session.info['where']}; choose other checkpoints"
            )
        return known
    chosen = {name: require_class(session, name).id for name in names}
    for name in chosen:
        if name not in column_of:
            raise DatabaseError(
                f'class "{name}" is in {session.info["where"]}, but not known to the models; leave it out'
            )
    return chosen


def _links(session: Session) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for segment, class_id in session.execute(select(SegmentClass.segment_id, SegmentClass.class_id)):
        if segment is not None and class_id is not None:
            found.setdefault(segment, []).append(class_id)
    return found


def _values(session: Session, group_id: int, class_ids: list[int]) -> list[tuple[int, int, str, float]]:
    """Return ID, segment, recording and offset of each stored spectrogram of the classes, once."""
    carrying = select(SegmentClass.segment_id).where(SegmentClass.class_id.in_(class_ids))
    query = (
        select(SpecValue.id, Segment.id, Recording.filename, Segment.offset)
        .join(Segment, Segment.id == SpecValue.segment_id)
        .join(Recording, Recording.id == Segment.recording_id)
        .where(SpecValue.specgroup_id == group_id, Segment.id.in_(carrying))
        .order_by(SpecValue.id)
    )
    return [(value, segment, name, offset) for value, segment, name, offset in session.execute(query)]


def _scored(
    session: Session, ensemble: Ensemble, value_ids: list[int], frames: int
) -> Iterator[tuple[list[int], NDArray[np.float32], NDArray[np.float32] | None]]:
    """Yield IDs, scores (B, C) and, with a number of frames, the scores (2, n - 1, B, C) without some of them."""
    if ensemble.takes_sound:
        raise InputError("a probe that takes sound cannot score stored spectrograms; name a checkpoint with --ckpt")
    height, width = ensemble.audio.spec_height, ensemble.audio.spec_width
    for rows in iter_stored(session, value_ids, _BATCH):
        images = np.empty((len(rows), height, width), np.float32)
        for place, (_key, segment, value) in enumerate(rows):
            images[place] = stored_image(session, segment, value, height, width)
        scores_BC, _ = ensemble.score(images)
        occluded = occlusion_scores(ensemble, images, frames) if frames else None
        yield [key for key, _, _ in rows], scores_BC, occluded


def stored_image(session: Session, segment: int, value: bytes, height: int, width: int) -> NDArray[np.float32]:
    """Return a stored spectrogram with values 0 to 1; raises `DatabaseError` if it has another size."""
    try:
        return decode(value, height, width).astype(np.float32) / np.float32(255)
    except ValueError as error:
        raise DatabaseError(
            f"{session.info['where']}: the spectrogram of segment {segment} is not one of the {height} × {width} that "
            f"the models take: {error}; choose another --sgroup, or extract with the models' audio settings"
        ) from None
