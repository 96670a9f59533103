"""Only the segments that images or rows of a table name, into a database."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from britekit.annotations.image_names import IMAGE_EXTENSIONS, image_name_readings, parse_image_name
from britekit.annotations.names import RecordingNames
from britekit.annotations.tables import iter_rows, parse_number
from britekit.audio.files import check_stems, find_recordings, shown
from britekit.audio.windows import WindowGrid
from britekit.config import BaseConfig
from britekit.database.classes import get_or_add_class
from britekit.database.spectrograms import get_or_add_group
from britekit.datasets.extract_folder import Target, store_streams, warn_of_category, warn_of_settings
from britekit.datasets.extraction import DEFAULT_GROUP, Extraction
from britekit.datasets.recordings_csv import describe_beside
from britekit.datasets.window_streams import stream_windows
from britekit.errors import InputError, some, suggest
from britekit.files import atomic_path, sha256_of, unwritable

log = logging.getLogger("britekit.datasets.extract_given")


@dataclass
class Wanted:
    """Segments that somebody named.

    Attributes
    ----------
    offsets
        Per recording, its offsets in seconds, ascending.
    unreadable
        Image names that say no segment.
    absent
        Recordings that are named but not there, each with the names that name it.
    """

    offsets: dict[Path, list[float]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    absent: dict[str, list[str]] = field(default_factory=dict)

    def report(self, rec_dir: Path) -> None:
        """Warn of what cannot be used, a line each."""
        for name in self.unreadable:
            log.warning("%s names no segment; expected RECORDING-OFFSET.jpeg", shown(name))
        for recording, names in self.absent.items():
            listed = some([shown(name) for name in names], 1)
            log.warning('recording "%s" is not in %s (%s)', recording, rec_dir, listed)


def wanted_by_images(rec_dir: str | os.PathLike[str], spec_dir: str | os.PathLike[str]) -> Wanted:
    """Return the segments that the images of a folder name.

    Raises
    ------
    InputError
        A folder is missing, there is no image or no recording, or two recordings have one stem.
    """
    folder = Path(spec_dir)
    if not folder.is_dir():
        raise InputError(f"{shown(folder)} is not a directory; give one that holds spectrogram images")
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{shown(folder)} cannot be listed ({error.strerror or error})") from error
    names = [name for name in names if name.lower().endswith(IMAGE_EXTENSIONS)]
    if not names:
        raise InputError(
            f"{shown(folder)} holds no images; extensions looked for: {' '.join(IMAGE_EXTENSIONS)}"
        )
    paths = _by_stem(rec_dir)
    wanted = Wanted()
    for name in names:
        found = parse_image_name(name, paths)
        if found is not None:
            wanted.offsets.setdefault(paths[found[0]], []).append(found[1])
            continue
        readings = image_name_readings(name)
        if readings:
            wanted.absent.setdefault(readings[0][0], []).append(name)
        else:
            wanted.unreadable.append(name)
    return _ordered(wanted)


def wanted_by_csv(rec_dir: str | os.PathLike[str], csv_path: str | os.PathLike[str]) -> Wanted:
    """Return the segments that a table with the columns recording (stem or file name) and offset names.

    Raises
    ------
    InputError
        A row without recording, or whose offset is no number of seconds; all of them are named.
    """
    paths = _by_stem(rec_dir)
    names = RecordingNames(paths)
    wanted = Wanted()
    problems = []
    for row, cells in iter_rows(Path(csv_path), ["recording", "offset"]):
        name = cells["recording"]
        try:
            offset = parse_number(cells["offset"])
        except ValueError:
            offset = -1.0
        if not name:
            problems.append(f"row {row}: the recording is not named")
        elif offset < 0:
            problems.append(f'row {row}: offset "{cells["offset"]}" is not a number of seconds, 0 or more')
        elif (stem := names.find(name)) is not None:
            wanted.offsets.setdefault(paths[stem], []).append(offset)
        else:
            wanted.absent.setdefault(name, []).append(f"{csv_path}, row {row}{suggest(name, paths)}")
    if problems:
        raise InputError(f"{csv_path}, {some(problems, 10, '; ')}")
    return _ordered(wanted)


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
    place: Callable[[Path], Path] | None = None,
    commit: Callable[[Path], None] | None = None,
) -> Extraction:
    """Store named segments under one class, a transaction per recording.

    What exists already is not inserted twice, as in `extract_folder`; offsets closer than its tolerance are
    one segment.

    Parameters
    ----------
    session
        Of a database opened for writing; this function commits.
    wanted
        The segments.
    class_name, code, category, source, group
        As in `extract_folder`.
    dest_dir
        Copy each recording there; the database keeps the path of the copy.
    on_recording
        Called with each recording and its number of new spectrograms, once they are stored.
    overlap
        Seconds; default ``infer.overlap``. It tells which offsets are the same segment.
    place, commit
        As in `store_streams`; ``dest_dir`` comes before ``place``.

    Raises
    ------
    DatabaseError
        The code belongs to another class, or the class has another one.
    """
    grid = WindowGrid.for_extraction(
        cfg.audio.spec_duration, cfg.infer.overlap if overlap is None else overlap
    )
    warn_of_category(session, class_name, category)
    get_or_add_class(session, class_name, code, category)
    warn_of_settings(session, get_or_add_group(session, group), group, cfg.audio)
    session.rollback()
    chosen = {path: _apart(offsets, grid) for path, offsets in wanted.offsets.items()}
    paths = list(chosen)
    described = describe_beside(paths, class_name, cfg.misc, source)
    target = Target(class_name, code, category, group, described)
    streams = stream_windows(paths, cfg.audio, chosen.__getitem__)
    if dest_dir is not None:
        folder = Path(dest_dir)
        place = lambda path: _copy_into(folder, path)  # noqa: E731
    return store_streams(
        session, cfg, streams, len(paths), grid, target, on_recording, place or Path.absolute, commit
    )


def _by_stem(rec_dir: str | os.PathLike[str]) -> dict[str, Path]:
    paths = find_recordings(rec_dir)
    check_stems(paths)
    return {path.stem: path for path in paths}


def _ordered(wanted: Wanted) -> Wanted:
    wanted.offsets = {path: sorted(set(wanted.offsets[path])) for path in sorted(wanted.offsets)}
    return wanted


def _apart(offsets: Sequence[float], grid: WindowGrid) -> list[float]:
    """Return ascending offsets without those that are the same segment as one before."""
    chosen: list[float] = []
    for offset in offsets:
        if not chosen or offset - chosen[-1] >= grid.tolerance_s - 1e-9:
            chosen.append(offset)
    return chosen


def _copy_into(folder: Path, path: Path) -> Path:
    """Copy a recording into a folder, unless it is there already, and return where it lies."""
    copy = folder / path.name
    try:
        if copy.exists():
            if copy.samefile(path) or sha256_of(copy) == sha256_of(path):
                return copy.absolute()
            raise InputError(f"{shown(copy)} is another recording of that name; it is not overwritten")
        with atomic_path(copy) as partial, open(path, "rb") as original, open(partial, "wb") as target:
            while block := original.read(1 << 20):
                target.write(block)
    except OSError as error:
        raise unwritable(copy, error) from error
    return copy.absolute()
