"""The file of targets from teachers: what an ensemble scores on the spectrograms of a training file.

The layout is that of public britekit (version 2), and files of both programs are read.

Legend: N spectrograms, C classes, T frames.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.datasets.safe_arrays import ArrayPickle
from britekit.errors import InputError
from britekit.files import atomic_path

_VERSION = 2
_KEYS = frozenset(
    {"format_version", "class_codes", "segment_ids", "probabilities", "frame_probabilities", "source", "teacher"}
)


@dataclass(frozen=True, eq=False)
class TeacherTargets:
    """Mean probabilities of an ensemble, not calibrated."""

    class_codes: list[str]
    """C codes in the order of the training file."""
    segment_ids: NDArray[np.int64]
    """(N,) IDs of the segments, in the order of the training file."""
    probabilities: NDArray[np.float32]
    """(N, C), 0 to 1."""
    frames: NDArray[np.float16] | None
    """(N, C, T), 0 to 1; None if the teachers give none."""
    source: str
    source_sha256: str
    """Training file, and the hash of its content."""
    teacher: str = ""
    checkpoints: tuple[tuple[str, str], ...] = ()
    """Checkpoint or folder of them; name and hash of each."""


class _TargetsPickle(ArrayPickle):
    kind = "a file of teacher targets"
    maker = "britekit teacher-targets"


def write_teacher_targets(path: str | os.PathLike[str], targets: TeacherTargets) -> None:
    """Write the file, whole or not at all; equal targets give equal bytes."""
    content: dict[str, Any] = {
        "format_version": _VERSION,
        "class_codes": list(targets.class_codes),
        "segment_ids": targets.segment_ids.tolist(),
        "probabilities": targets.probabilities,
        "source": {"path": targets.source, "sha256": targets.source_sha256},
        "teacher": {
            "path": targets.teacher,
            "ensemble_method": "mean_probability",
            "checkpoints": [{"name": name, "sha256": sha256} for name, sha256 in targets.checkpoints],
        },
    }
    if targets.frames is not None:
        content["frame_probabilities"] = targets.frames
    with atomic_path(path) as partial, open(partial, "wb") as file:
        pickle.dump(content, file, protocol=4)


def read_teacher_targets(path: str | os.PathLike[str]) -> TeacherTargets:
    """Read a file of targets; nothing in it can run.

    Raises `InputError` if the file is missing, damaged, of another kind or version, would run code, or holds something
    that is not a probability; names the key.
    """
    content = _TargetsPickle(path, _KEYS).load()
    if not isinstance(content, dict) or "probabilities" not in content:
        raise InputError(f"{path} does not hold teacher targets; make it with britekit teacher-targets")
    version = content.get("format_version")
    if version != _VERSION:
        raise InputError(f"{path} has format_version {version!r}, expected {_VERSION}; run teacher-targets again")
    checks = _Checks(Path(path), content)
    codes = checks.texts("class_codes")
    ids = checks.ids("segment_ids")
    source, teacher = checks.table("source"), checks.table("teacher")
    frames = None
    if content.get("frame_probabilities") is not None:
        frames = checks.scores("frame_probabilities", (len(ids), len(codes), None))
    listed = teacher.get("checkpoints") or []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise checks.wrong("teacher", "its checkpoints are not a list of tables")
    return TeacherTargets(
        class_codes=codes,
        segment_ids=ids,
        probabilities=checks.scores("probabilities", (len(ids), len(codes))).astype(np.float32, copy=False),
        frames=None if frames is None else frames.astype(np.float16, copy=False),
        source=str(source.get("path", "")),
        source_sha256=str(source.get("sha256", "")),
        teacher=str(teacher.get("path", "")),
        checkpoints=tuple((str(each.get("name", "")), str(each.get("sha256", ""))) for each in listed),
    )


class _Checks:
    """Checks of the content before it is used; each failure names the key."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self._path, self._content = path, content

    def texts(self, key: str) -> list[str]:
        """Return a list of different texts."""
        values = self._content.get(key)
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "expected a list of texts")
        if len(set(values)) < len(values):
            raise self.wrong(key, "a code occurs twice")
        return values

    def ids(self, key: str) -> NDArray[np.int64]:
        """Return a list of whole numbers as an array."""
        values = self._content.get(key)
        if isinstance(values, np.ndarray) and values.dtype.kind == "i" and values.ndim == 1:
            return values.astype(np.int64)
        if not isinstance(values, list) or not all(type(value) is int and abs(value) < 2**63 for value in values):
            raise self.wrong(key, "expected a list of whole numbers")
        return np.array(values, dtype=np.int64)

    def table(self, key: str) -> dict[str, Any]:
        """Return a dictionary."""
        value = self._content.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "expected a dictionary")
        return value

    def scores(self, key: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """Return an array of numbers from 0 to 1; None in the shape stands for any length."""
        values = self._content.get(key)
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            raise self.wrong(key, "expected an array of numbers")
        fits = values.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
        if not fits or not values.size:
            wanted = " × ".join("frames" if n is None else str(n) for n in shape)
            raise self.wrong(key, f"it has {' × '.join(map(str, values.shape))} numbers, expected {wanted}")
        if not ((values >= 0) & (values <= 1)).all():  # false for NaN
            row = int(np.argmin(((values >= 0) & (values <= 1)).reshape(len(values), -1).all(axis=1)))
            raise self.wrong(key, f"row {row} holds a number that is not from 0 to 1; run teacher-targets again")
        return values

    def wrong(self, key: str, reason: str) -> InputError:
        """Return the error about a key."""
        return InputError(f'{self._path}, key "{key}": {reason}')
