"""Whether a database is an output of the DVC pipeline, which a rebuild replaces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.config.yaml_reader import load_plain
from britekit.database.schema import SpecGroup
from britekit.database.targets import sqlite_path
from britekit.errors import DatabaseError, InputError

_CURATION = Path("data/curation.csv")


def refuse_new_recordings(target: str | os.PathLike[str], command: str) -> None:
    """Raise if the pipeline builds ``target``: a rebuild would drop recordings added by hand."""
    if is_pipeline_output(target):
        raise DatabaseError(
            f"{target} is built by the pipeline (dvc.lock names it), and what {command} adds would be lost "
            "at the next rebuild; add the recordings to data/sources.csv, give another database with -d, or "
            "insist with --force"
        )


def refuse_lost_spectrograms(session: Session, group: str, as_built: bool) -> None:
    """Raise if spectrograms in a database of the pipeline would be gone with a rebuild.

    Parameters
    ----------
    group
        Where they go; a rebuild brings the groups that are there.
    as_built
        Whether a rebuild makes the same: ``audio`` of ``params.yaml``, each where its segment begins.
    """
    is_there = session.scalar(select(SpecGroup.id).where(SpecGroup.name == group)) is not None
    if is_there and as_built:
        return
    lost = "an --offset or other audio settings than params.yaml's" if is_there else f'a new group "{group}"'
    raise DatabaseError(
        f"{session.info['where']} is built by the pipeline (dvc.lock names it), and what reextract makes "
        f"with {lost} would be lost at the next rebuild; copy the file and give the copy with -d, or change "
        "audio in params.yaml and run dvc repro"
    )


def is_pipeline_output(target: str | os.PathLike[str]) -> bool:
    """Return whether the nearest ``dvc.lock`` above a database names it as an out of a stage."""
    return curation_file(target) is not None


def curation_file(target: str | os.PathLike[str]) -> Path | None:
    """Return where decisions about a database are kept if the pipeline builds it, else None.

    That is what the stage depends on that makes the database, by the name ``curation.csv``, or
    ``data/curation.csv`` beside the nearest ``dvc.lock`` above it.
    """
    stage = _making(target)
    if stage is None:
        return None
    folder, deps = stage
    named = [dep for dep in deps if Path(dep).name == _CURATION.name]
    return folder / (named[0] if named else _CURATION)


def applied_rows(session: Session) -> int | None:
    """Return how many rows of the table of decisions a database file has applied; None if unknown."""
    number = session.connection().exec_driver_sql("PRAGMA user_version").scalar_one()
    return number - 1 if number else None


def note_applied_rows(session: Session, rows: int) -> None:
    """Note the number of applied rows in the header of the file, as part of the transaction."""
    if applied_rows(session) != rows:  # what has not changed keeps every byte
        session.connection().exec_driver_sql(f"PRAGMA user_version = {rows + 1:d}")


def dependencies(target: str | os.PathLike[str]) -> list[Path]:
    """Return what the stage depends on that makes a database; nothing if no stage does."""
    stage = _making(target)
    return [] if stage is None else [stage[0] / dep for dep in stage[1]]


def _making(target: str | os.PathLike[str]) -> tuple[Path, list[str]] | None:
    """Return the folder of ``dvc.lock`` and the dependencies of the stage that makes a database, or None."""
    path = sqlite_path(target)
    if path is None:
        return None
    # The last link is not followed: DVC may have put a link into its cache there.
    place = path.parent.resolve() / path.name
    for folder in place.parents:
        lock = folder / "dvc.lock"
        if not lock.is_file():
            continue
        for outs, deps in _stages(lock):
            if any((folder / out) == place for out in outs):
                return folder, deps
        return None
    return None


def _stages(lock: Path) -> list[tuple[list[str], list[str]]]:
    """Return the outs and the dependencies of each stage."""
    try:
        content: Any = load_plain(lock.read_text(encoding="utf-8"))
        stages = ((content or {}).get("stages") or {}).values()
        return [
            (
                [str(out["path"]) for out in stage.get("outs") or []],
                [str(dep["path"]) for dep in stage.get("deps") or []],
            )
            for stage in stages
        ]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{lock} cannot be read ({error}); restore it with git") from error
