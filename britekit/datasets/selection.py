"""Which spectrograms of a group go into a pickle, and with which labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.database.absences import absences
from britekit.database.recordings import group_ids
from britekit.database.schema import Class, Segment, SegmentAbsence, SegmentClass, SpecValue
from britekit.errors import DatabaseError, suggest

log = logging.getLogger(__name__)

# Fixed, so that a second group of the same segments is thinned to the same ones.
_SEED = 101
_FETCH = 10_000
_SPOKEN = {"code": "code", "alt_name": "alternate name", "alt_code": "alternate code"}


@dataclass(frozen=True)
class Selection:
    """The chosen spectrograms, ascending by segment."""

    classes: list[ClassInfo]
    """In the order of their indexes."""
    value_ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    recording_ids: NDArray[np.int64]
    group_ids: NDArray[np.int64]
    """(N,) int64."""
    label_starts: NDArray[np.int64]
    label_classes: NDArray[np.int64]
    """Class indexes of spectrogram n: ``label_classes[label_starts[n]:label_starts[n + 1]]``."""
    absent: dict[int, list[int]] = field(default_factory=dict)
    """By segment, of those of which only part is known: the class indexes known not to be heard."""

    def counts(self) -> dict[str, int]:
        """Return the number of spectrograms of each class."""
        numbers = np.bincount(self.label_classes, minlength=len(self.classes))
        return {info.name: int(number) for info, number in zip(self.classes, numbers)}


def select_spectrograms(
    session: Session,
    group_id: int,
    wanted: Sequence[ClassInfo] | None = None,
    max_per_class: int | None = None,
    keep_mixed: bool = False,
) -> Selection:
    """Choose the spectrograms of a group that carry the wanted classes, or are known not to.

    Raises `DatabaseError` for a class that is unknown, has no code or has no spectrogram; all of them are named.

    Parameters
    ----------
    wanted
        Classes in the order of their indexes; default: all of the database, by name.
    max_per_class
        Most spectrograms per class. The choice depends on segment IDs alone, classes with few segments choose
        first, and a segment of several classes counts for each; of segments in which a class was only
        rejected, as many again.
    keep_mixed
        Keep segments that also carry another class, ignoring that class; otherwise they are left out.
    """
    class_ids, classes = _resolve(session, wanted)
    index_of = {class_id: index for index, class_id in enumerate(class_ids)}
    # Files of other programs may hold links without a class.
    carrying = select(SegmentClass.segment_id).where(SegmentClass.class_id.is_not(None))
    if wanted is not None:
        carrying = carrying.where(SegmentClass.class_id.in_(class_ids))
    judged: Any = carrying
    if session.info["has_absences"]:
        judged = carrying.union_all(select(SegmentAbsence.segment_id).where(SegmentAbsence.class_id.in_(class_ids)))
    values = _fetch(
        session,
        select(SpecValue.segment_id, SpecValue.id, Segment.recording_id)
        .join(Segment, Segment.id == SpecValue.segment_id)
        .where(SpecValue.specgroup_id == group_id, SpecValue.segment_id.in_(judged))
        .order_by(SpecValue.segment_id),
        3,
    )
    links = _fetch(
        session,
        select(SegmentClass.segment_id, SegmentClass.class_id)
        .where(SegmentClass.segment_id.in_(judged), SegmentClass.class_id.is_not(None))
        .order_by(SegmentClass.segment_id),
        2,
    )
    label_segments = links[:, 0]
    label_classes = np.array([index_of.get(class_id, -1) for class_id in links[:, 1].tolist()], dtype=np.int64)
    if not keep_mixed:
        mixed = np.unique(label_segments[label_classes < 0])
        values = values[~np.isin(values[:, 0], mixed)]
    stays = (label_classes >= 0) & np.isin(label_segments, values[:, 0])
    label_segments, label_classes = label_segments[stays], label_classes[stays]
    absent = _absent(session, index_of, label_segments, label_classes, values[:, 0])
    if max_per_class is not None:
        chosen = _thin(label_segments, label_classes, len(classes), max_per_class)
        chosen = np.union1d(chosen, _thin_absent(absent, label_segments, len(classes), max_per_class))
        values = values[np.isin(values[:, 0], chosen)]
        stays = np.isin(label_segments, chosen)
        label_segments, label_classes = label_segments[stays], label_classes[stays]
    order = np.lexsort((label_classes, label_segments))
    label_segments, label_classes = label_segments[order], label_classes[order]
    starts = np.searchsorted(label_segments, values[:, 0])
    group_of = group_ids(session)
    recordings = values[:, 2]
    selection = Selection(
        classes=classes,
        value_ids=values[:, 1],
        segment_ids=values[:, 0],
        recording_ids=recordings,
        group_ids=np.array([group_of.get(recording, recording) for recording in recordings.tolist()], np.int64),
        label_starts=np.append(starts, len(label_segments)).astype(np.int64),
        label_classes=label_classes,
        absent={key: absent[key] for key in values[:, 0].tolist() if key in absent} if absent else {},
    )
    _refuse_empty(session, selection, hint=wanted is not None and not keep_mixed)
    return selection


def _resolve(session: Session, wanted: Sequence[ClassInfo] | None) -> tuple[list[int], list[ClassInfo]]:
    """Return IDs and labels of the wanted classes; what the database lacks comes from the class list."""
    rows = {row.name: row for row in session.scalars(select(Class))}
    # Sorted here and not by the database: servers have orders of their own.
    order = sorted(rows) if wanted is None else [info.name for info in wanted]
    unknown = [name for name in order if name not in rows]
    where = session.info["where"]
    if unknown:
        listed = ", ".join(f'"{name}"' for name in unknown)
        raise DatabaseError(f"{where} has no class {listed}{suggest(unknown[0], rows)}")
    if not order:
        raise DatabaseError(f"{where} has no class")
    listed_infos = {info.name: info for info in wanted or ()}
    classes = []
    for name in order:
        row, info = rows[name], listed_infos.get(name, ClassInfo(name))
        classes.append(
            ClassInfo(name, row.code or info.code, row.alt_name or info.alt_name, row.alt_code or info.alt_code)
        )
    without = [info.name for info in classes if not info.code]
    if without:
        listed = ", ".join(f'"{name}"' for name in without)
        raise DatabaseError(f"{where}: no code for class {listed}; give each a Code in the class list")
    owners: dict[str, str] = {}
    for info in classes:
        owner = owners.setdefault(info.code, info.name)
        if owner != info.name:
            raise DatabaseError(
                f'{where}: classes "{owner}" and "{info.name}" have the same code "{info.code}"; '
                "labels could not distinguish them; give one of them another code"
            )
    for info, listed_info in zip(classes, wanted or ()):
        for part in ("code", "alt_name", "alt_code"):
            kept, other = getattr(info, part), getattr(listed_info, part)
            if other and other != kept:
                log.warning(
                    'class "%s" has the %s "%s" in %s, which is kept, and "%s" in the class list',
                    info.name, _SPOKEN[part], kept, where, other,
                )  # fmt: skip
    return [rows[name].id for name in order], classes


def _fetch(session: Session, query: Any, columns: int) -> NDArray[np.int64]:
    """Return the rows of a query over integers as an array, without a Python object per row at once."""
    # Rows come a part at a time; a server would otherwise send all of them at once.
    parts = session.execute(query.execution_options(yield_per=_FETCH)).partitions()
    arrays = [np.array([tuple(row) for row in rows], dtype=np.int64) for rows in parts]
    return np.concatenate([np.empty((0, columns), dtype=np.int64), *arrays])


def _thin(segments: NDArray[np.int64], classes: NDArray[np.int64], num_classes: int, most: int) -> NDArray[np.int64]:
    """Return the segments kept when no class may have more than ``most``."""
    of_segment: dict[int, list[int]] = {}
    for segment, index in zip(segments.tolist(), classes.tolist()):
        of_segment.setdefault(segment, []).append(index)
    totals = np.bincount(classes, minlength=num_classes)
    room = [most] * num_classes
    chosen: set[int] = set()
    for index in np.argsort(totals, kind="stable").tolist():
        candidates = np.unique(segments[classes == index])
        for segment in candidates[np.argsort(_lot(candidates), kind="stable")].tolist():
            if not room[index]:
                break
            if segment in chosen or not all(room[other] for other in of_segment[segment]):
                continue
            chosen.add(segment)
            for other in of_segment[segment]:
                room[other] -= 1
    return np.array(sorted(chosen), dtype=np.int64)


def _absent(
    session: Session,
    index_of: dict[int, int],
    label_segments: NDArray[np.int64],
    label_classes: NDArray[np.int64],
    segments: NDArray[np.int64],
) -> dict[int, list[int]]:
    """Return the classes known not to be heard, by segment; a class that it is linked to is heard."""
    found = absences(session)
    if not found:
        return {}
    partly = np.isin(label_segments, list(found))
    heard = set(zip(label_segments[partly].tolist(), label_classes[partly].tolist()))
    there = set(segments.tolist())
    return {
        segment: sorted(
            index for key in classes if (index := index_of.get(key, -1)) >= 0 and (segment, index) not in heard
        )
        for segment, classes in found.items()
        if segment in there
    }


def _thin_absent(
    absent: dict[int, list[int]], heard: NDArray[np.int64], num_classes: int, most: int
) -> NDArray[np.int64]:
    """Return the segments in which no class is heard that are kept, at most ``most`` for each class rejected there."""
    only = set(absent) - set(heard.tolist())
    pairs = [(segment, index) for segment in sorted(only) for index in absent[segment]]
    if not pairs:
        return np.empty(0, np.int64)
    segments, classes = np.array(pairs, np.int64).T
    return _thin(segments, classes, num_classes, most)


def _lot(segments: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a random number per segment that depends on its ID alone (the mixer of SplitMix64)."""
    x = segments.astype(np.uint64) + np.uint64(_SEED * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _refuse_empty(session: Session, selection: Selection, hint: bool) -> None:
    empty = [name for name, count in selection.counts().items() if not count]
    if empty:
        listed = ", ".join(f'"{name}"' for name in empty)
        mixed = " (segments that also carry a class left out do not count; see --keep-mixed)" if hint else ""
        raise DatabaseError(f"{session.info['where']} has no spectrogram of class {listed} in this group{mixed}")
