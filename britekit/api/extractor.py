"""`Extractor`: recordings into a training database under one class, for people at a prompt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from britekit.api.database import TrainingDatabase
from britekit.audio.files import find_recordings
from britekit.config import BaseConfig, get_config
from britekit.database.session import open_database
from britekit.datasets.adding import extract_folder, extract_given
from britekit.datasets.plans import Wanted, wanted_by_csv, wanted_by_images
from britekit.datasets.storing import Extraction


class Extractor:
    """Stores spectrograms under one class; every method returns how many are new.

    What exists is not stored twice. A recording that cannot be read is left out and raises `InputError` once
    the others are stored.

    Parameters
    ----------
    db
        A `TrainingDatabase`, or its path or URL.
    class_name, class_code, cat_name
        The class, added if new.
    src_name
        Source; default: told by the file names.
    overlap
        Seconds shared by neighboring segments; default ``infer.overlap``.
    spec_group
        Spectrogram group, added if new.
    cfg
        Settings; None takes those of `get_config()`.
    """

    def __init__(
        self,
        db: TrainingDatabase | str | os.PathLike[str],
        class_name: str,
        class_code: str | None = None,
        cat_name: str | None = None,
        src_name: str | None = None,
        overlap: float | None = None,
        spec_group: str | None = None,
        cfg: BaseConfig | None = None,
    ) -> None:
        self._db = db
        self._cfg = get_config() if cfg is None else cfg
        self._overlap = overlap
        self._target: dict[str, Any] = {
            "class_name": class_name,
            "code": class_code or "",
            "category": cat_name or "default",
            "source": src_name or "",
            "group": spec_group or "default",
        }

    def extract_all(
        self,
        dir_path: str | os.PathLike[str],
        max_spec: int | None = None,
        max_rec: int | None = None,
        include_existing: bool = False,
        randomize: bool = False,
    ) -> int:
        """Store the segments of the recordings of a directory; the rest as options of `extract-all`."""
        paths = find_recordings(dir_path)
        more: dict[str, Any] = {
            "overlap": self._overlap,
            "include_existing": include_existing,
            "max_per_recording": max_spec,
            "max_recordings": max_rec,
            "at_random": randomize,
        }
        return self._run(lambda session: extract_folder(session, self._cfg, paths, **more, **self._target))

    def extract_by_image(
        self,
        rec_dir: str | os.PathLike[str],
        spec_dir: str | os.PathLike[str],
        dest_dir: str | os.PathLike[str] | None = None,
    ) -> int:
        """Store the segments that the images in ``spec_dir`` name."""
        wanted = wanted_by_images(rec_dir, spec_dir)
        wanted.report(Path(rec_dir))
        return self._given(wanted, dest_dir)

    def extract_by_csv(
        self,
        rec_dir: str | os.PathLike[str],
        csv_path: str | os.PathLike[str],
        dest_dir: str | os.PathLike[str] | None = None,
    ) -> int:
        """Store the segments that a table with the columns recording and offset names."""
        wanted = wanted_by_csv(rec_dir, csv_path)
        wanted.report(Path(rec_dir))
        return self._given(wanted, dest_dir)

    def insert_spectrograms(self, recording_path: str | os.PathLike[str], offsets: Sequence[float]) -> int:
        """Store the segments of a recording that begin at ``offsets`` seconds."""
        return self._given(Wanted({Path(recording_path): sorted(set(map(float, offsets)))}), None)

    def _given(self, wanted: Wanted, dest_dir: str | os.PathLike[str] | None) -> int:
        return self._run(
            lambda session: extract_given(
                session, self._cfg, wanted, dest_dir=dest_dir, overlap=self._overlap, **self._target
            )
        )

    def _run(self, work: Callable[[Session], Extraction]) -> int:
        with self._session() as session:
            result = work(session)
        result.raise_for_failures()
        return result.spectrograms

    @contextmanager
    def _session(self) -> Iterator[Session]:
        if isinstance(self._db, TrainingDatabase):
            with self._db.transaction() as session:
                yield session
        else:
            with open_database(self._db, "create") as session:
                yield session
