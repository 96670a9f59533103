"""The training pickle: chosen spectrograms with their labels in one file.

Values are copied from the database as they are stored, a few hundred at a time, so that memory does not grow
with their number; each is checked to be whole and of the configured size.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.database.schema import SpecGroup, SpecValue
from britekit.database.spectrograms import group_settings, inflate, iter_values, require_group, variant_group
from britekit.datasets.pickle_writer import PickleWriter
from britekit.datasets.selection import Selection, select_spectrograms
from britekit.errors import DatabaseError, InputError
from britekit.files import atomic_path
from britekit.processes import available_cores
from britekit.progress import Meter

log = logging.getLogger(__name__)


def write_training_pickle(
    session: Session,
    output: str | os.PathLike[str],
    height: int,
    width: int,
    classes: Sequence[ClassInfo] | None = None,
    group: str = "default",
    max_per_class: int | None = None,
    keep_mixed: bool = False,
) -> tuple[dict[str, int], int]:
    """Write the training pickle; return the number of spectrograms of each class, and of all.

    Parameters
    ----------
    output
        The file; the same database and options give the same bytes.
    classes
        Classes in the order of their indexes; default: all of the database, by name.
    max_per_class, keep_mixed
        As in `select_spectrograms`.

    Raises
    ------
    DatabaseError
        Group or class missing, class without code or spectrograms, a value of another size.
    """
    if max_per_class is not None and max_per_class < 1:
        raise InputError(f"at most {max_per_class} spectrograms per class would be none; give --max at least 1")
    group_id = require_group(session, group)
    selection = select_spectrograms(session, group_id, classes, max_per_class, keep_mixed)
    settings = group_settings(session, group_id)
    with atomic_path(output) as partial, open(partial, "wb", buffering=1 << 20) as file:
        writer = PickleWriter(file)
        for key, value in _header(selection, height, width, settings).items():
            writer.entry(key, value)
        starts, labels = selection.label_starts.tolist(), selection.label_classes.tolist()
        writer.list_entry("spec_class_indexes", (labels[a:b] for a, b in zip(starts, starts[1:])))
        if selection.absent:
            writer.list_entry("spec_known_indexes", _known(selection))
        writer.list_entry("spec_segment_ids", selection.segment_ids.tolist())
        writer.list_entry("spec_recording_ids", selection.recording_ids.tolist())
        writer.list_entry("spec_group_ids", selection.group_ids.tolist())
        # Last, so that a reader knows how many come and how large they are.
        writer.list_entry("spec_values", _checked_values(session, selection.value_ids, selection, height, width))
        variants = _variants(session, selection, group)
        if variants:
            values = (_checked_values(session, ids, selection, height, width) for ids in variants)
            writer.list_entry("spec_variants", itertools.chain.from_iterable(values))
        writer.close()
    return selection.counts(), len(selection.value_ids)


def _header(selection: Selection, height: int, width: int, settings: dict[str, Any]) -> dict[str, Any]:
    header: dict[str, Any] = {
        "class_names": [info.name for info in selection.classes],
        "class_codes": [info.code for info in selection.classes],
        "alt_names": [info.alt_name for info in selection.classes],
        "alt_codes": [info.alt_code for info in selection.classes],
        "spec_height": height,
        "spec_width": width,
    }
    if settings:
        header["audio"] = settings
    return header


def _known(selection: Selection) -> Iterator[list[int] | None]:
    """Yield the classes of which it is known whether a spectrogram holds them; None for all of them."""
    starts, labels = selection.label_starts.tolist(), selection.label_classes.tolist()
    for place, segment in enumerate(selection.segment_ids.tolist()):
        absent = selection.absent.get(segment)
        yield None if absent is None else sorted({*absent, *labels[starts[place] : starts[place + 1]]})


def _variants(session: Session, selection: Selection, group: str) -> list[NDArray[np.int64]]:
    """Return the value IDs (N,) of each stored variant; where a segment has none, those of its own spectrogram."""
    found: list[NDArray[np.int64]] = []
    for number in itertools.count(1):
        name = variant_group(group, number)
        group_id = session.scalar(select(SpecGroup.id).where(SpecGroup.name == name))
        if group_id is None:
            return found
        query = select(SpecValue.segment_id, SpecValue.id).where(SpecValue.specgroup_id == group_id)
        stored = {segment: value for segment, value in session.execute(query)}  # noqa: C416
        pairs = zip(selection.segment_ids.tolist(), selection.value_ids.tolist())
        ids = np.array([stored.get(segment, own) for segment, own in pairs], np.int64)
        lacking = int((ids == selection.value_ids).sum())
        if lacking:
            log.warning(
                '%d of %d segments have no spectrogram in group "%s", such as those added after `extract`; '
                "their own one takes its place", lacking, len(ids), name,
            )  # fmt: skip
        found.append(ids)
    raise AssertionError


def _checked_values(
    session: Session, value_ids: NDArray[np.int64], selection: Selection, height: int, width: int
) -> Iterator[bytes]:
    segments = selection.segment_ids.tolist()
    done = 0
    meter = Meter(len(value_ids), "pickle")

    def check(value: bytes) -> str:
        try:
            inflate(value, height * width)
        except ValueError as error:
            return str(error)
        return ""

    try:
        with ThreadPoolExecutor(available_cores()) as pool:
            for values in iter_values(session, value_ids.tolist()):
                for place, (value, problem) in enumerate(zip(values, pool.map(check, values)), done):
                    if problem:
                        raise DatabaseError(
                            f"{session.info['where']}: the spectrogram of segment {segments[place]} does "
                            f"not fit the configured {height} × {width}: {problem}; set audio.spec_height "
                            "and audio.spec_width as they were, or run extract again"
                        )
                    yield value
                done += len(values)
                meter.advance(len(values))
        meter.finish()
    finally:
        meter.close()
