"""Reading a pickle of plain values; nothing in it can run.

A pickle is a program for a small stack machine. The standard library's own machine, the one in Python, runs
it here, with the instructions for dict, list, tuple, str, int, float, bytes and None alone; all others are
refused. Bytes are handed on as they are met, so that they need not be kept beside what is made of them.
"""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

from britekit.errors import InputError
from britekit.files import require_file

_CALLING = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}
    | {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"}
)
_PLAIN = frozenset(
    (  # noqa: SIM905
        "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINFLOAT "
        "LONG1 LONG4 INT LONG FLOAT UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 EMPTY_LIST LIST "
        "APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 PUT "
        "BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET "
    ).split()
)
_LENGTHS = {"SHORT_BINBYTES": "<B", "BINBYTES": "<I", "BINBYTES8": "<Q"}
_LONGEST_LINE = 10_000


class Refused(Exception):
    """Why reading stopped; the reader adds file and key."""


class SafePickle(pickle._Unpickler):  # type: ignore[misc, name-defined]
    """Walks one pickle.

    Parameters
    ----------
    path
        The file.
    on_bytes
        Called with every bytes value; what it returns takes the value's place.
    keys
        The top-level keys that a refusal may name.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}
    kind: ClassVar[str] = "a training pickle"
    maker: ClassVar[str] = "britekit pickle"

    def __init__(
        self, path: str | os.PathLike[str], on_bytes: Callable[[bytes], Any], keys: frozenset[str] = frozenset()
    ) -> None:
        self.path, self.on_bytes, self._keys = Path(path), on_bytes, keys
        self.metastack: list[list[Any]] = []
        self.stack: list[Any] = []

    def load(self) -> Any:
        """Return the value in the file.

        Raises `InputError` if the file cannot be read, is not a pickle, is cut short, or holds anything but plain
        values; the message names the top-level key.
        """
        damaged = f"{self.path} is not {self.kind}, or is damaged"
        try:
            with open(require_file(self.path), "rb") as file:
                super().__init__(_Bounded(file))
                value = super().load()
        except FileNotFoundError:
            raise InputError(f"{self.path} does not exist; make it with {self.maker}") from None
        except OSError as error:
            raise InputError(f"{self.path} could not be read: {(error.strerror or str(error)).lower()}") from error
        except Refused as error:
            key = self.current_key()
            place = f', key "{key}"' if key is not None else ""
            raise InputError(f"{self.path}{place}: {error}") from None
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, EOFError) as error:
            raise InputError(damaged) from error
        except (pickle.PickleError, struct.error, RecursionError, AssertionError) as error:
            raise InputError(damaged) from error
        if self.stack or self.metastack:
            raise InputError(damaged)
        return value

    def known(self) -> dict[str, Any]:
        """Return the top-level entries that are complete so far."""
        entries = self._entries()
        found = {key: value for key, value in zip(entries[::2], entries[1::2]) if isinstance(key, str)}
        bottom = (self.metastack or [self.stack])[0]
        return {**bottom[0], **found} if bottom and isinstance(bottom[0], dict) else found

    def current_key(self) -> str | None:
        """Return the top-level key whose value is being read."""
        # The stack does not distinguish a key from a text inside a value, so only known keys count.
        return next((e for e in reversed(self._entries()) if isinstance(e, str) and e in self._keys), None)

    def _entries(self) -> list[Any]:
        """Return keys and values on the stacks that belong to the outermost dictionary."""
        bottom, *above = [*self.metastack, self.stack]
        return bottom[1:] or (above[0] if above else [])


class _Bounded:
    """A file that never reads more than it has: a made-up length must not allocate memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def read(self, size: int) -> bytes:
        data = self._file.read(size) if size <= self._size else b""
        if len(data) < size:
            raise Refused("the file is cut short")
        return data

    def readline(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise Refused("the file is damaged")
        return line


def _reader(name: str) -> Callable[[Any], None]:
    """Return what runs an instruction: hands on bytes, or raises for one that is not plain."""
    if name in _LENGTHS:
        form = struct.Struct(_LENGTHS[name])

        def hand_on(machine: Any) -> None:
            machine.append(machine.on_bytes(machine.read(form.unpack(machine.read(form.size))[0])))

        return hand_on

    def refuse(machine: Any) -> None:
        parts: list[Any] = machine.stack[-2:] if name == "STACK_GLOBAL" else []
        if name in ("GLOBAL", "INST"):
            parts = [machine.readline()[:-1].decode("ascii", "replace") for _ in range(2)]
        what = f" ({'.'.join(parts)})" if parts and all(isinstance(part, str) for part in parts) else ""
        if name in _CALLING:
            raise Refused(f"the file would run code when loaded{what}, so it is refused; do not use it")
        raise Refused(f"it holds a value that is not dict, list, tuple, str, int, float, bytes or None ({name})")

    return refuse


SafePickle.dispatch = {
    ord(code.code): pickle._Unpickler.dispatch[ord(code.code)] if code.name in _PLAIN else _reader(code.name)  # type: ignore[attr-defined]
    for code in pickletools.opcodes
}
