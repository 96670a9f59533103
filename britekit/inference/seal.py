"""Add and check the digest at the end of an export, since a network with damaged weights still runs.

An ONNX file is a protobuf message, to which fields may be appended: the digest of all preceding bytes is one more
metadata entry, which other programs read as such.
"""

from __future__ import annotations

import functools
import hashlib
import os

from britekit.errors import ModelError

_KEY = b"sha256"
_HEX = 64
# ModelProto.metadata_props is field 14; its entries have a key, field 1, and a value, field 2.
_ENTRY = b"\x0a" + bytes([len(_KEY)]) + _KEY + b"\x12" + bytes([_HEX])
_HEAD = b"\x72" + bytes([len(_ENTRY) + _HEX]) + _ENTRY


def sealed(content: bytes) -> bytes:
    """Return the content of an ONNX file with its digest appended."""
    return content + _HEAD + hashlib.sha256(content).hexdigest().encode()


def check_seal(path: str | os.PathLike[str]) -> None:
    """Raise `ModelError` if a file has changed since it was written; old files without a digest are accepted."""
    state = os.stat(path)
    _check(os.fspath(path), state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _check(path: str, size: int, mtime_ns: int) -> None:
    """Check a file once, since its facts and its network are read separately."""
    length = len(_HEAD) + _HEX
    with open(path, "rb") as file:
        file.seek(max(0, size - length))
        end = file.read()
        if not end.startswith(_HEAD):
            return
        file.seek(0)
        digest, left = hashlib.sha256(), size - length
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    if digest.hexdigest().encode() != end[len(_HEAD) :]:
        raise ModelError(
            f"{path} is damaged: its content does not match its digest; restore it from a copy, "
            'or run "britekit ckpt-onnx" on its checkpoint'
        )
