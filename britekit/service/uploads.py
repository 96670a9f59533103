"""A multipart upload streamed to disk, and refused as soon as it breaks a limit.

Starlette's own form parser hashes nothing and stores a file of any size before a handler sees it. Here:
constant memory, no request to anyone, and one sentence when an upload is refused.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from anyio import move_on_after, to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

FIELD_BYTES = 16384  # longest text value of a form field
MAX_PARTS = 16
NAME_LENGTH = 255  # no file system has longer ones
# A client that sends nothing for so long is given up. One that only sends slowly holds a file and a
# connection, and no place in the queue; more against slow clients is a proxy's task.
IDLE_SECONDS = 60.0
_WRITE_BYTES = 1 << 20  # large enough that handing it to a thread costs nothing
_DRAIN_BYTES = 8 << 20  # read and dropped after a refusal, so that the client gets to see the answer
_DRAIN_SECONDS = 2.0


class Refusal(Exception):
    """A request that is answered with 4xx and one sentence."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers or {}

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.sentence}, status_code=self.status, headers=self.headers)


class Upload:
    """A received recording in a directory of its own, with the other fields of the form.

    Attributes
    ----------
    path
        The file; it keeps the client's suffix if that is harmless, since some decoders want one.
    name
        The client's file name without directories and suffix, safe to print and to name a download.
    key
        What scores of it are kept under: the hash of its bytes and its suffix, which chooses the decoder.
    fields
        The text fields of the form and of the query.
    has_file
        Whether a recording was sent.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="britekit-upload-", dir=folder, ignore_cleanup_errors=True)
        self._file: BinaryIO | None = None
        self.path = Path(self._folder.name) / "recording"
        self.name = "recording"
        self.size = 0
        self.key = ""
        self.fields: dict[str, str] = {}

    @property
    def has_file(self) -> bool:
        return self._file is not None

    def open(self, file_name: str) -> None:
        """Begin to store a file that the client calls ``file_name``."""
        self.name, suffix = safe_name(file_name)
        self.path = self.path.with_suffix(suffix)
        self._file = open(self.path, "wb")  # noqa: SIM115 closed in close and finish

    def write(self, block: bytes) -> None:
        """Store the next bytes; OSError where there is no room."""
        assert self._file is not None
        self._file.write(block)

    def finish(self, sha256: str) -> None:
        """Close the complete file."""
        assert self._file is not None
        self._file.close()
        self.key = f"{sha256}{self.path.suffix}"

    def add_field(self, name: str, value: str) -> None:
        """Keep a text field; raises `Refusal` if it was given before with another value."""
        if self.fields.setdefault(name, value) != value:
            raise Refusal(400, f'the field "{name[:40]}" is given twice, with different values')

    def close(self) -> None:
        """Close and remove the file; calling it again does nothing."""
        if self._file is not None:
            # An open file takes its room on the disk though it is deleted. What is buffered may not fit.
            with contextlib.suppress(OSError):
                self._file.close()
        self._folder.cleanup()


async def receive_upload(
    request: Request, field: str, max_bytes: int, instead: str | None = None, folder: Path | None = None
) -> Upload:
    """Stream the form of ``request`` to disk.

    Raises `Refusal`: 400 for a body that is not a form or has no such file, 408 to 429 for its size, type and pace.

    Parameters
    ----------
    field
        Form field of the file.
    max_bytes
        Most bytes of the file.
    instead
        Form field that may take the file's place.
    folder
        Where to store it; None takes ``TMPDIR``.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refusal(415, f'send the recording as multipart/form-data with a file in the field "{field}"')
    too_large = Refusal(413, f"the upload is larger than {_size(max_bytes)}, the most this server accepts")
    no_room = Refusal(429, "the server has no room for this recording now; try again soon", {"Retry-After": "10"})
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() and declared.isascii() and len(declared) < 20 else 0
    body = request.stream()
    # The form's own lines are small; a declared length beyond them is refused before anything is stored.
    refused = too_large if size > max_bytes + 65536 else no_room if size > _free_bytes(folder) else None
    if refused:
        await _drain(body)
        raise refused
    upload = Upload(folder)
    try:
        try:
            form = _Form(upload, field, instead, options[b"boundary"])
            while (chunk := await _next_chunk(body)) is not None:
                form.feed(chunk)
                if upload.size > max_bytes or form.received > max_bytes + 65536:
                    raise too_large
                if form.pending_bytes >= _WRITE_BYTES:
                    await to_thread.run_sync(form.flush)
            await to_thread.run_sync(form.finish)
        except FormParserError as error:
            raise Refusal(400, "the body is not well-formed multipart/form-data") from error
        except ClientDisconnect as error:
            raise Refusal(400, "the upload ended before it was complete") from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise no_room from error
        for name, value in request.query_params.multi_items():
            upload.add_field(name, value[:FIELD_BYTES])
        return upload
    except BaseException as error:
        upload.close()
        if isinstance(error, Refusal):
            await _drain(body)
        raise


