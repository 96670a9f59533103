"""Plans of what to store per recording, with windows and classes; listed segments."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from britekit.annotations.held import is_held
from britekit.annotations.image_names import image_name_readings, images_in, parse_image_name
from britekit.annotations.judged_stretches import Stretch, known_in
from britekit.annotations.names import NamedFiles
from britekit.annotations.offsets import read_offset_rows
from britekit.annotations.segments import UNNAMED, Annotation
from britekit.annotations.tracks import split_track, track_name
from britekit.audio.decoding import AudioReader
from britekit.audio.files import find_recordings, same_named, shown
from britekit.audio.window_grid import WindowGrid
from britekit.config.audio import AudioConfig
from britekit.database.recordings import Facts
from britekit.datasets.annotated import classes_heard
from britekit.datasets.window_streams import Starts
from britekit.errors import InputError, some, suggest

log = logging.getLogger(__name__)


@dataclass
class Plan:
    """One recording to extract."""

    path: Path
    source: str
    facts: Facts
    """Where it is, where it comes from and what is known about it."""
    class_names: list[str]
    """Classes that it holds over its whole length."""
    annotations: list[Annotation] = field(default_factory=list)
    """Stretches of classes that people heard in it."""
    judged: list[Stretch] = field(default_factory=list)
    seconds: float = 0.0
    """Verdicts about stretches of it, and its length; of all else nothing is known."""
    starts: WindowGrid | Sequence[float] | Starts = ()
    """Its windows, where they begin in ascending order, or a function that looks at the file and returns it."""
    also: list[Path] = field(default_factory=list)
    """The same file in other folders."""
    channel: int | None = None
    """The channel that is stored as a recording of its own, from 1; None: as ``audio.channels`` says."""

    @property
    def filename(self) -> str:
        """File name with extension; that of a channel ends in ``.ch1`` and so on before it."""
        path = self.path
        return path.name if self.channel is None else track_name(path.stem, self.channel) + path.suffix

    @property
    def every_class(self) -> set[str]:
        """The classes that it holds anywhere."""
        annotated = {item.label for item in self.annotations if item.label != UNNAMED}
        return {*self.class_names, *annotated}.union(*(stretch.heard for stretch in self.judged))

    def classes_at(self, offset: float, duration: float) -> list[str]:
        """Return the classes of the segment of ``duration`` seconds that begins at ``offset``."""
        if not self.annotations and not self.judged:
            return self.class_names
        named = [item for item in self.annotations if item.label != UNNAMED]
        judged, _ = known_in(self.judged, offset, duration, self.seconds)
        return list(dict.fromkeys([*self.class_names, *classes_heard(named, offset, duration), *judged]))

    def absent_at(self, offset: float, duration: float) -> list[str] | None:
        """Return the classes known not to be heard in that segment; None if all that are not heard are absent."""
        if self.judged and not self.class_names and not self.annotations:
            return known_in(self.judged, offset, duration, self.seconds)[1]
        unnamed = (item for item in self.annotations if item.label == UNNAMED)
        return [] if any(is_held(item, offset, duration) for item in unnamed) else None


def by_channel(plans: Sequence[Plan], audio: AudioConfig) -> list[Plan]:
    """Return a plan for each channel of each recording if ``audio.channels`` is ``each``, else the plans.

    Channels of a recording form a group, so that they stay on one side of a split. A recording with one channel keeps
    its plan, and so does one that cannot be read, which fails later.
    """
    if audio.channels != "each":
        return list(plans)
    found: list[Plan] = []
    for plan in plans:
        try:
            with AudioReader(plan.path, warn=False) as reader:
                channels = 1 if plan.channel is not None else reader.channels
        except (InputError, OSError):
            channels = 1
        facts = replace(plan.facts, group_name=plan.facts.group_name or plan.path.stem)
        several = [replace(plan, channel=number, facts=facts) for number in range(1, channels + 1)]
        found += [plan] if channels == 1 else several
    return found


def channel_of(filename: str, path: Path) -> int | None:
    """Return which channel of a file a stored recording is, by its name; None if it is not one channel's."""
    recording, channel = split_track(Path(filename).stem)
    return channel if recording + path.suffix == path.name else None


