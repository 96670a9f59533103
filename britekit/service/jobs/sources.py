"""Recordings that a job names: a file below an allowed folder, or an object below an allowed ``s3://`` address."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from britekit.errors import InputError
from britekit.service.uploads import Refusal, safe_name

S3 = "s3://"
_BLOCK = 8 << 20


class Gone(Exception):
    """The job was cancelled while its recording was fetched."""


def check_source(source: str, allowed: Sequence[str]) -> None:
    """Check that a job may name a source.

    A path counts as what it leads to, through ``..`` and links. An address must be below an allowed one by whole names:
    ``s3://birds/2026`` does not allow ``s3://birds/2026-old/x.wav``.

    Raises `Refusal`: 403 for a source outside of what is allowed, 400 for one that is neither a path nor an address.
    """
    if not allowed:
        raise Refusal(403, "this server accepts no paths and addresses; send the recording itself")
    if source.startswith(S3):
        names = _key(source).split("/")
        if len(names) < 2 or any(name in ("", ".", "..") for name in names):
            raise Refusal(400, f'"{source[:200]}" is not the address of a recording, such as s3://BUCKET/FOLDER/x.wav')
        roots = [_key(root).strip("/").split("/") for root in allowed if root.startswith(S3)]
        if not any(names[: len(root)] == root and len(names) > len(root) for root in roots):
            raise Refusal(403, f"{source[:200]} is not below an address that the operator of this server allowed")
        return
    if not os.path.isabs(source) or "\0" in source:
        raise Refusal(400, f'"{source[:200]}" is neither a full path nor an address that begins with {S3}')
    if not _is_below(source, allowed):
        raise Refusal(403, f"{source[:200]} is not below a folder that the operator of this server allowed")


def name_of(source: str) -> str:
    """Return the name of a named recording, without extension."""
    return safe_name(source.rpartition("/")[2])[0]


def check_exists(source: str) -> None:
    """Raise `InputError` if a path is missing or is not a file; addresses are looked at when their turn comes."""
    if source.startswith(S3):
        return
    try:
        mode = os.stat(source).st_mode
    except OSError as error:
        raise InputError(f"{source} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{source} is not a file; a job is about one recording")


@contextmanager
def opened_source(
    source: str, allowed: Sequence[str], scratch: Path, max_bytes: int, wanted: Callable[[], bool]
) -> Iterator[Path]:
    """Yield the file of a source that `check_source` accepted; a copy of an object is deleted afterwards.

    Parameters
    ----------
    scratch
        Where the copy lies.
    wanted
        Asked now and then; False ends the copy.

    Raises
    ------
    InputError
        The recording is missing, larger than ``max_bytes``, or not allowed any more.
    Gone
        It is not wanted any more.
    """
    try:
        check_source(source, allowed)  # again: settings and links may have changed while the job waited
    except Refusal as refusal:
        raise InputError(refusal.sentence) from None
    if not source.startswith(S3):
        check_exists(source)
        if os.path.getsize(source) > max_bytes:
            raise _too_large(source, max_bytes)
        yield Path(source)
        return
    copy = scratch / f"{os.urandom(8).hex()}{safe_name(source.rpartition('/')[2])[1]}"
    try:
        _fetch(source, copy, max_bytes, wanted)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _fetch(source: str, copy: Path, max_bytes: int, wanted: Callable[[], bool]) -> None:
    system = _store()
    try:
        stream = system.open_input_stream(_key(source), buffer_size=0)
    except FileNotFoundError:
        raise InputError(f"{source} does not exist") from None
    except OSError as error:
        raise _unreadable(source, error) from None
    size = 0
    with stream, open(copy, "wb") as file:
        while True:
            try:
                block = stream.read(_BLOCK)
            except OSError as error:
                raise _unreadable(source, error) from None
            if not block:
                return
            size += len(block)
            if size > max_bytes:
                raise _too_large(source, max_bytes)
            if not wanted():
                raise Gone
            file.write(block)


def _store() -> Any:
    """Return the S3 store of the usual AWS settings: environment, configuration files, role of the machine."""
    # A part of Arrow, which the image has anyway.
    from pyarrow import fs

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(
        **({"endpoint_override": endpoint} if endpoint else {}),
        **({"region": region} if region else {}),
        connect_timeout=10,
        request_timeout=60,
    )


def _key(source: str) -> str:
    return source.removeprefix(S3)


def _is_below(source: str, allowed: Sequence[str]) -> bool:
    path = os.path.realpath(source)
    roots = [os.path.realpath(root) for root in allowed if not root.startswith(S3)]
    return any(path != root and os.path.commonpath([path, root]) == root for root in roots)


def _too_large(source: str, max_bytes: int) -> InputError:
    return InputError(f"{source} is larger than {max_bytes / 2**20:.4g} MiB, the most that a job may have")


def _unreadable(source: str, error: OSError) -> InputError:
    # The library's text names the store's answer; its first line is enough.
    return InputError(f"{source} cannot be read from the store: {str(error).splitlines()[0][:300]}")