class _Form:
    """Parser callbacks: the one file goes to disk, short texts to memory, anything else is refused."""

    def __init__(self, upload: Upload, field: str, instead: str | None, boundary: bytes) -> None:
        self.upload = upload
        self.field = field
        self._instead = instead
        self.received = 0
        self.pending_bytes = 0
        self._pending: list[bytes] = []
        self._digest = hashlib.sha256()
        self._parts = 0
        self._header = b""
        self._value = b""
        self._disposition: bytes = b""
        self._name = ""
        self._is_file = False
        self._text = bytearray()
        self._complete = False
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
        callbacks: Any = {f"on_{name}": getattr(self, f"_{name}") for name in (*names, "headers_finished", "end")}
        self._parser = MultipartParser(boundary, callbacks)

    def feed(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if chunk:
            self._parser.write(chunk)

    def flush(self) -> None:
        blocks, self._pending, self.pending_bytes = self._pending, [], 0
        for block in blocks:
            self._digest.update(block)
            self.upload.write(block)

    def finish(self) -> None:
        if not self._complete:
            raise Refusal(400, "the form ends before its closing boundary")
        if not self.upload.has_file:
            if self._instead and self.upload.fields.get(self._instead):
                return
            instead = f', nor a text in "{self._instead}"' if self._instead else ""
            raise Refusal(400, f'the form has no file in the field "{self.field}"{instead}')
        self.flush()
        if not self.upload.size:
            raise Refusal(400, "the uploaded file is empty")
        self.upload.finish(self._digest.hexdigest())

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Refusal(400, f"the form has more than {MAX_PARTS} fields")
        self._disposition, self._header, self._value = b"", b"", b""
        self._text = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        self._is_file = file_name is not None
        if self._name == self.field and file_name is None:
            raise Refusal(400, f'the field "{self.field}" must be a file, not text')
        if not self._is_file:
            return
        if self._name != self.field or self.upload.has_file:
            raise Refusal(400, f'the form must have exactly one file, in the field "{self.field}"')
        self.upload.open(file_name.decode("utf-8", "replace") if file_name else "")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.upload.size += end - start
            self.pending_bytes += end - start
            self._pending.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > FIELD_BYTES:
            raise Refusal(400, f'the field "{self._name[:40]}" is longer than {FIELD_BYTES} bytes')

    def _part_end(self) -> None:
        if not self._is_file:
            self.upload.add_field(self._name, self._text.decode("utf-8", "replace"))

    def _end(self) -> None:
        self._complete = True


def safe_name(file_name: str) -> tuple[str, str]:
    """Return stem and suffix of a client's file name, without directories and what no name can hold.

    All else stays: what the tables say must be the name that the recording has on the client's disk.
    """
    base = re.split(r"[/\\]", file_name)[-1]
    stem, suffix = os.path.splitext(base)
    stem = "".join("_" if c in '<>:"|?*' or not c.isprintable() else c for c in stem)
    stem = stem.strip(" .")[:NAME_LENGTH]
    return stem or "recording", suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", suffix) else ""


def _free_bytes(folder: Path | None) -> int:
    return shutil.disk_usage(folder or tempfile.gettempdir()).free


async def _next_chunk(body: AsyncIterator[bytes]) -> bytes | None:
    with move_on_after(IDLE_SECONDS):
        return await anext(body, None)
    raise Refusal(408, f"nothing arrived for {IDLE_SECONDS:g} s; the upload was abandoned")


async def _drain(body: AsyncIterator[bytes]) -> None:
    dropped = 0
    try:
        with move_on_after(_DRAIN_SECONDS):
            async for chunk in body:
                dropped += len(chunk)
                if dropped > _DRAIN_BYTES:
                    return
    except (ClientDisconnect, RuntimeError):
        return


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"
