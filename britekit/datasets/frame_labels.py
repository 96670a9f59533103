"""The file of frame labels: in which frames of a segment its classes are heard.

A pickle with a dictionary: the ID of a segment, and a vector of zeros and ones, which holds for all classes of the
segment, as in public britekit. Where the classes of a segment differ, it is a vector for each code of a class.

Legend: M pairs of segment and class, T frames.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.datasets.safe_arrays import ArrayPickle
from britekit.errors import InputError
from britekit.files import atomic_path

Vector = NDArray[np.float32]
FrameLabels = dict[int, Vector | dict[str, Vector]]


class _LabelsPickle(ArrayPickle):
    kind = "a file of frame labels"
    maker = "britekit pickle-frame"


def write_frame_labels(path: str | os.PathLike[str], labels: Mapping[int, Mapping[str, Vector]]) -> None:
    """Write the file, whole or not at all; equal labels give equal bytes.

    Parameters
    ----------
    labels
        By segment, the vector of each class, by code; classes of equal vectors are stored as one.
    """
    content: dict[int, Any] = {}
    for segment in sorted(labels):
        vectors = {code: np.ascontiguousarray(labels[segment][code], np.float32) for code in sorted(labels[segment])}
        first = next(iter(vectors.values()))
        same = all(np.array_equal(first, vector) for vector in vectors.values())
        content[int(segment)] = first if same else vectors
    with atomic_path(path) as partial, open(partial, "wb") as file:
        pickle.dump(content, file, protocol=4)


def read_frame_labels(path: str | os.PathLike[str]) -> FrameLabels:
    """Read a file of frame labels, ours or of public britekit; nothing in it can run.

    Raises `InputError` if the file is missing, damaged, of another kind, would run code, or holds something other than
    zeros and ones.

    Returns
    -------
    By segment, a vector (T,) for all of its classes, or one for each code of a class; T is the same everywhere.
    """
    content = _LabelsPickle(path).load()
    if not isinstance(content, dict) or not all(type(key) is int for key in content):
        raise InputError(f"{path} does not hold frame labels by segment; make it with britekit pickle-frame")
    if not content:
        raise InputError(f"{path} holds no frame labels; make it with britekit pickle-frame")
    found: FrameLabels = {}
    lengths: dict[int, int] = {}
    for segment, value in content.items():
        if isinstance(value, dict):
            if not value or not all(isinstance(code, str) for code in value):
                raise InputError(f"{path}, segment {segment}: expected a vector for each code of a class")
            found[segment] = {code: _vector(Path(path), segment, each) for code, each in value.items()}
            sizes = {len(each) for each in value.values()}
        else:
            found[segment] = _vector(Path(path), segment, value)
            sizes = {len(value)}
        for size in sizes:
            lengths.setdefault(size, segment)
    if len(lengths) > 1:
        (first, one), (second, other) = list(lengths.items())[:2]
        raise InputError(
            f"{path}: segment {one} has {first} frames and segment {other} {second}; all need the same number; run "
            "pickle-frame again"
        )
    return found


def _vector(path: Path, segment: int, value: Any) -> Vector:
    if isinstance(value, (list, tuple)) and all(type(each) in (int, float, bool) for each in value):
        value = np.array(value, dtype=np.float32)
    if not isinstance(value, np.ndarray) or value.ndim != 1 or not value.size:
        raise InputError(f"{path}, segment {segment}: expected a vector of zeros and ones")
    if not np.isin(value, (0, 1)).all():
        raise InputError(f"{path}, segment {segment}: a frame label is neither 0 nor 1; run pickle-frame again")
    return value.astype(np.float32)
