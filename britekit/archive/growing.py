"""New and changed recordings are embedded and appended to an archive."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import britekit
from britekit.archive.appending import GrowingArchive
from britekit.audio.files import same_named, shown
from britekit.errors import InferenceError, some
from britekit.inference.embedding import Embedder
from britekit.inference.engine import Engine
from britekit.inference.recording_names import identity_of, recording_name
from britekit.inference.scores import RecordingScores
from britekit.inference.scoring import raise_failed, reason_of, run_metered, score_recordings

logger = logging.getLogger(__name__)

# Recordings are appended in the order of their names; so many may be complete before their turn.
_AHEAD = 256


@dataclass
class Growth:
    """Result of a run."""

    added: int = 0
    changed: int = 0
    known: int = 0
    """Recordings that are new, that have changed since, and that were there already."""
    gone: list[str] = field(default_factory=list)
    """Recordings of the archive that are not below the folder any more; they stay."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Recording to the reason why it is not in the archive."""
    damaged: int = 0
    """How many of those that were added are damaged, and were embedded up to there."""
    windows: int = 0
    """Windows of all recordings that count."""
    outdated: str = ""
    """The sentence of `Archive.describe_outdated`."""
    audio_seconds: float = 0.0
    elapsed_s: float = 0.0

    def raise_for_failures(self) -> None:
        """Raise `InferenceError` if recordings failed; the others are added."""
        raise_failed(self.failed, self.added + self.changed + len(self.failed), "embedded")


class _Vectors:
    """The engine, as `run_metered` takes it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def scored_s(self) -> float:
        return self._engine.scored_s

    def run(
        self, recordings: Iterator[tuple[str, Path]], on_tick: Callable[[], None]
    ) -> Iterator[tuple[str, Path, RecordingScores | BaseException]]:
        yield from score_recordings(self._engine, recordings, 0.0, on_tick, _AHEAD)


def grow_archive(
    embedder: Embedder,
    paths: Sequence[Path],
    place: Path,
    folder: str | os.PathLike[str],
    complete: bool = True,
    root: Path | None = None,
    below: PurePosixPath | None = None,
) -> Growth:
    """Embed recordings that an archive does not hold as they are now.

    A recording that fails is named and left out; the others are added. A run that was killed is repeated: what
    it had added counts, and the archive gets the bytes of one that was never interrupted.

    Raises `InputError` as `GrowingArchive`.

    Parameters
    ----------
    paths, place
        Recordings, and the folder in which they lie.
    complete
        ``paths`` are all recordings of the archive's folder, so others are gone.
    root, below
        From `place_in_archive`: the folder of the archive's recordings, and where in it ``place`` is; default:
        it is ``place``.
    """
    began = time.monotonic()
    root, inside = root or place, below or PurePosixPath()
    growth = Growth()
    unclear = same_named(paths)
    for path, reason in unclear.items():
        growth.failed[path] = reason
        logger.warning("%s is left out: %s", shown(path), reason)
    names = {(inside / recording_name(path, place)).as_posix(): path for path in paths if path not in unclear}
    more = {"licence": embedder.licence, "britekit_version": britekit.__version__}
    with GrowingArchive(folder, embedder.identity, root, embedder.path, more) as archive:
        before = dict(archive.entries)
        todo = {}
        for name in sorted(names):
            entry = before.get(name)
            if entry is not None and (entry.size, entry.mtime_ns) == identity_of(names[name]):
                growth.known += 1
            else:
                todo[name] = names[name]
        growth.gone = sorted(before.keys() - names.keys()) if complete else []
        if growth.gone:
            logger.warning(
                "%d recordings of the archive are not below %s any more (%s); they stay in it",
                *(len(growth.gone), shown(root), some(map(shown, growth.gone))),
            )
        identities: dict[str, tuple[int, int]] = {}

        def begin(name: str) -> None:
            identities[name] = identity_of(todo[name])

        threads = max(1, min(embedder.cfg.infer.num_threads, len(todo)))
        with contextlib.closing(Engine(embedder, threads=threads, folder=archive.folder)) as engine:
            for name, path, found in run_metered(_Vectors(engine), todo, begin):
                identity = identities.pop(name)
                if isinstance(found, BaseException):
                    reason = reason_of(found, path)
                else:
                    reason = ""
                    with contextlib.closing(found):
                        try:
                            archive.add(name, (inside / path.relative_to(place).as_posix()).as_posix(), identity, found)
                        except InferenceError as error:
                            reason = reason_of(error, path)
                if isinstance(found, BaseException) or reason:
                    growth.failed[path] = reason
                    logger.warning("%s is left out: %s", shown(path), reason)
                    continue
                growth.changed += name in before
                growth.added += name not in before
                growth.damaged += found.damaged_at is not None
                growth.audio_seconds += found.seconds
        growth.windows = sum(entry.windows for entry in archive.entries.values())
        growth.outdated = archive.describe_outdated()
    growth.elapsed_s = time.monotonic() - began
    return growth
