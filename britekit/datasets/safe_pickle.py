"""Reading a pickle of plain values; nothing in it can run.

A pickle is a program for a small stack machine. This machine knows the instructions for dict, list, tuple,
str, int, float, bytes and None, and refuses all others, so there is nothing to be tricked into. It also walks
the file value by value: bytes are handed on as they are met, and need not be kept beside what is made of
them.
"""

from __future__ import annotations

import os
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from britekit.errors import InputError
from britekit.files import require_file

_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_CODES = {name: code for code, name in _NAMES.items()}
_CALLING = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}
    | {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"}
)
_LONGEST_LINE = 10_000


class _Mark:
    """Where a group of values begins on the stack."""


_MARK = _Mark()


class Refused(Exception):
    """Why the machine stopped; the reader adds file and key."""


class SafePickle:
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

    def __init__(
        self,
        path: str | os.PathLike[str],
        on_bytes: Callable[[bytes], Any],
        keys: frozenset[str] = frozenset(),
    ) -> None:
        self.path = Path(path)
        self._on_bytes = on_bytes
        self._keys = keys
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._file: IO[bytes]
        self._size = 0
        self._handlers: dict[int, Callable[[], None]] = self._build_handlers()

    def load(self) -> Any:
        """Return the value in the file.

        Raises
        ------
        InputError
            The file cannot be read, is no pickle, is cut short, or holds anything but plain values; the
            message names the top-level key.
        """
        try:
            with open(require_file(self.path), "rb") as self._file:
                self._size = os.fstat(self._file.fileno()).st_size
                return self._run()
        except FileNotFoundError:
            raise InputError(f"{self.path} does not exist; make it with britekit pickle") from None
        except OSError as error:
            raise InputError(
                f"{self.path} could not be read: {(error.strerror or str(error)).lower()}"
            ) from error
        except Refused as error:
            key = self.current_key()
            place = f', key "{key}"' if key is not None else ""
            raise InputError(f"{self.path}{place}: {error}") from None
        except (IndexError, TypeError, AttributeError, ValueError, KeyError, RecursionError) as error:
            raise InputError(f"{self.path} is not a training pickle, or is damaged") from error

    def known(self) -> dict[str, Any]:
        """Return the top-level entries that are complete so far."""
        entries = self._entries()
        keys, values = entries[::2], entries[1::2]
        found = {key: value for key, value in zip(keys, values) if isinstance(key, str)}
        if self._stack and isinstance(self._stack[0], dict):
            found = {**self._stack[0], **found}
        return found

    def current_key(self) -> str | None:
        """Return the top-level key whose value is being read."""
        # The stack does not tell a key from a lone text inside a value, so only known keys count.
        texts = [entry for entry in self._entries() if isinstance(entry, str)]
        return next((text for text in reversed(texts) if text in self._keys), None)

    def _entries(self) -> list[Any]:
        """Return keys and values on the stack that belong to the outermost dictionary."""
        entries = self._stack[1:]
        if entries and entries[0] is _MARK:
            entries = entries[1:]
        for place, value in enumerate(entries):
            if value is _MARK:
                return entries[:place]
        return entries

    def _run(self) -> Any:
        if self._file.read(1) != b"\x80":
            self._file.seek(0)
        else:
            self._read(1)
        stop, handlers, read = _CODES["STOP"], self._handlers, self._file.read
        while True:
            code = read(1)
            if not code:
                raise Refused("the file is cut short")
            if code[0] == stop:
                break
            handler = handlers.get(code[0])
            if handler is None:
                self._refuse(code[0])
            else:
                handler()
        if len(self._stack) != 1:
            raise Refused("the file is damaged")
        return self._stack[0]

    def _refuse(self, code: int) -> None:
        name = _NAMES.get(code)
        if name is None:
            raise Refused("this is not a training pickle, or it is damaged")
        what = ""
        if name in ("GLOBAL", "INST"):
            what = f" ({self._line()}.{self._line()})"
        elif name == "STACK_GLOBAL" and all(isinstance(value, str) for value in self._stack[-2:]):
            what = f" ({'.'.join(self._stack[-2:])})"
        if name in _CALLING:
            raise Refused(f"the file would run code when loaded{what}, so it is refused; do not use it")
        raise Refused(
            f"it holds a value that is not dict, list, tuple, str, int, float, bytes or None ({name})"
        )

    def _build_handlers(self) -> dict[int, Callable[[], None]]:
        push = self._stack.append
        memo = self._memo
        stack = self._stack

        def fixed(form: str) -> Callable[[], None]:
            unpack = struct.Struct(form)
            size = unpack.size
            return lambda: push(unpack.unpack(self._read(size))[0])

        def counted(form: str, make: Callable[[bytes], Any]) -> Callable[[], None]:
            length = struct.Struct(form)
            size = length.size
            return lambda: push(make(self._read(length.unpack(self._read(size))[0])))

        def remember(form: str) -> Callable[[], None]:
            unpack = struct.Struct(form)
            return lambda: memo.__setitem__(unpack.unpack(self._read(unpack.size))[0], stack[-1])

        def recall(form: str) -> Callable[[], None]:
            unpack = struct.Struct(form)
            return lambda: push(memo[unpack.unpack(self._read(unpack.size))[0]])

        def text(raw: bytes) -> str:
            return raw.decode("utf-8", "surrogatepass")

        def number(raw: bytes) -> int:
            return int.from_bytes(raw, "little", signed=True)

        def tuple_of(count: int) -> Callable[[], None]:
            def make() -> None:
                values = tuple(stack[-count:])
                del stack[-count:]
                push(values)

            return make

        table: dict[str, Callable[[], None]] = {
            "FRAME": lambda: self._skip_frame(),
            "MARK": lambda: push(_MARK),
            "POP": lambda: self._pop(),
            "POP_MARK": self._pop_mark,
            "DUP": lambda: push(stack[-1]),
            "NONE": lambda: push(None),
            "NEWTRUE": lambda: push(True),
            "NEWFALSE": lambda: push(False),
            "BININT": fixed("<i"),
            "BININT1": fixed("<B"),
            "BININT2": fixed("<H"),
            "BINFLOAT": fixed(">d"),
            "LONG1": counted("<B", number),
            "LONG4": counted("<I", number),
            "INT": lambda: push(self._text_integer()),
            "LONG": lambda: push(int(self._line().rstrip("L"))),
            "FLOAT": lambda: push(float(self._line())),
            "UNICODE": lambda: push(self._line("raw-unicode-escape")),
            "SHORT_BINUNICODE": counted("<B", text),
            "BINUNICODE": counted("<I", text),
            "BINUNICODE8": counted("<Q", text),
            "SHORT_BINBYTES": counted("<B", self._on_bytes),
            "BINBYTES": counted("<I", self._on_bytes),
            "BINBYTES8": counted("<Q", self._on_bytes),
            "EMPTY_LIST": lambda: push([]),
            "LIST": lambda: push(self._above_mark()),
            "APPEND": self._append,
            "APPENDS": self._appends,
            "EMPTY_DICT": lambda: push({}),
            "DICT": lambda: push(self._pairs(self._above_mark())),
            "SETITEM": self._set_item,
            "SETITEMS": self._set_items,
            "EMPTY_TUPLE": lambda: push(()),
            "TUPLE": lambda: push(tuple(self._above_mark())),
            "TUPLE1": tuple_of(1),
            "TUPLE2": tuple_of(2),
            "TUPLE3": tuple_of(3),
            "PUT": lambda: memo.__setitem__(int(self._line()), stack[-1]),
            "BINPUT": remember("<B"),
            "LONG_BINPUT": remember("<I"),
            "MEMOIZE": lambda: memo.__setitem__(len(memo), stack[-1]),
            "GET": lambda: push(memo[int(self._line())]),
            "BINGET": recall("<B"),
            "LONG_BINGET": recall("<I"),
        }
        return {_CODES[name]: handler for name, handler in table.items()}

    def _read(self, size: int) -> bytes:
        # Asked before reading: a made-up length must not allocate memory.
        if size > self._size:
            raise Refused("the file is cut short")
        raw = self._file.read(size)
        if len(raw) < size:
            raise Refused("the file is cut short")
        return raw

    def _line(self, encoding: str = "ascii") -> str:
        raw = self._file.readline(_LONGEST_LINE)
        if not raw.endswith(b"\n"):
            raise Refused("the file is damaged")
        return raw[:-1].decode(encoding, "replace")

    def _text_integer(self) -> Any:
        line = self._line()
        return line == "01" if line in ("00", "01") else int(line)  # how protocol 0 writes a bool

    def _skip_frame(self) -> None:
        self._read(8)  # frames only help a reader to buffer

    def _pop(self) -> None:
        self._stack.pop()

    def _pop_mark(self) -> None:
        self._above_mark()

    def _above_mark(self) -> list[Any]:
        stack = self._stack
        for place in range(len(stack) - 1, -1, -1):
            if stack[place] is _MARK:
                values = stack[place + 1 :]
                del stack[place:]
                return values
        raise Refused("the file is damaged")

    def _append(self) -> None:
        value = self._stack.pop()
        self._list().append(value)

    def _appends(self) -> None:
        values = self._above_mark()
        self._list().extend(values)

    def _list(self) -> list[Any]:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise Refused("the file is damaged")
        return target

    def _set_item(self) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._dict().update(self._pairs([key, value]))

    def _set_items(self) -> None:
        values = self._above_mark()
        self._dict().update(self._pairs(values))

    def _dict(self) -> dict[Any, Any]:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise Refused("the file is damaged")
        return target

    @staticmethod
    def _pairs(values: list[Any]) -> dict[Any, Any]:
        if len(values) % 2:
            raise Refused("the file is damaged")
        return dict(zip(values[::2], values[1::2]))
