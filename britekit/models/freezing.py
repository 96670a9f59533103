"""Checkpoints without training state: what is needed to run them, a third of the bytes."""

import os
from pathlib import Path
from typing import Literal

import torch

from britekit.errors import ModelError
from britekit.files import atomic_path, writing
from britekit.models.checkpoint import LASTING, check_entries, load_checkpoint, read_archive, write_archive

ORIGINAL = ".original"

Outcome = Literal["frozen", "original exists", "nothing to strip"]


def freeze_checkpoint(path: str | Path) -> Outcome:
    """Replace a checkpoint by its weights and facts; the old file becomes ``NAME.ckpt.original``.

    The new file is written and loaded before the old one is touched, and there is a checkpoint of that name
    at every moment, also if the program is killed; run again, it finishes.

    Raises `ModelError` if the checkpoint cannot be read, or the frozen one does not hold the same weights.

    Returns
    -------
    What was done; with ``original exists`` (from an earlier time) and ``nothing to strip`` nothing.
    """
    path = Path(path)
    original = path.with_name(path.name + ORIGINAL)
    content, _ = read_archive(path)
    check_entries(content, path)
    if original.exists() and not original.samefile(path):
        return "original exists"
    frozen = {key: value for key, value in content.items() if key in LASTING}
    if len(frozen) == len(content):
        return "nothing to strip"
    with atomic_path(path) as partial:
        write_archive(partial, frozen | {"frozen": True})
        weights = load_checkpoint(partial).recognizer.state_dict()
        before = content["state_dict"]
        if any(not torch.equal(value, before[name]) for name, value in weights.items()):
            raise ModelError(f"{path}: its frozen form holds other weights; it stays as it is")
        _keep(path, original)
    return "frozen"


def _keep(path: Path, original: Path) -> None:
    """Give the old file its second name; where the file system knows no links, its only one."""
    if original.exists():
        return  # of a run that was killed between the two names
    try:
        os.link(path, original)
    except OSError:
        with writing(original):
            path.rename(original)
