"""Extract spectrograms with the audio settings of a trial to a separate database; the user's is only read."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import insert, inspect, select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig
from britekit.database.schema import Base, SpecGroup, SpecValue
from britekit.database.session import open_database
from britekit.datasets.pickling import write_training_pickle
from britekit.datasets.reextraction import reextract_segments

log = logging.getLogger(__name__)

_ROWS = 2_000


class ExtractedPickles:
    """Training files by audio settings; caches the last one, since trials often share settings.

    Parameters
    ----------
    folder
        Folder for the files; the caller removes it.
    classes
        Classes in order; None for all.
    """

    def __init__(self, folder: Path, classes: Sequence[ClassInfo] | None = None) -> None:
        self._folder, self._classes = folder, classes
        self._key = ""
        self._database = folder / "tuning.db"
        self._pickle = folder / "tuning.pkl"

    def path(self, cfg: BaseConfig) -> Path:
        """Return the training file for the audio settings of ``cfg``, built from ``train.train_db``.

        Raises
        ------
        DatabaseError, InputError
            The database cannot be read, or recordings are missing.
        """
        key = json.dumps([asdict(cfg.audio), cfg.train.train_db], sort_keys=True)
        if key != self._key:
            self._key = ""
            self._database.unlink(missing_ok=True)
            copy_without_spectrograms(cfg.train.train_db, self._database)
            names = None if self._classes is None else [info.name for info in self._classes]
            with open_database(self._database, "write") as session:
                reextract_segments(session, cfg, names).raise_for_failures()
            with open_database(self._database) as session:
                audio = cfg.audio
                write_training_pickle(session, self._pickle, audio.spec_height, audio.spec_width, self._classes)
            self._key = key
        return self._pickle


def copy_without_spectrograms(source: str | Path, target: Path) -> None:
    """Copy recordings, segments, classes and their links, with their IDs, to a new database file."""
    with open_database(source) as reading, open_database(target, "create") as writing:
        left_out = {SpecValue.__tablename__, SpecGroup.__tablename__, "SchemaVersion"}
        tables = [table for table in Base.metadata.sorted_tables if table.name not in left_out]
        # Some tables are created only when they get rows.
        present, made = (set(inspect(session.connection()).get_table_names()) for session in (reading, writing))
        for table in reversed([table for table in tables if table.name in made]):  # the rows of every new database
            writing.execute(table.delete())
        for table in [table for table in tables if table.name in present]:
            table.create(writing.connection(), checkfirst=True)
            _copy(reading, writing, table)


def _copy(reading: Session, writing: Session, table) -> None:  # type: ignore[no-untyped-def]
    found = reading.connection().execute(select(table))
    while rows := found.fetchmany(_ROWS):
        writing.connection().execute(insert(table), [dict(row._mapping) for row in rows])
