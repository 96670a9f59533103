"""A pickle of plain values, written opcode by opcode.

The standard pickler needs the whole dictionary in memory and keeps a memo of all it wrote. This writer takes
a list as an iterator, and equal values always give equal bytes. `pickle.load` reads the result.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterable
from typing import IO, Any

_CODES = {opcode.name: opcode.code.encode("latin-1") for opcode in pickletools.opcodes}
_PROTO = _CODES["PROTO"] + b"\x04"
_MARK = _CODES["MARK"]
_LIST_PART = 1000


class PickleWriter:
    """Writes one dictionary with text keys, entry by entry.

    Parameters
    ----------
    file
        Opened for writing bytes; call `close` to end the pickle.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        file.write(_PROTO + _CODES["EMPTY_DICT"] + _MARK)

    def entry(self, key: str, value: Any) -> None:
        """Write an entry made of dict, list, tuple, str, int, float, bool, bytes and None."""
        self._file.write(_plain(key) + _plain(value))

    def list_entry(self, key: str, values: Iterable[Any]) -> None:
        """Write an entry that is a list, taking its values one at a time."""
        self._file.write(_plain(key) + _CODES["EMPTY_LIST"])
        held = 0
        for value in values:
            if not held:
                self._file.write(_MARK)
            self._file.write(_plain(value))
            held += 1
            if held == _LIST_PART:
                self._file.write(_CODES["APPENDS"])
                held = 0
        if held:
            self._file.write(_CODES["APPENDS"])

    def close(self) -> None:
        """End the dictionary and the pickle; the file stays open."""
        self._file.write(_CODES["SETITEMS"] + _CODES["STOP"])


def _plain(value: Any) -> bytes:
    if value is None:
        return _CODES["NONE"]
    if isinstance(value, bool):
        return _CODES["NEWTRUE"] if value else _CODES["NEWFALSE"]
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _CODES["BINFLOAT"] + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _CODES["BINUNICODE"] + struct.pack("<I", len(text)) + text
    if isinstance(value, bytes):
        return _CODES["BINBYTES8"] + struct.pack("<Q", len(value)) + value
    if isinstance(value, list):
        inside = b"".join(map(_plain, value))
        return _CODES["EMPTY_LIST"] + (_MARK + inside + _CODES["APPENDS"] if value else b"")
    if isinstance(value, tuple):
        return _MARK + b"".join(map(_plain, value)) + _CODES["TUPLE"]
    if isinstance(value, dict):
        inside = b"".join(_plain(key) + _plain(item) for key, item in value.items())
        return _CODES["EMPTY_DICT"] + (_MARK + inside + _CODES["SETITEMS"] if value else b"")
    raise TypeError(f"{type(value).__name__} is not a plain value")


def _integer(value: int) -> bytes:
    if 0 <= value < 256:
        return _CODES["BININT1"] + bytes([value])
    if -(2**31) <= value < 2**31:
        return _CODES["BININT"] + struct.pack("<i", value)
    size = (value.bit_length() + 8) // 8
    return _CODES["LONG1"] + bytes([size]) + value.to_bytes(size, "little", signed=True)
