"""Write files atomically: a crash leaves the previous file or the new one."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import shutil
import stat
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from britekit.errors import BriteKitError, InputError
from britekit.leftovers import Partial, create

# Errors that mean that a place cannot be written; other errors are bugs.
UNWRITABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOTDIR}
    | {errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST, errno.EIO}
)
# Files that users write in a project, which no command may overwrite.
_PROJECT_FILES = ("params.yaml", "dvc.yaml", "dvc.lock", "data/sources.csv", "data/classes.csv", "data/verdicts.csv",
                  "data/curation.csv", "data/ignore.txt")  # fmt: skip
_FLUSHED_AT_ONCE = 16
# Files of the current `together` block: the temporary path by the final path.
_waiting: ContextVar[list[tuple[Partial, Path]] | None] = ContextVar("waiting", default=None)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, renamed to it after the block succeeds.

    The temporary file keeps the suffix, by which writers choose the format. Parent directories are created. If the
    block fails, the temporary file is deleted and ``path`` is unchanged.

    Raises `InputError` if the path cannot be written (full disk, read-only or missing directory), or the block wrote
    nothing.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise InputError(f"{target} is a directory; choose another name for the file")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = create(target)
    except OSError as error:
        raise unwritable(target, error) from error
    group, held = _waiting.get(), False
    try:
        yield partial.path
        _flush(partial.path, target)
        if group is None:
            partial.take_name(target)
            _flush_directory(target.parent)
        else:
            group.append((partial, target))
            held = True
    except BriteKitError:
        raise
    except OSError as error:
        # The block may also read other files, whose errors are not about this one.
        elsewhere = error.filename is not None and Path(str(error.filename)).parent != target.parent
        if error.errno in UNWRITABLE and not elsewhere:
            raise unwritable(target, error) from error
        raise
    except Exception as error:
        # Libraries wrap a full disk in their own errors, which do not name the cause.
        if _disk_is_full(target.parent):
            raise InputError(f"{target} could not be written: no space left on the device") from error
        raise
    finally:
        if not held:
            partial.discard()


@contextmanager
def together() -> Iterator[None]:
    """Rename the files that `atomic_path` writes in the block together at its end, all or none.

    So a disk that fills up half-way leaves the files of the previous run, not a mixture. Inside the block, read the
    files at `waiting_path`. A nested block is part of the outer one.
    """
    if _waiting.get() is not None:
        yield
        return
    files: list[tuple[Partial, Path]] = []
    token = _waiting.set(files)
    try:
        yield
        for partial, target in files:
            try:
                partial.take_name(target)
            except OSError as error:
                raise unwritable(target, error) from error
        for directory in {target.parent for _, target in files}:
            _flush_directory(directory)
    finally:
        _waiting.reset(token)
        for partial, _ in files:
            partial.discard()


def waiting_path(path: str | os.PathLike[str]) -> Path:
    """Return where to read a file written in a `together` block; outside of one, ``path`` itself."""
    found = [partial.path for partial, target in _waiting.get() or [] if target == Path(path)]
    return found[-1] if found else Path(path)


def make_durable(paths: Iterable[str | os.PathLike[str]], directories: bool = False) -> None:
    """Flush files, or the names in directories, to disk (fsync).

    Many at once, so that the file system writes them together: 2,000 small files take 0.3 s instead of 8 s. Missing
    files are skipped.
    """
    with ThreadPoolExecutor(_FLUSHED_AT_ONCE) as pool:
        for _ in pool.map(_flush_directory if directories else _flush_file, map(Path, paths)):
            pass


def require_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file to read; raise for devices and pipes, which may never end.

    Raises
    ------
    OSError
        The path is a device or a pipe, except the null device. Missing files and directories fail when opened.
    """
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or os.path.samefile(path, os.devnull)):
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file", os.fspath(path))
    return Path(path)


def unwritable(path: str | os.PathLike[str], error: OSError) -> InputError:
    """Return the message for a path that the operating system cannot write."""
    return InputError(f"{path} could not be written: {(error.strerror or str(error)).lower()}")


@contextmanager
def writing(path: str | os.PathLike[str], reads: bool = False) -> Iterator[None]:
    """Report an `OSError` of the block as an `InputError`: ``path`` could not be written.

    With ``reads`` the block also reads other files, so only errors that writing causes are reported so.
    """
    try:
        yield
    except OSError as error:
        if reads and error.errno not in UNWRITABLE:
            raise
        raise unwritable(path, error) from error


def refuse_overwriting(output: str | os.PathLike[str] | None, *sources: str | os.PathLike[str] | None) -> None:
    """Raise `InputError` if an output file is also an input, or a settings file of the project. None is ignored."""
    kinds = [(source, "is read here") for source in sources]
    kinds += [(name, "holds settings of the project") for name in _PROJECT_FILES]
    for source, what in kinds:
        try:
            same = output is not None and source is not None and os.path.samefile(output, source)
        except OSError:  # one of them is missing
            continue
        if same:
            raise InputError(f"{output} {what}, so it is not overwritten; give another name to write to")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write ``text`` as UTF-8 with ``\\n`` line ends, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as JSON in the given order; non-finite numbers become null."""
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def render_page(template: Path, **values: Any) -> str:
    """Render a Jinja2 template with autoescaping."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template.read_text(encoding="utf-8")).render(values)


def csv_writer(stream: SupportsWrite) -> Any:
    r"""Return a CSV writer with ``\\n`` line ends whose rows can be read on every Python version.

    Before 3.11.9 the standard writer quotes a line break only if its own line end contains that character,
    so a recording with ``\\r`` in its name would break the table.
    """
    return csv.writer(_LineFeeds(stream), lineterminator="\r\n")


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows of cells as CSV, quoted where needed."""
    text = io.StringIO(newline="")
    csv_writer(text).writerows(rows)
    return text.getvalue()


def write_csv(path: str | os.PathLike[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows of cells, header first, atomically."""
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="") as stream:
        csv_writer(stream).writerows(rows)


class SupportsWrite(Protocol):
    """A text stream."""

    def write(self, text: str, /) -> Any:
        """Write text."""


class _LineFeeds:
    r"""Forwards rows with ``\\n`` instead of the writer's ``\\r\\n``."""

    def __init__(self, stream: SupportsWrite) -> None:
        self._stream = stream

    def write(self, row: str) -> None:
        self._stream.write(row[:-2] + "\n")


def refuse_expanding(archive: zipfile.ZipFile, size: int) -> None:
    """Raise `ValueError` if the members of a zip archive are larger than the file; britekit does not compress.

    Reads only the headers, so that a zip bomb is rejected before it is decompressed.
    """
    expanded = sum(entry.file_size for entry in archive.infolist())
    if expanded > size:
        raise ValueError(f"its {size} bytes would expand to {expanded}, but britekit writes uncompressed files")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """Convert numpy numbers, paths and tuples to JSON types."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, (str, int, float, bool, type(None))) and hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _flush(partial: Path, target: Path) -> None:
    if not partial.exists() or partial.stat().st_mtime_ns == 0:  # as it was created
        raise InputError(f"{target} could not be written: nothing was produced for it")
    _flush_file(partial)


def _flush_file(path: Path) -> None:
    with suppress(FileNotFoundError), open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_directory(directory: Path) -> None:
    """Flush the directory entry to disk, where the platform supports it."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def _disk_is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < 65536
    except OSError:
        return False
