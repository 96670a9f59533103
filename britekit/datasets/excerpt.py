"""A few spectrograms of a training file or a database, to look at: never the whole of it in memory.

Legend: N spectrograms there, C classes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.database.schema import Class, SegmentClass, SpecValue
from britekit.database.spectrograms import decode, iter_values, require_group
from britekit.datasets.safe_pickle import SafePickle
from britekit.datasets.training_set import read_labels
from britekit.errors import InputError, suggest


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Some spectrograms with what they may be mixed with."""

    classes: list[ClassInfo]
    """C classes, position = column of the labels."""
    images: NDArray[np.uint8]
    """(n, H, W) uint8: those to show, then ones of other classes, then ones of the noise class."""
    labels: NDArray[np.uint8]
    """(n, C) uint8, 0 or 1."""
    shown: int
    """How many, from the first, are to be shown."""
    noise_class: int | None
    """Column of the noise class, or None."""


def read_pickle_excerpt(
    path: str | Path, size: tuple[int, int], name: str | None, noise_name: str, count: int, seed: int = 0
) -> Excerpt:
    """Random spectrograms of a training pickle; nothing in it can run.

    Parameters
    ----------
    name
        Class to show; None: any but noise.
    noise_name
        The noise class, which may be absent.
    count
        How many to show, and how many more of other classes and of noise at most.

    Raises
    ------
    InputError
        No training pickle, unknown class, a spectrogram of another size.
    """
    classes, labels, rows = read_labels(path, size)
    chosen, shown, noise = _choose([info.name for info in classes], labels, name, noise_name, count, seed, path)
    wanted = rows[chosen].tolist()  # a file may name one value twice
    of_interest = set(wanted)
    values: dict[int, bytes] = {}
    numbers = itertools.count()

    def keep(value: bytes) -> None:
        number = next(numbers)
        if number in of_interest:
            values[number] = value

    SafePickle(path, keep).load()
    images = _decoded([values[number] for number in wanted], size, str(path))
    return Excerpt(classes, images, labels[chosen], shown, noise)


def read_database_excerpt(
    session: Session,
    size: tuple[int, int],
    name: str | None,
    noise_name: str,
    count: int,
    group: str = "default",
    seed: int = 0,
) -> Excerpt:
    """Random spectrograms of a database's group; as `read_pickle_excerpt`, `DatabaseError` included."""
    group_id = require_group(session, group)
    rows = list(session.scalars(select(Class).order_by(Class.id)))
    column = {row.id: k for k, row in enumerate(rows)}
    query = (
        select(SpecValue.id, SegmentClass.class_id)
        .join(SegmentClass, SegmentClass.segment_id == SpecValue.segment_id)
        .where(SpecValue.specgroup_id == group_id)
        .order_by(SpecValue.id)
    )
    links = np.array(session.execute(query).all(), dtype=np.int64).reshape(-1, 2)
    value_ids, place = np.unique(links[:, 0], return_inverse=True)
    labels = np.zeros((len(value_ids), len(rows)), np.uint8)
    labels[place, [column[class_id] for class_id in links[:, 1].tolist()]] = 1
    where = session.info["where"]
    names = [row.name for row in rows]
    chosen, shown, noise = _choose(names, labels, name, noise_name, count, seed, where)
    values = [value for part in iter_values(session, value_ids[chosen].tolist()) for value in part]
    classes = [ClassInfo(row.name, row.code or "", row.alt_name or "", row.alt_code or "") for row in rows]
    return Excerpt(classes, _decoded(values, size, where), labels[chosen], shown, noise)


def _choose(
    names: list[str], labels_NC: NDArray[np.uint8], name: str | None, noise_name: str, count: int, seed: int, where: Any
) -> tuple[NDArray[np.int64], int, int | None]:
    """Return rows to read, how many of them are to be shown, and the column of noise."""
    if name is not None and name not in names:
        raise InputError(f'class "{name}" is not in {where}{suggest(name, names)}')
    noise = names.index(noise_name) if noise_name in names else None
    is_noise = np.zeros(len(labels_NC), bool) if noise is None else labels_NC[:, noise] > 0
    own = ~is_noise if name is None else labels_NC[:, names.index(name)] > 0
    if not own.any():
        what = "no spectrogram but noise" if name is None else f'no spectrogram of "{name}"'
        raise InputError(f"{where} holds {what}; there is nothing to show")
    rng = np.random.default_rng(seed)

    def some(allowed: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
        found = np.flatnonzero(allowed)
        return np.sort(rng.permutation(found)[:most])

    shown = some(own, count)
    # What may be merged shares no class with what is shown; with any class shown, they have one another.
    others = some(~is_noise & ~((labels_NC[:, labels_NC[shown].any(0)] > 0).any(1)), count)
    loud = some(is_noise & ~np.isin(np.arange(len(labels_NC)), shown), count)
    return np.concatenate([shown, others, loud]), len(shown), noise


def _decoded(values: list[bytes], size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    try:
        return np.stack([decode(value, *size) for value in values])
    except ValueError as error:
        raise InputError(
            f"{where}: a spectrogram cannot be used: {error}; audio.spec_height and audio.spec_width must be "
            f"as when it was made (now {size[0]} x {size[1]})"
        ) from None
