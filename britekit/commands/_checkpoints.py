"""Shared by commands on one checkpoint or a directory of them."""

import logging
from collections.abc import Callable
from pathlib import Path

from britekit.errors import BriteKitError, InputError, ModelError

log = logging.getLogger(__name__)


def find_checkpoints(input_path: str, option: str = "-i") -> list[Path]:
    """Return the checkpoints that a path names: itself, or those of a directory.

    Raises
    ------
    InputError
        Nothing there, no checkpoint.
    """
    source = Path(input_path)
    if not input_path or not source.exists():
        raise InputError(
            f'"{input_path}" does not exist; name a checkpoint or a directory of checkpoints with {option}'
        )
    if source.is_file() and source.suffix != ".ckpt":
        raise InputError(f"{source} is not a checkpoint; expected a name that ends in .ckpt")
    found = [source] if source.is_file() else sorted(source.glob("*.ckpt"))
    if not found:
        raise InputError(f"{source} contains no checkpoints (*.ckpt); name one or another directory")
    return found


def each_checkpoint(paths: list[Path], work: Callable[[Path], None]) -> None:
    """Do the work for each; one that fails is reported, the others are done, and the failure follows.

    Raises
    ------
    ModelError
        Any failed.
    """
    if len(paths) == 1:
        work(paths[0])
        return
    failed = 0
    for path in paths:
        try:
            work(path)
        except BriteKitError as error:
            failed += 1
            log.error("%s", error)
    if failed:
        raise ModelError(f"{failed} of {len(paths)} checkpoints failed")
