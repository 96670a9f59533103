"""Whether a database is an output of the DVC pipeline, which a rebuild replaces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from britekit.database.targets import sqlite_path
from britekit.errors import DatabaseError, InputError


def refuse_new_recordings(target: str | os.PathLike[str], command: str) -> None:
    """Raise if ``target`` is made by the pipeline: recordings brought in by hand would vanish with a
    rebuild."""
    if is_pipeline_output(target):
        raise DatabaseError(
            f"{target} is built by the pipeline (dvc.lock names it), and what {command} adds would be lost "
            "at the next rebuild; add the recordings to data/sources.csv, give another database with -d, or "
            "insist with --force"
        )


def is_pipeline_output(target: str | os.PathLike[str]) -> bool:
    """Tell whether the nearest ``dvc.lock`` above a database names it as an out of a stage."""
    path = sqlite_path(target)
    if path is None:
        return False
    # The last link is not followed: DVC may have put a link into its cache there.
    place = path.parent.resolve() / path.name
    for folder in place.parents:
        lock = folder / "dvc.lock"
        if lock.is_file():
            return any((folder / out) == place for out in _outs(lock))
    return False


def _outs(lock: Path) -> list[str]:
    try:
        content: Any = yaml.safe_load(lock.read_text(encoding="utf-8"))
        stages = (content or {}).get("stages") or {}
        return [str(out["path"]) for stage in stages.values() for out in stage.get("outs") or []]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{lock} cannot be read ({error}); restore it with git") from error
