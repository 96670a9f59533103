"""Store planned recordings: one loop for a whole tree, a folder, and listed segments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.annotations.held import Unheard
from britekit.audio.files import Failures
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.database.absences import add_absences
from britekit.database.classes import find_class
from britekit.database.recordings import add_recording, find_recording, get_or_add_source, set_seconds
from britekit.database.schema import DEFAULT_NAME, Category
from britekit.database.segments import add_links, add_segments, classes_of, nearest, segments_of
from britekit.database.spectrograms import add_values, differing_settings, encode, group_settings, segments_with_value
from britekit.datasets.plans import Plan, by_channel
from britekit.datasets.recordings_csv import with_metadata
from britekit.datasets.window_streams import Vary, WindowStream, of_track, stream_windows
from britekit.errors import BriteKitError, InputError
from britekit.progress import track

log = logging.getLogger(__name__)

DEFAULT_GROUP = "default"
# Two files of one name and source whose lengths differ by more are two recordings.
_SAME_LENGTH_S = 0.1
_SAME_OFFSET_S = 1e-3


@dataclass(kw_only=True)
class Extraction(Failures):
    """Result of an extraction: stored and unreadable recordings."""

    recordings: int = 0
    segments: int = 0
    spectrograms: int = 0
    """Numbers of new rows."""
    computed: int = 0
    """Windows that were looked at."""
    skipped: int = 0
    """Recordings that the class has already and that were not looked at; of a folder only."""
    per_class: dict[str, int] = field(default_factory=dict)
    """Segments by class name; of a tree only."""
    unheard: Unheard = field(default_factory=Unheard)
    """Annotations that no segment holds; of a tree only."""

    def raise_for_failures(self) -> None:
        """Raise `InputError` if any recording could not be read; the others are stored."""
        self.raise_for(len(self.failures) + self.recordings, "read and are left out")


@dataclass(frozen=True)
class Place:
    """Where spectrograms go: the IDs of the classes by name, of the spectrogram group, and of those of variants."""

    class_ids: Mapping[str, int]
    group_id: int
    variant_ids: Sequence[int] = ()


def absolute_path(path: Path) -> str:
    """Return a path as stored in a database that is not moved."""
    return str(path.absolute())


def store_plans(
    session: Session,
    audio: AudioConfig,
    plans: Sequence[Plan],
    place: Callable[[], Place],
    tolerance_s: float,
    *,
    choose: Callable[[Plan, float], Sequence[str]] | None = None,
    stored_path: Callable[[Path], str] = absolute_path,
    commit: Callable[[Path], None] | None = None,
    on_recording: Callable[[Path, int], None] | None = None,
    vary: Vary | None = None,
) -> Extraction:
    """Store the windows of recordings, a transaction per recording; report those that cannot be read.

    A segment that exists (same recording, offset within the tolerance) is not inserted twice: links to
    classes, and the spectrogram of this group, are added where they are missing.

    Parameters
    ----------
    session
        Of a database opened for writing; this function commits.
    plans
        The recordings, each with its windows and classes.
    place
        Returns where spectrograms go; it adds what is missing, in the recording's transaction.
    tolerance_s
        Two windows of a recording closer than this are the same segment.
    choose
        Returns the classes of a plan's window at an offset, perhaps none; default: as planned.
    stored_path
        Returns the path that the database keeps; called when the recording's windows are known.
    commit
        Called with each recording before the session commits.
    on_recording
        Called with each recording and its number of new spectrograms, once they are stored.
    vary
        Makes the variants of windows that go to ``Place.variant_ids``.
    """
    result = Extraction()
    plans = by_channel(plans, audio)
    classes_at = choose or (lambda plan, offset: plan.classes_at(offset, audio.spec_duration))
    by_path = {plan.path: plan.starts for plan in plans}

    def starts_of(path: Path) -> WindowGrid | Sequence[float]:
        starts = by_path[path]
        return starts(path) if callable(starts) else starts

    channels = [plan.channel for plan in plans]
    streams = stream_windows([plan.path for plan in plans], audio, starts_of, channels, vary)
    for plan, stream in track(zip(plans, streams), len(plans), "extract"):
        try:
            stream.wait()  # without the database's lock, which others may want meanwhile
            store = _Store(session, plan, stream, place(), tolerance_s, classes_at)
            store.run(audio, stored_path(plan.path))
            if commit is not None:
                commit(plan.path)
        except (BriteKitError, OSError, MemoryError) as error:
            session.rollback()
            result.fail(plan.path, error)
            continue
        session.commit()
        result.recordings += 1
        result.segments += store.segments
        result.spectrograms += store.spectrograms
        result.computed += len(store.offsets)
        result.unheard.judge(plan.annotations, stream.seconds, store.offsets, audio.spec_duration)
        if on_recording is not None:
            on_recording(plan.path, store.spectrograms)
    for sentence in result.unheard.sentences():
        log.warning("%s", sentence)
    return result


class _Store:
    """Stores what is missing of one recording.

    Attributes
    ----------
    segments, spectrograms
        Numbers of new rows.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        stream: WindowStream,
        place: Place,
        tolerance_s: float,
        classes_at: Callable[[Plan, float], Sequence[str]],
    ) -> None:
        self.offsets: list[float] = []
        self.segments = self.spectrograms = 0
        self._duration = 0.0
        self._session = session
        self._plan = plan
        self._stream = stream
        self._place = place
        self._tolerance = tolerance_s
        self._classes_at = classes_at

    def run(self, audio: AudioConfig, stored_path: str) -> None:
        """Store the recording; the caller commits.

        Raises `InputError` if the recording cannot be read, or is another one than the database has under that name.
        """
        session, plan, group_id = self._session, self._plan, self._place.group_id
        groups = (group_id, *self._place.variant_ids)
        self._duration = audio.spec_duration
        batches = iter(self._stream)
        batch = next(batches, None)
        if batch is None:
            session.rollback()  # too short to give a segment: not worth a row
            return
        # A source stays when people decide against all of its recordings; only del-src removes it.
        source_id = get_or_add_source(session, plan.source)
        recording = find_recording(session, source_id, plan.filename)
        recording_id = None if recording is None else recording.id
        there: dict[float, int] = {}
        linked: dict[int, set[int]] = {}
        drawn: set[int] = set()
        if recording_id is not None:
            there = segments_of(session, recording_id)
            linked, drawn = (classes_of(session, recording_id), segments_with_value(session, group_id, recording_id))
        known = list(there)
        elsewhere: dict[float, int] = {}
        while batch is not None:
            self.offsets += batch.offsets
            # Values of a segment: its own, then those of its variants.
            new: list[tuple[float, list[bytes], Sequence[str], Sequence[str] | None]] = []
            values: list[tuple[int, list[bytes]]] = []
            for offset, value, variants in zip(batch.offsets, batch.values, batch.variants):
                names = self._classes_at(plan, offset)
                absent = self._absent_at(offset, names)
                stored = nearest(offset, known, self._tolerance) if names and known else None
                if stored is None:
                    new += [(offset, [value, *variants], names, absent)] if names or absent else []
                    continue
                segment_id = there[stored]
                self._link(segment_id, names, linked.setdefault(segment_id, set()))
                if segment_id not in drawn:
                    drawn.add(segment_id)
                    if abs(stored - offset) < _SAME_OFFSET_S:
                        values.append((segment_id, [value, *variants]))
                    else:
                        elsewhere[stored] = segment_id
            if new and recording_id is None:
                facts = with_metadata(plan.facts, plan.path)
                recording_id = add_recording(session, source_id, plan.filename, stored_path, 0.0, facts)
            if new and recording_id is not None:
                ids = add_segments(session, recording_id, [row[0] for row in new])
                pairs = list(zip(ids, new))
                class_ids = self._place.class_ids
                add_links(session, ((at, class_ids[name]) for at, (_, _, names, _) in pairs for name in names))
                partly = {at: absent for at, (_, _, _, absent) in pairs if absent is not None}
                add_absences(session, {at: [class_ids[name] for name in absent] for at, absent in partly.items()})
                values += [(at, value) for at, (_, value, _, _) in pairs]
            for number, group in enumerate(groups):
                add_values(session, group, [(at, every[number]) for at, every in values])
            self.segments += len(new)
            self.spectrograms += len(values)
            batch = next(batches, None)
        if recording is None:
            if recording_id is not None:
                set_seconds(session, recording_id, self._stream.seconds)
        elif recording.seconds is not None and abs(recording.seconds - self._stream.seconds) > _SAME_LENGTH_S:
            raise InputError(
                f"{plan.path} lasts {self._stream.seconds:g} s, but the database has a recording of that name and "
                f"source which lasts {recording.seconds:g} s; rename the file, or give another source with --src"
            )
        # A segment keeps its own offset, so its spectrogram is computed there and not on this grid.
        extra = _encode_at(plan.path, of_track(audio, plan.channel), elsewhere)
        add_values(session, group_id, extra)
        self.spectrograms += len(extra)

    def _absent_at(self, offset: float, heard: Sequence[str]) -> Sequence[str] | None:
        """Return the classes known to be absent from a segment, None if all but those heard are."""
        absent = self._plan.absent_at(offset, self._duration)
        if absent is None:
            return None
        return [name for name in absent if name in self._place.class_ids and name not in heard]

    def _link(self, segment_id: int, names: Sequence[str], linked: set[int]) -> None:
        for class_id in (self._place.class_ids[name] for name in names):
            if class_id not in linked:
                linked.add(class_id)
                add_links(self._session, [(segment_id, class_id)])


def _encode_at(path: Path, audio: AudioConfig, segments: dict[float, int]) -> list[tuple[int, bytes]]:
    """Return the spectrograms of segments given as offset → ID, leaving out those past the end."""
    if not segments:
        return []
    windows = Windows(path, audio, segments, read_on=False)
    return [(segments[start], encode(image)) for start, image in windows if image is not None]


def warn_of_category(session: Session, class_name: str, category: str) -> None:
    """Warn if a category was asked for, but the class is in another one, where it stays."""
    found = find_class(session, class_name)
    if found is None or category in ("", DEFAULT_NAME):
        return
    held = session.scalar(select(Category.name).where(Category.id == found.category_id))
    if held != category:
        log.warning(
            'class "%s" is there already, in category "%s", and stays in it; --cat is for new classes',
            class_name, held,
        )  # fmt: skip


def warn_of_settings(session: Session, group_id: int, group: str, audio: AudioConfig) -> None:
    """Warn if a group was made with other audio settings than those in force."""
    different = differing_settings(group_settings(session, group_id), audio.stored())
    if different:
        log.warning(
            'spectrogram group "%s" was made with other audio settings: %s; choose another with --sgroup',
            group,
            "; ".join(different),
        )
