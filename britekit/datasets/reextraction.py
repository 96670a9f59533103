"""Spectrograms of stored segments, computed again with the audio settings in force."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from britekit.audio.decoding import AudioReader
from britekit.audio.files import Failures
from britekit.config import BaseConfig
from britekit.database.classes import require_class
from britekit.database.schema import Recording, Segment, SegmentClass, SpecGroup, SpecValue
from britekit.database.session import optimize
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.datasets.plans import channel_of
from britekit.datasets.window_streams import WindowStream, stream_windows
from britekit.errors import BriteKitError, DatabaseError, InputError, some
from britekit.processes import available_cores
from britekit.progress import track

log = logging.getLogger(__name__)

_IDS_AT_ONCE = 500


@dataclass(kw_only=True)
class Reextraction(Failures):
    """Recomputed spectrograms."""

    recordings: int = 0
    spectrograms: int = 0
    """Numbers of those stored; with ``check``, of those needed."""
    too_late: list[tuple[Path, float]] = field(default_factory=list)
    """Segments that begin too close to the end of their recording: (path, offset in seconds)."""
    seconds: float = 0.0
    """Time it took."""

    def raise_for_failures(self) -> None:
        """Raise `InputError` if any recording could not be read; the others are stored."""
        self.raise_for(len(self.failures) + self.recordings, "read and keep the spectrograms they had")


@dataclass(frozen=True)
class _Job:
    recording_id: int
    path: Path
    starts: list[float]
    """Where each segment's window begins, ascending, with the offset added."""
    segment_ids: list[int]
    channel: int | None = None
    """The channel of the file that the recording is, or None."""


def reextract_segments(
    session: Session,
    cfg: BaseConfig,
    class_names: Sequence[str] | None = None,
    group: str = "default",
    offset: float = 0.0,
    check: bool = False,
) -> Reextraction:
    """Compute the spectrograms of segments again, a transaction per recording.

    Every recording is opened before anything changes. Only the spectrograms of the chosen segments in the
    group are replaced. A segment that cannot be computed any more keeps the spectrogram it had, unless that
    was made with other settings: a group of mixed settings cannot be trained on.

    Parameters
    ----------
    session
        Of an existing database; opened for writing unless ``check``. This function commits.
    class_names
        Whose segments; default all that have a class or not.
    offset
        Seconds added to where each segment begins, not below 0; the spectrogram stays with its segment.
    check
        Only open the recordings.

    Raises
    ------
    DatabaseError
        An unknown class.
    InputError
        Recordings that are missing or cannot be opened; all of them are listed.
    """
    began = time.monotonic()
    jobs = _jobs(session, class_names, offset)
    session.rollback()  # the lock is not needed while files are looked at
    if not jobs:
        raise DatabaseError(f"{session.info['where']} has no segment of these classes; nothing to extract again")
    _refuse_unreadable(jobs)
    result = Reextraction()
    if check:
        result.recordings, result.spectrograms = len(jobs), sum(len(job.segment_ids) for job in jobs)
        result.seconds = time.monotonic() - began
        return result
    changed = _begin(session, group, cfg, {segment for job in jobs for segment in job.segment_ids})
    starts = {job.path: job.starts for job in jobs}
    # Two recordings may name one file; its windows are then computed for both together.
    for job in jobs:
        starts[job.path] = sorted({*starts[job.path], *job.starts})
    channels = [job.channel for job in jobs]
    streams = stream_windows([job.path for job in jobs], cfg.audio, starts.__getitem__, channels)
    for job, stream in track(zip(jobs, streams), len(jobs), "reextract"):
        try:
            stream.wait()
            stored = _replace(session, job, stream, group, changed)
        except (BriteKitError, OSError, MemoryError) as error:
            session.rollback()
            result.fail(job.path, error, "keeps its spectrograms")
            continue
        result.recordings += 1
        result.spectrograms += stored
        late = set(stream.absent)
        result.too_late += [(job.path, start) for start in job.starts if start in late]
    _end(session, group, cfg, changed is Change.WHOLE and not result.failures)
    result.seconds = time.monotonic() - began
    return result


def _jobs(session: Session, class_names: Sequence[str] | None, offset: float) -> list[_Job]:
    """Return what is to be computed, by recording."""
    query = (
        select(Recording.id, Recording.path, Recording.filename, Segment.id, Segment.offset)
        .join(Segment, Segment.recording_id == Recording.id)
        .order_by(Recording.id, Segment.offset)
    )
    if class_names is not None:
        class_ids = [require_class(session, name).id for name in class_names]
        chosen = select(SegmentClass.segment_id).where(SegmentClass.class_id.in_(class_ids))
        query = query.where(Segment.id.in_(chosen))
    jobs: dict[int, _Job] = {}
    for recording_id, path, filename, segment_id, begins in session.execute(query):
        if recording_id not in jobs:
            file = Path(path or filename)
            jobs[recording_id] = _Job(recording_id, file, [], [], channel_of(filename, file))
        jobs[recording_id].starts.append(max(0.0, begins + offset))
        jobs[recording_id].segment_ids.append(segment_id)
    return list(jobs.values())