@dataclass
class Wanted:
    """Listed segments."""

    offsets: dict[Path, list[float]] = field(default_factory=dict)
    """Per recording, its offsets in seconds, ascending."""
    unreadable: list[str] = field(default_factory=list)
    """Image names that say no segment."""
    absent: dict[str, list[str]] = field(default_factory=dict)
    """Recordings that are named but not there, each with the names that name it."""
    unclear: dict[Path, str] = field(default_factory=dict)
    """Recordings that a listed name cannot tell from another, each with the reason; they fail."""

    def add(self, paths: Sequence[Path], offset: float) -> None:
        """Add a segment of the recording that a name means, or note that it could mean several."""
        if len(paths) > 1:
            self.unclear |= same_named(paths)
        else:
            self.offsets.setdefault(paths[0], []).append(offset)

    def report(self, rec_dir: Path) -> None:
        """Warn of what cannot be used, a line each, and count it."""
        for name in self.unreadable:
            log.warning("%s names no segment; expected RECORDING-OFFSET.jpeg", shown(name))
        for recording, names in self.absent.items():
            listed = some([shown(name) for name in names], 1)
            log.warning('recording "%s" is not in %s (%s)', recording, rec_dir, listed)
        for path, reason in self.unclear.items():
            log.warning("%s fails: %s", shown(path), reason)
        lost = len(self.unreadable) + sum(map(len, self.absent.values()))
        if lost:
            every = lost + sum(map(len, self.offsets.values()))
            log.warning("%d of %d listed segments are left out", lost, every)

    def apart(self, tolerance_s: float) -> dict[Path, list[float]]:
        """Return the offsets without those that are the same segment as one before, and warn of these."""
        chosen: dict[Path, list[float]] = {}
        for path, offsets in self.offsets.items():
            kept = chosen.setdefault(path, [])
            for offset in offsets:
                if not kept or offset - kept[-1] >= tolerance_s - 1e-9:
                    kept.append(offset)
            if len(kept) < len(offsets):
                near = [f"{offset:g} s" for offset in offsets if offset not in set(kept)]
                log.warning(
                    "%s: %s lie within %g s of an offset before, and are the same segments",
                    shown(path), some(near, 5), tolerance_s,
                )  # fmt: skip
        return chosen


def wanted_by_images(rec_dir: str | os.PathLike[str], spec_dir: str | os.PathLike[str]) -> Wanted:
    """Return the segments that the images of a folder name.

    Raises `InputError` if a folder is missing, or there is no image or no recording.
    """
    names = images_in(spec_dir)
    recordings = _by_name(find_recordings(rec_dir))
    wanted = Wanted()
    for name in names:
        found = parse_image_name(name, lambda stem: bool(recordings.find(stem)))
        if found is not None:
            wanted.add(recordings.find(found[0]), found[1])
            continue
        readings = image_name_readings(name)
        if readings:
            wanted.absent.setdefault(readings[0][0], []).append(name)
        else:
            wanted.unreadable.append(name)
    return _ordered(wanted)


def wanted_by_csv(rec_dir: str | os.PathLike[str], csv_path: str | os.PathLike[str]) -> Wanted:
    """Return the segments that a table with the columns recording (stem or file name) and offset names.

    Raises `InputError` for a row without recording, or whose offset is not a number of seconds; all of them are named.
    """
    paths = find_recordings(rec_dir)
    recordings, stems = _by_name(paths), [path.stem for path in paths]
    wanted = Wanted()
    for row in read_offset_rows(csv_path):
        if found := recordings.find(row.recording):
            wanted.add(found, row.offset)
        else:
            where = f"{csv_path}, row {row.number}{suggest(row.recording, stems)}"
            wanted.absent.setdefault(row.recording, []).append(where)
    return _ordered(wanted)


def _by_name(paths: Sequence[Path]) -> NamedFiles[Path]:
    return NamedFiles((path.name, path) for path in paths)


def _ordered(wanted: Wanted) -> Wanted:
    wanted.offsets = {path: sorted(set(wanted.offsets[path])) for path in sorted(wanted.offsets)}
    return wanted
