"""Reads a pickle of occurrence data; nothing in it can run.

Such pickles hold numpy arrays and `SimpleNamespace` objects, which a pickle makes by calling functions. The few
names that they need are known here, and what they make is made by this file: no function of a name in the
file is ever looked up. Everything else is refused, as in `britekit.datasets.safe_pickle`.
"""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from britekit.datasets.safe_pickle import Refused, SafePickle
from britekit.errors import InputError
from britekit.occurrence.failures import MissingFile, UnusableFile
from britekit.occurrence.weeks import WEEKS, smoothed

FORMAT = "britekit-occurrence"
_VERSIONS = (1, 2)
_KEYS = frozenset(
    {"counties", "classes", "occurrences", "smoothed", "max", "region", "areas", "class_names", "area_offsets"}
    | {"class_indices", "values"}
)
_TYPES = frozenset({"f2", "f4", "f8", "i4", "i8"})
_BOUNDS = ("min_x", "max_x", "min_y", "max_y")


@dataclass(frozen=True)
class _Name:
    """A name that the pickle asks for; only what it makes matters."""

    text: str


@dataclass
class _Made:
    """The object of a name, filled in later: an array, or the type of one."""

    type: str = ""
    value: Any = None


def read_pickle(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a pickle of version 1 or 2, checked; arrays are read-only.

    Raises
    ------
    InputError
        It does not exist, is damaged, holds code, or is of another kind or version.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f'occurrence pickle {path} does not exist; make it with "britekit pickle-occurrence"')
    try:
        data = _finished(_OccurrencePickle(path, bytes, _KEYS).load())
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


class _OccurrencePickle(SafePickle):
    """The machine with the names that arrays and `SimpleNamespace` need."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(SafePickle.dispatch)
    kind = "an occurrence pickle"
    maker = "britekit pickle-occurrence"


def _namespace() -> SimpleNamespace:
    return SimpleNamespace()


def _type(name: str, *_: Any) -> _Made:
    if name not in _TYPES:
        raise Refused(f"it holds an array of type {name!r}; expected one of {', '.join(sorted(_TYPES))}")
    return _Made(type=name)


def _array(data: bytes, kind: _Made, shape: tuple[int, ...], order: str = "C") -> _Made:
    """Make an array of its bytes; a wrong shape raises `ValueError`, which `load` reports as damage."""
    flat = np.frombuffer(data, np.dtype(f"<{kind.type}"))
    return _Made(value=flat.reshape(shape, order="F" if order == "F" else "C"))


def _number(kind: _Made, data: bytes) -> float:
    return float(np.frombuffer(data, np.dtype(f"<{kind.type}"))[0])


_MAKERS: dict[str, Callable[..., Any]] = {"types SimpleNamespace": _namespace, "numpy dtype": _type}
for _room in ("numpy.core", "numpy._core"):
    _MAKERS |= {
        f"{_room}.numeric _frombuffer": _array,
        f"{_room}.multiarray _reconstruct": lambda *_: _Made(),
        f"{_room}.multiarray scalar": _number,
    }
_NAMES = {*_MAKERS, "numpy ndarray"}


def _push_name(machine: Any, module: Any, name: Any) -> None:
    if f"{module} {name}" not in _NAMES:
        raise Refused(f"the file would run code when loaded ({module}.{name}), so it is refused; do not use it")
    machine.append(_Name(f"{module} {name}"))


def _global(machine: Any) -> None:
    module, name = (machine.readline()[:-1].decode("ascii", "replace") for _ in range(2))
    _push_name(machine, module, name)


def _stack_global(machine: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    _push_name(machine, module, name)


def _reduce(machine: Any) -> None:
    arguments = machine.stack.pop()
    name = machine.stack.pop()
    make = _MAKERS.get(name.text) if isinstance(name, _Name) else None
    if make is None or not isinstance(arguments, tuple):
        raise Refused("the file would run code when loaded, so it is refused; do not use it")
    machine.append(make(*arguments))


def _build(machine: Any) -> None:
    state = machine.stack.pop()
    made = machine.stack[-1]
    if isinstance(made, SimpleNamespace) and isinstance(state, dict):
        vars(made).update({str(key): value for key, value in state.items()})
    elif isinstance(made, _Made) and made.type:
        if state[1] not in ("<", "|", "="):
            raise Refused(f"it holds an array with byte order {state[1]!r}; expected little endian")
    elif isinstance(made, _Made) and made.value is None:
        _, shape, kind, fortran, data = state
        made.value = _array(data, kind, shape, "F" if fortran else "C").value
    else:
        raise Refused("the file would run code when loaded, so it is refused; do not use it")


def _bytearray(machine: Any) -> None:
    machine.append(machine.read(int.from_bytes(machine.read(8), "little")))


_OccurrencePickle.dispatch |= {
    pickle.GLOBAL[0]: _global,
    pickle.STACK_GLOBAL[0]: _stack_global,
    pickle.REDUCE[0]: _reduce,
    pickle.BUILD[0]: _build,
    pickle.BYTEARRAY8[0]: _bytearray,
}


def _finished(value: Any, depth: int = 0) -> Any:
    """Return a value with arrays in place of what stands for them; deeper than these pickles ever are is refused."""
    if depth > 6:
        raise UnusableFile("the pickle is nested more deeply than occurrence data; make it again")
    if isinstance(value, _Made):
        return value.value
    if isinstance(value, dict):
        return {key: _finished(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_finished(item, depth + 1) for item in value)
    return value
