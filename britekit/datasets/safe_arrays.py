"""Reads a pickle of plain values and numpy arrays; nothing in it can run.

A pickle makes an array by calling functions. The few names that this needs are known here, and what they make is
made by this file: no function of a name in the file is ever looked up. Everything else is refused, as in
`britekit.datasets.safe_pickle`.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from britekit.datasets.safe_pickle import Refused, SafePickle
from britekit.errors import InputError

_TYPES = frozenset({"f2", "f4", "f8", "i4", "i8", "u1", "b1"})
_DEEPEST = 6


@dataclass(frozen=True)
class Name:
    """A name that the pickle asks for; only what it makes matters."""

    text: str


@dataclass
class Made:
    """The object of a name, filled in later: an array, or the type of one."""

    type: str = ""
    value: Any = None


def _type(name: str, *_: Any) -> Made:
    if name not in _TYPES:
        raise Refused(f"it holds an array of type {name!r}; expected one of {', '.join(sorted(_TYPES))}")
    return Made(type=name)


def _array(data: bytes, kind: Made, shape: tuple[int, ...], order: str = "C") -> Made:
    """Make an array of its bytes; a wrong shape raises `ValueError`, which `load` reports as damage."""
    flat = np.frombuffer(data, np.dtype(f"<{kind.type}"))
    return Made(value=flat.reshape(shape, order="F" if order == "F" else "C"))


def _number(kind: Made, data: bytes) -> float:
    return float(np.frombuffer(data, np.dtype(f"<{kind.type}"))[0])


MAKERS: dict[str, Callable[..., Any]] = {"numpy dtype": _type}
for _room in ("numpy.core", "numpy._core"):
    MAKERS |= {
        f"{_room}.numeric _frombuffer": _array,
        f"{_room}.multiarray _reconstruct": lambda *_: Made(),
        f"{_room}.multiarray scalar": _number,
    }


class ArrayPickle(SafePickle):
    """The machine with the names that arrays need."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(SafePickle.dispatch)
    makers: ClassVar[dict[str, Callable[..., Any]]] = MAKERS

    def __init__(self, path: str | os.PathLike[str], keys: frozenset[str] = frozenset()) -> None:
        super().__init__(path, bytes, keys)

    def load(self) -> Any:
        """Return the value in the file, with read-only arrays; errors as of `SafePickle.load`."""
        return self._finished(super().load())

    def fill(self, made: Any, state: Any) -> bool:
        """Fill an object that a name made with its state; return whether that is possible."""
        return False

    def _finished(self, value: Any, depth: int = 0) -> Any:
        """Return a value with arrays in place of what stands for them."""
        if depth > _DEEPEST:
            raise InputError(f"{self.path} is nested more deeply than {self.kind}; make it again with {self.maker}")
        if isinstance(value, Made):
            return value.value
        if isinstance(value, dict):
            return {key: self._finished(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._finished(item, depth + 1) for item in value)
        return value


def _push_name(machine: ArrayPickle, module: Any, name: Any) -> None:
    if f"{module} {name}" not in machine.makers and (module, name) != ("numpy", "ndarray"):
        raise Refused(f"the file would run code when loaded ({module}.{name}), so it is refused; do not use it")
    machine.append(Name(f"{module} {name}"))  # type: ignore[attr-defined]


def _global(machine: Any) -> None:
    module, name = (machine.readline()[:-1].decode("ascii", "replace") for _ in range(2))
    _push_name(machine, module, name)


def _stack_global(machine: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    _push_name(machine, module, name)


def _reduce(machine: Any) -> None:
    arguments = machine.stack.pop()
    name = machine.stack.pop()
    make = machine.makers.get(name.text) if isinstance(name, Name) else None
    if make is None or not isinstance(arguments, tuple):
        raise Refused("the file would run code when loaded, so it is refused; do not use it")
    machine.append(make(*arguments))


def _build(machine: Any) -> None:
    state = machine.stack.pop()
    made = machine.stack[-1]
    if machine.fill(made, state):
        return
    if isinstance(made, Made) and made.type:
        if state[1] not in ("<", "|", "="):
            raise Refused(f"it holds an array with byte order {state[1]!r}; expected little endian")
    elif isinstance(made, Made) and made.value is None:
        _, shape, kind, fortran, data = state
        made.value = _array(data, kind, shape, "F" if fortran else "C").value
    else:
        raise Refused("the file would run code when loaded, so it is refused; do not use it")


def _bytearray(machine: Any) -> None:
    machine.append(machine.read(int.from_bytes(machine.read(8), "little")))


ArrayPickle.dispatch |= {
    pickle.GLOBAL[0]: _global,
    pickle.STACK_GLOBAL[0]: _stack_global,
    pickle.REDUCE[0]: _reduce,
    pickle.BUILD[0]: _build,
    pickle.BYTEARRAY8[0]: _bytearray,
}
