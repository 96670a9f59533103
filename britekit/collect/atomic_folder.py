"""Publish directories completely or not at all, keeping existing files."""

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from britekit.errors import BriteKitError, InputError, some
from britekit.files import UNWRITABLE, unwritable, writing
from britekit.leftovers import create

_FULL_BYTES = 65536


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside `target` to build its content in; delete it at the end.

    Raises `InputError` if nothing can be written there, which may also show during the block (full disk).
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; expected a directory or nothing, so move the file")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = create(target, folder=True)
    try:
        yield staged.path
    except BriteKitError:
        raise
    except Exception as error:
        # libraries wrap a full disk in their own errors, which do not name the cause
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise unwritable(target, error) from error
        if shutil.disk_usage(target.parent).free < _FULL_BYTES:
            raise InputError(f"{target} could not be written: no space left on the device") from error
        raise
    finally:
        staged.discard()


def check_conflicts(staged: Path, target: Path, replaced: set[str]) -> None:
    """Raise if publishing would replace files that differ, except those in `replaced`.

    Raises `InputError` if files differ; names the first one, and their number.
    """
    conflicts = [
        target / name
        for name in _files_in(staged)
        if name.as_posix() not in replaced
        and os.path.lexists(target / name)
        and not _same(staged / name, target / name)
    ]
    if conflicts:
        raise InputError(
            f"{some(conflicts, 1)} {'exists' if len(conflicts) == 1 else 'exist'} with different content; "
            "move or delete, and repeat the command"
        )


def publish(staged: Path, target: Path, last: str) -> tuple[int, int]:
    """Move the built files to their place; keep existing files with the same content.

    Parameters
    ----------
    staged, target
        Directories; an existing `target` keeps its other files.
    last
        Table to move last, since it refers to the other files.

    Returns
    -------
    Number of new files, and of existing files.
    """
    target = target.resolve()
    names = _files_in(staged)
    with writing(target):
        if not target.exists():
            os.replace(staged, target)
            return len(names), 0
        new = 0
        for name in sorted(names, key=lambda item: (item.as_posix() == last, item)):
            if (target / name).exists() and _same(staged / name, target / name):
                continue
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / name, target / name)
            new += 1
    return new, len(names) - new


def _same(first: Path, second: Path) -> bool:
    return second.is_file() and filecmp.cmp(first, second, shallow=False)


def _files_in(directory: Path) -> list[Path]:
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
