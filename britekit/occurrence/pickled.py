"""Reads a pickle of occurrence data; nothing in it can run.

Such pickles hold numpy arrays and `SimpleNamespace` objects; see `britekit.datasets.safe_arrays`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from britekit.datasets.safe_arrays import MAKERS, ArrayPickle
from britekit.errors import InputError
from britekit.occurrence.failures import MissingFile, UnusableFile
from britekit.occurrence.weeks import WEEKS, smoothed

FORMAT = "britekit-occurrence"
_VERSIONS = (1, 2)
_KEYS = frozenset(
    {"counties", "classes", "occurrences", "smoothed", "max", "region", "areas", "class_names", "area_offsets"}
    | {"class_indices", "values"}
)
_BOUNDS = ("min_x", "max_x", "min_y", "max_y")


def read_pickle(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a pickle of version 1 or 2, checked; arrays are read-only.

    Raises `InputError` if it does not exist, is damaged, holds code, or is of another kind or version.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f'occurrence pickle {path} does not exist; make it with "britekit pickle-occurrence"')
    try:
        data = _OccurrencePickle(path, _KEYS).load()
    except InputError as error:
        raise UnusableFile(str(error)) from error
    version = version_of(data, path)
    try:
        (_check_v1 if version == 1 else _check_v2)(data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise UnusableFile(f"{path} is not a whole occurrence pickle of version {version}: {what}") from None
    return dict(data)


def version_of(data: Any, path: Path) -> int:
    """Return the version of a pickle's content; raises `InputError` if it is not one that can be read."""
    if isinstance(data, dict) and data.get("format") == FORMAT:
        if data.get("version") not in _VERSIONS[1:]:
            version = data.get("version")
            raise UnusableFile(f"Unsupported occurrence pickle version {version} in {path}; expected 1 or 2")
        return 2
    if isinstance(data, dict) and {"counties", "occurrences"} <= data.keys():
        return 1
    raise UnusableFile(f'{path} does not hold occurrence data; make it with "britekit pickle-occurrence"')


def _check_v1(data: dict[str, Any]) -> None:
    """Check areas and rows, and compute what an older version did not store."""
    for code, county in data["counties"].items():
        if not isinstance(code, str) or county.code != code or not isinstance(county.name, str):
            raise ValueError(f"county {code!r} has another code inside")
        _check_bounds(code, [getattr(county, name) for name in _BOUNDS])
    for kind in ("occurrences", "smoothed"):
        for code, rows in data.get(kind, {}).items():
            if code not in data["counties"]:
                raise ValueError(f"values of county {code!r}, which is not described")
            for name, row in rows.items():
                if not isinstance(row, np.ndarray) or row.shape != (WEEKS,) or not isinstance(name, str):
                    raise ValueError(f"{kind} of {name!r} in {code!r} are not {WEEKS} numbers")
    data.setdefault("classes", {})
    if "smoothed" not in data:
        data["smoothed"] = {c: {n: smoothed(row) for n, row in x.items()} for c, x in data["occurrences"].items()}
    if "max" not in data:
        data["max"] = {c: {n: float(row.max()) for n, row in x.items()} for c, x in data["occurrences"].items()}


def _check_v2(data: dict[str, Any]) -> None:
    for code, name, *bounds in data["areas"]:
        if not (isinstance(code, str) and isinstance(name, str)) or len(bounds) != 4:
            raise ValueError(f"area {code!r} is not code, name and four bounds")
        _check_bounds(code, bounds)
    names = data["class_names"]
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise ValueError("the class names are not different texts")
    offsets, indices, values = data["area_offsets"], data["class_indices"], data["values"]
    if values.ndim != 2 or values.shape[1] != WEEKS or values.dtype.kind != "f":
        raise ValueError(f"values of shape {values.shape}, not (rows, {WEEKS})")
    rows = len(values)
    if (
        offsets.shape != (len(data["areas"]) + 1,)
        or offsets[0] != 0
        or offsets[-1] != rows
        or np.any(np.diff(offsets) < 0)
    ):
        raise ValueError(f"the offsets of the areas do not divide {rows} rows")
    if (
        indices.shape != (rows,)
        or indices.dtype.kind != "i"
        or (rows and not 0 <= indices.min() <= indices.max() < len(names))
    ):
        raise ValueError("a row belongs to no class")


def _check_bounds(code: str, bounds: list[Any]) -> None:
    if all(value is None for value in bounds):
        return
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in bounds):
        raise ValueError(f"the bounds of area {code!r} are not four numbers")


class _OccurrencePickle(ArrayPickle):
    """The machine with the names that arrays and `SimpleNamespace` need."""

    kind = "an occurrence pickle"
    maker = "britekit pickle-occurrence"
    makers = MAKERS | {"types SimpleNamespace": SimpleNamespace}

    def fill(self, made: Any, state: Any) -> bool:
        """Fill a `SimpleNamespace`."""
        if not (isinstance(made, SimpleNamespace) and isinstance(state, dict)):
            return False
        vars(made).update({str(key): value for key, value in state.items()})
        return True