def _refuse_unreadable(jobs: Sequence[_Job]) -> None:
    paths = list(dict.fromkeys(job.path for job in jobs))
    with ThreadPoolExecutor(available_cores()) as pool:
        problems = [problem for problem in track(pool.map(_problem, paths), len(paths), "check") if problem]
    if problems:
        for problem in problems:
            log.warning("%s", problem)
        listed = some([problem.partition(": ")[0] for problem in problems], 5)
        raise InputError(
            f"{len(problems)} of {len(paths)} recordings are missing or cannot be read, so nothing was "
            f"changed: {listed}; restore them, or remove them with del-rec"
        )


def _problem(path: Path) -> str:
    """Return why a recording cannot be read, empty if its beginning can."""
    if not path.is_file():
        return f"{path}: does not exist"
    try:
        with AudioReader(path, warn=False) as reader:
            next(iter(reader.blocks()), None)
    except (BriteKitError, OSError) as error:
        return f"{path}: {str(error).removeprefix(str(path)).lstrip(': ')}"
    return ""


class Change(Enum):
    """How the settings of a group change."""

    NONE = 0
    """It has those in force already."""
    PART = 1
    """Some of its spectrograms stay as they were."""
    WHOLE = 2
    """All of its spectrograms are replaced."""


def _begin(session: Session, group: str, cfg: BaseConfig, segments: set[int]) -> Change:
    """Make the group; return what becomes of its settings.

    While some spectrograms are old and some are new, the group's settings are not known.
    """
    now = json.dumps(cfg.audio.stored(), sort_keys=True)
    group_id = get_or_add_group(session, group, cfg.audio.stored())
    held = session.scalar(select(func.count()).where(SpecValue.specgroup_id == group_id)) or 0
    if not held:
        session.execute(update(SpecGroup).where(SpecGroup.id == group_id).values(config=now))
        session.commit()
        return Change.NONE
    known = session.scalar(select(SpecGroup.config).where(SpecGroup.id == group_id))
    if known == now:
        session.commit()
        return Change.NONE
    others = sum(
        segment not in segments
        for segment in session.scalars(select(SpecValue.segment_id).where(SpecValue.specgroup_id == group_id))
    )
    if others and known is not None:
        log.warning(
            'spectrogram group "%s" was made with other audio settings and keeps %d spectrograms of these; '
            "extract all classes again, or choose another group with --sgroup", group, others,
        )  # fmt: skip
    session.execute(update(SpecGroup).where(SpecGroup.id == group_id).values(config=None))
    session.commit()
    return Change.PART if others else Change.WHOLE


def _replace(session: Session, job: _Job, stream: WindowStream, group: str, changed: Change) -> int:
    """Replace the spectrograms of one recording's segments, and commit; return how many are new."""
    computed: dict[float, bytes] = {}
    for batch in stream:
        computed.update(zip(batch.offsets, batch.values))
    values = [
        (segment, computed[round(start, 6)])
        for segment, start in zip(job.segment_ids, job.starts)
        if round(start, 6) in computed
    ]
    group_id = get_or_add_group(session, group)
    outdated = job.segment_ids if changed is not Change.NONE else [segment for segment, _value in values]
    for first in range(0, len(outdated), _IDS_AT_ONCE):
        session.execute(
            delete(SpecValue).where(
                SpecValue.specgroup_id == group_id, SpecValue.segment_id.in_(outdated[first : first + _IDS_AT_ONCE])
            )
        )
    # Another process may have deleted a segment meanwhile.
    there = set(session.scalars(select(Segment.id).where(Segment.recording_id == job.recording_id)))
    values = [(segment, value) for segment, value in values if segment in there]
    add_values(session, group_id, values)
    session.commit()
    return len(values)


def _end(session: Session, group: str, cfg: BaseConfig, changed: bool) -> None:
    """Note the group's settings if all of it was made with them, and refresh the statistics."""
    if changed:
        group_id = get_or_add_group(session, group)
        session.execute(
            update(SpecGroup)
            .where(SpecGroup.id == group_id)
            .values(config=json.dumps(cfg.audio.stored(), sort_keys=True))
        )
    optimize(session)
    session.commit()
