"""Directories that appear under their names complete or not at all, and spare what is there."""

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from britekit.errors import BriteKitError, InputError
from britekit.files import UNWRITABLE, unwritable
from britekit.leftovers import create

_FULL_BYTES = 65536


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside `target` to build its content in; it is removed in the end.

    Raises
    ------
    InputError
        If nothing can be written there, also when that shows only while the block runs (full disk).
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; expected a directory or nothing, so move it away")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = create(target, folder=True)
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        yield staged.path
    except BriteKitError:
        raise
    except Exception as error:
        # libraries wrap a full disk in errors of their own, which do not say what happened
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise unwritable(target, error) from error
        if shutil.disk_usage(target.parent).free < _FULL_BYTES:
            raise InputError(f"{target} could not be written: no space left on the device") from error
        raise
    finally:
        staged.discard()


def check_conflicts(staged: Path, target: Path, replaced: set[str]) -> None:
    """Refuse to publish over files that differ, except those named in `replaced`.

    Raises
    ------
    InputError
        Names the first file that differs, and how many there are.
    """
    conflicts = [
        target / name
        for name in _files_in(staged)
        if name.as_posix() not in replaced
        and os.path.lexists(target / name)
        and not _same(staged / name, target / name)
    ]
    if conflicts:
        more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        raise InputError(
            f"{conflicts[0]}{more} exists with other content than what would be put there; "
            "move or delete it, and repeat the command"
        )


def publish(staged: Path, target: Path, last: str) -> tuple[int, int]:
    """Move what was built to its place; files that are there already with the same content stay as they are.

    Parameters
    ----------
    staged, target
        Directories; `target` may exist, and then keeps whatever else it holds.
    last
        Table to move after all other files, since it speaks about them.

    Returns
    -------
    Number of new files and of files that were there already.
    """
    target = target.resolve()
    names = _files_in(staged)
    try:
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
    except OSError as error:
        raise unwritable(target, error) from error
    return new, len(names) - new


def _same(first: Path, second: Path) -> bool:
    return second.is_file() and filecmp.cmp(first, second, shallow=False)


def _files_in(directory: Path) -> list[Path]:
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
