"""``scores.npz``: the ensemble's unrounded mean score of every window and class.

N windows of R recordings, C classes. Arrays of plain numbers and text only, so the file opens with
`numpy.load` and ``allow_pickle=False``; equal tables give equal bytes.
"""

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo
from britekit.errors import InputError
from britekit.files import atomic_path, refuse_expanding

# Scores in full precision, beside those that ``infer.precision: bf16`` gave.
F32_TABLE = "scores-f32.npz"
_CLASS_FIELDS = (("name", "class_names"), ("code", "class_codes"), ("alt_name", "alt_names"), ("alt_code", "alt_codes"))
_KINDS = {
    "recordings": "U", "seconds": "f", "row_recording": "i", "starts": "f", "duration": "f",
    "scores": "f", "meta": "U",
    **{key: "U" for _, key in _CLASS_FIELDS},
}  # fmt: skip


@dataclass
class ScoreTable:
    """Scores before calibration, thresholds and rounding."""

    recordings: list[str]
    """R stems, in the order they were analyzed; a recording without windows is here too."""
    seconds: NDArray[np.float64]
    """(R,) length of each recording."""
    row_recording: NDArray[np.int32]
    """(N,) index into `recordings` for each window."""
    starts: NDArray[np.float64]
    """(N,) start of each window in its recording, seconds."""
    duration: float
    """Seconds that a window covers."""
    classes: list[ClassInfo]
    """C classes, in the models' order."""
    scores: NDArray[np.float32]
    """(N, C) mean over the members, 0 to 1, uncalibrated; NaN where the screen in `meta` left a window out."""
    meta: dict[str, str] = field(default_factory=dict)
    """Backend and members the scores come from."""

    def save(self, path: str | Path) -> None:
        """Write the table; raises `InputError` if its parts do not fit together."""
        self._check(f"scores for {path}")
        arrays: dict[str, NDArray[Any]] = {
            "recordings": _texts(self.recordings),
            "seconds": np.asarray(self.seconds, np.float64),
            "row_recording": np.asarray(self.row_recording, np.int32),
            "starts": np.asarray(self.starts, np.float64),
            "duration": np.asarray(self.duration, np.float64),
            **{key: _texts([getattr(info, name) for info in self.classes]) for name, key in _CLASS_FIELDS},
            "scores": np.ascontiguousarray(self.scores, np.float32),
            "meta": np.asarray(json.dumps(self.meta, sort_keys=True)),
        }
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for key, array in arrays.items():
                # fixed time and system, otherwise two equal tables would differ in their bytes
                entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
                entry.create_system = 3
                with archive.open(entry, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)

    @classmethod
    def load(cls, path: str | Path) -> "ScoreTable":
        """Read a table and check every length; raises `InputError` naming the file and the bad part."""
        where = str(path)
        arrays: dict[str, NDArray[Any]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                refuse_expanding(archive, os.path.getsize(path))
                missing = sorted(key for key in _KINDS if f"{key}.npy" not in archive.namelist())
                if missing:
                    raise InputError(f"{where} lacks {', '.join(missing)}; it is not a score file of analyze")
                for key in _KINDS:
                    with archive.open(f"{key}.npy") as stream:
                        arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
        except FileNotFoundError:
            raise InputError(f"{where} does not exist; run analyze with a min_score of 0 to make it") from None
        except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            raise InputError(f"{where} is not a readable score file ({error}); run analyze again") from None
        for key, kind in _KINDS.items():
            expected_dims = 0 if key in ("duration", "meta") else 2 if key == "scores" else 1
            if arrays[key].dtype.kind != kind or arrays[key].ndim != expected_dims:
                raise InputError(
                    f"{where}: {key} is {arrays[key].dtype} with {arrays[key].ndim} dimensions; "
                    f"expected kind {kind} with {expected_dims}"
                )
        columns = [arrays[key].tolist() for _, key in _CLASS_FIELDS]
        if len({len(column) for column in columns}) != 1:
            raise InputError(f"{where}: class names, codes and alternates differ in number")
        try:
            meta = json.loads(str(arrays["meta"]))
        except ValueError:
            raise InputError(f"{where}: meta is not JSON") from None
        if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
            raise InputError(f"{where}: meta is not a map of text")
        table = cls(
            arrays["recordings"].tolist(),
            arrays["seconds"].astype(np.float64, copy=False),
            arrays["row_recording"].astype(np.int32, copy=False),
            arrays["starts"].astype(np.float64, copy=False),
            float(arrays["duration"]),
            [ClassInfo(*values) for values in zip(*columns, strict=True)],
            arrays["scores"].astype(np.float32, copy=False),
            meta,
        )
        table._check(where)
        return table

    def _check(self, where: str) -> None:
        windows, recordings = len(self.row_recording), len(self.recordings)
        shapes = {
            "seconds": (np.shape(self.seconds), (recordings,)),
            "starts": (np.shape(self.starts), (windows,)),
            "scores": (np.shape(self.scores), (windows, len(self.classes))),
        }
        for key, (found, expected) in shapes.items():
            if found != expected:
                raise InputError(f"{where}: {key} has the shape {found}; expected {expected}")
        if len(set(self.recordings)) != recordings:
            raise InputError(f"{where}: a recording is listed twice")
        if windows and not (np.min(self.row_recording) >= 0 and np.max(self.row_recording) < recordings):
            raise InputError(f"{where}: row_recording points outside the {recordings} recordings")
        for key in ("seconds", "starts"):
            values = getattr(self, key)
            if np.size(values) and not (np.all(np.isfinite(values)) and np.min(values) >= 0):
                raise InputError(f"{where}: {key} holds a negative or undefined time")
        if not 0 < self.duration < float("inf"):
            raise InputError(f"{where}: duration is {self.duration}; expected a positive number of seconds")
        # written so that NaN fails too
        wrong: Any = None
        if np.size(self.scores) and not (np.min(self.scores) >= 0 and np.max(self.scores) <= 1):
            wrong = ~((self.scores >= 0) & (self.scores <= 1))
            if "screen" in self.meta:
                wrong &= ~np.isnan(self.scores)
        if wrong is not None and wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"{where}: {np.count_nonzero(wrong)} scores are not between 0 and 1, the first is "
                f'{self.scores[row, column]} of class "{self.classes[column].name}" in recording '
                f'"{self.recordings[self.row_recording[row]]}" at {self.starts[row]:g} s; run analyze again'
            )


def _texts(values: list[str]) -> NDArray[np.str_]:
    """Make a text array; `<U` arrays cannot hold trailing NULs, which no name has."""
    return np.asarray(values, dtype=np.str_) if values else np.empty(0, dtype="<U1")
