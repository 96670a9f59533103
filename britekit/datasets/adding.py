"""Recordings of a folder, or listed segments, into a database that may hold them already in part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from britekit.audio.files import Failures, composed, shown, without_same_named
from britekit.audio.window_grid import WindowGrid
from britekit.config import BaseConfig
from britekit.database.classes import get_or_add_class
from britekit.database.recordings import filenames_of_class
from britekit.database.spectrograms import get_or_add_group
from britekit.datasets.plans import Plan, Wanted
from britekit.datasets.recordings_csv import describe_beside
from britekit.datasets.storing import (
    DEFAULT_GROUP,
    Extraction,
    Place,
    absolute_path,
    store_plans,
    warn_of_category,
    warn_of_settings,
)
from britekit.datasets.window_streams import pick, spread
from britekit.errors import InputError
from britekit.files import atomic_path, sha256_of, writing


def extract_folder(
    session: Session,
    cfg: BaseConfig,
    paths: list[Path],
    class_name: str,
    code: str = "",
    category: str = "default",
    overlap: float | None = None,
    source: str = "",
    group: str = DEFAULT_GROUP,
    include_existing: bool = False,
    on_recording: Callable[[Path, int], None] | None = None,
    max_per_recording: int | None = None,
    max_recordings: int | None = None,
    at_random: bool = False,
) -> Extraction:
    """Cut recordings into segments and store their spectrograms under one class, a transaction per recording.

    Parameters
    ----------
    session
        Of a database opened for writing; this function commits.
    cfg
        ``audio``, ``infer.overlap``, ``misc.source_regexes``, ``misc.group_regex``.
    class_name, code, category
        The class, added if new.
    overlap
        Seconds; default ``infer.overlap``.
    source
        Name of the source; default: what the file names say.
    include_existing
        Also look at recordings that the class has already.
    on_recording
        Called with each recording and its number of new spectrograms, once they are stored.
    max_per_recording
        Most windows of a recording that are looked at, evenly spaced; at least 1.
    max_recordings
        Most recordings that are looked at, evenly spaced; those that the class has already count.
        At least 1.
    at_random
        Draw both at random, decided by the names alone, instead of spacing them evenly.

    Raises
    ------
    InputError
        Overlap not below the duration.
    DatabaseError
        The code belongs to another class, or the class has another one.
    """
    target = _Target(session, cfg, class_name, code, category, group)
    grid = _grid(cfg, overlap)
    known = target.check()
    if max_recordings is not None:
        # Chosen before those that are there are left out: repeating the command must not add more.
        paths = pick(paths, max_recordings, class_name if at_random else None)
    failures = Failures()
    paths = without_same_named(paths, failures, with_extension=True)
    described = describe_beside(paths, class_name, cfg.misc, source)
    new = [path for path in paths if include_existing or (described[path].source, composed(path.name)) not in known]
    starts = spread(grid, max_per_recording, at_random) if max_per_recording else grid
    plans = [Plan(path, described[path].source, described[path].facts, [class_name], starts=starts) for path in new]
    result = store_plans(session, cfg.audio, plans, target.place, grid.tolerance_s, on_recording=on_recording)
    result.skipped = len(paths) - len(new)
    result.failures += failures.failures
    return result


def extract_given(
    session: Session,
    cfg: BaseConfig,
    wanted: Wanted,
    class_name: str,
    code: str = "",
    category: str = "default",
    source: str = "",
    group: str = DEFAULT_GROUP,
    dest_dir: str | os.PathLike[str] | None = None,
    on_recording: Callable[[Path, int], None] | None = None,
    overlap: float | None = None,
) -> Extraction:
    """Store listed segments under one class, a transaction per recording.

    Raises `DatabaseError` if the code belongs to another class, or the class has another one.

    Parameters
    ----------
    session
        Of a database opened for writing; this function commits.
    wanted
        The segments; offsets closer than the tolerance of the grid are one segment.
    class_name, code, category, source, group
        As in `extract_folder`.
    dest_dir
        Copy each recording there; the database keeps the path of the copy.
    on_recording
        Called with each recording and its number of new spectrograms, once they are stored.
    overlap
        Seconds; default ``infer.overlap``. It decides which offsets are the same segment.
    """
    target = _Target(session, cfg, class_name, code, category, group)
    grid = _grid(cfg, overlap)
    target.check()
    chosen = wanted.apart(grid.tolerance_s)
    described = describe_beside(chosen, class_name, cfg.misc, source)
    plans = [
        Plan(path, described[path].source, described[path].facts, [class_name], starts=starts)
        for path, starts in chosen.items()
    ]
    stored_path = absolute_path
    if dest_dir is not None:
        folder = Path(dest_dir)
        stored_path = lambda path: str(_copy_into(folder, path))  # noqa: E731
    result = store_plans(
        session, cfg.audio, plans, target.place, grid.tolerance_s,
        stored_path=stored_path, on_recording=on_recording,
    )  # fmt: skip
    result.failures += wanted.unclear.items()
    return result


def _grid(cfg: BaseConfig, overlap: float | None) -> WindowGrid:
    return WindowGrid.for_extraction(cfg.audio.spec_duration, cfg.infer.overlap if overlap is None else overlap)


class _Target:
    """One class and one spectrogram group of a database, both added if new."""

    def __init__(
        self, session: Session, cfg: BaseConfig, class_name: str, code: str, category: str, group: str
    ) -> None:
        self._session, self._cfg = session, cfg
        self._class, self._code, self._category, self._group = class_name, code, category, group

    def check(self) -> set[tuple[str, str]]:
        """Check names and codes before an hour of work; return source and name of the class's recordings.

        Nothing of it stays until a recording is stored.
        """
        warn_of_category(self._session, self._class, self._category)
        place = self.place()
        known = filenames_of_class(self._session, place.class_ids[self._class])
        warn_of_settings(self._session, place.group_id, self._group, self._cfg.audio)
        self._session.rollback()
        return known

    def place(self) -> Place:
        """Return the IDs of class and group, which may have been rolled back since."""
        class_id = get_or_add_class(self._session, self._class, self._code, self._category)
        group_id = get_or_add_group(self._session, self._group, self._cfg.audio.stored())
        return Place({self._class: class_id}, group_id)


def _copy_into(folder: Path, path: Path) -> Path:
    """Copy a recording into a folder, unless it is there already, and return where it lies."""
    copy = folder / path.name
    with writing(copy):
        if copy.exists():
            if copy.samefile(path) or sha256_of(copy) == sha256_of(path):
                return copy.absolute()
            raise InputError(f"{shown(copy)} is another recording of that name; it is not overwritten")
        with atomic_path(copy) as partial, open(path, "rb") as original, open(partial, "wb") as target:
            while block := original.read(1 << 20):
                target.write(block)
    return copy.absolute()
