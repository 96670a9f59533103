"""Keep statistics of what is scored, without sound, so that ``rpt-drift`` can compare periods.

One JSON file per day and model in a folder: how loud recordings are, their mean spectrum, the scores of each class,
and how often each class is detected. Counts are kept in 16 blocks, to which recordings are assigned by a hash of
their name: windows of a recording are correlated, so `rpt-drift` resamples blocks.

K: blocks, C: classes, T: traits (`britekit.audio.levels.TRAITS`), B: bins of scores.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from britekit.audio.levels import TRAITS
from britekit.config import BaseConfig
from britekit.errors import BriteKitError, InputError
from britekit.files import write_text, writing
from britekit.inference.labeling import Labeler
from britekit.inference.scores import RecordingScores
from britekit.occurrence.prior import RecordingPrior

log = logging.getLogger(__name__)

FORMAT = 1
BLOCKS = 16
BINS = 20
_FLUSH_SECONDS = 10.0
_ARRAYS = ("recordings", "windows", "silent", "seconds", "detections", "sums", "squares", "histogram")


@dataclass
class DriftDay:
    """Statistics of one day and model."""

    day: str
    """YYYY-MM-DD (UTC), the day of analysis."""
    model: str
    """Hash of the members and of what makes detections of scores."""
    classes: list[str]
    recordings: np.ndarray
    windows: np.ndarray
    silent: np.ndarray
    """(K,) recordings, windows, and windows in which no class is detected."""
    seconds: np.ndarray
    """(K,) length of the recordings."""
    detections: np.ndarray
    """(K, C) windows in which a class reaches its threshold."""
    sums: np.ndarray
    squares: np.ndarray
    """(K, T) sums of each trait, and of its squares, over windows."""
    histogram: np.ndarray
    """(C, B) uncalibrated scores."""

    @classmethod
    def empty(cls, day: str, model: str, classes: Sequence[str]) -> DriftDay:
        """Return statistics of nothing."""
        shapes = {"detections": (BLOCKS, len(classes)), "histogram": (len(classes), BINS)}
        shapes |= dict.fromkeys(("sums", "squares"), (BLOCKS, len(TRAITS)))
        arrays = {name: np.zeros(shapes.get(name, (BLOCKS,))) for name in _ARRAYS}
        return cls(day, model, list(classes), **arrays)

    @classmethod
    def read(cls, path: Path) -> DriftDay:
        """Read a file; raises `InputError` if it was not written by `write`."""
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if stored["format"] != FORMAT:
                raise ValueError(f"its format is {stored['format']}, expected {FORMAT}")
            found = cls.empty(str(stored["day"]), str(stored["model"]), [str(name) for name in stored["classes"]])
            date.fromisoformat(found.day)
            for name in _ARRAYS:
                array = np.array(stored[name], np.float64)
                if array.shape != getattr(found, name).shape or not np.isfinite(array).all():
                    raise ValueError(f'"{name}" has the wrong shape or values')
                setattr(found, name, array)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is not a file of drift statistics ({error}); delete it, or restore it") from None
        return found

    def write(self, path: Path) -> None:
        """Write a file, replacing it as a whole."""
        values: dict[str, Any] = {"format": FORMAT, "day": self.day, "model": self.model, "classes": self.classes}
        for name in _ARRAYS:
            array = getattr(self, name)
            whole = name not in ("sums", "squares", "seconds")
            values[name] = array.astype(int).tolist() if whole else array.round(6).tolist()
        write_text(path, json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")

    def add(self, other: DriftDay) -> None:
        """Add the statistics of the same classes."""
        for name in _ARRAYS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"drift-{self.day}-{self.model[:8]}.json"


class DriftLog:
    """Collects statistics and adds them to the files of a folder every 10 s; several processes may share it.

    Use `add` from one thread at a time. Statistics that cannot be written are reported once and counted; they never
    stop an analysis.

    Parameters
    ----------
    folder
        Created if missing.
    labeler
        Decides what is detected.
    days
        Older files are deleted.
    today
        Returns the day; for tests.
    """

    def __init__(
        self, folder: Path, labeler: Labeler, days: int, today: Callable[[], date] = lambda: datetime.now(UTC).date()
    ) -> None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._labeler, self._days, self._today = folder, labeler, days, today
        names = [info.name for info in labeler.classes]
        facts = [labeler.facts.more, labeler.calibration.describe(), names]
        self._model = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
        self._names = names
        self._collected = DriftDay.empty(self._today().isoformat(), self._model, names)
        self._flushed_at = time.monotonic()
        self.lost = 0
        """Recordings whose statistics could not be written."""

    def add(self, name: str, result: RecordingScores, prior: RecordingPrior | None = None) -> None:
        """Add a recording."""
        day = self._today().isoformat()
        if day != self._collected.day:
            self.flush()
        self._add(self._collected, zlib.crc32(name.encode("utf-8", "surrogatepass")) % BLOCKS, result, prior)
        if time.monotonic() - self._flushed_at >= _FLUSH_SECONDS:
            self.flush()

    def _add(self, into: DriftDay, block: int, result: RecordingScores, prior: RecordingPrior | None) -> None:
        labeler = self._labeler
        least = np.array(labeler.thresholds or [labeler.rules.min_score] * len(self._names), np.float32)
        for block_NC in result.score_rows.blocks():
            scores_NC = block_NC[~np.isnan(block_NC).any(axis=1)]  # a screen left the others out
            probabilities = labeler.scores(scores_NC, prior)
            found_NC = probabilities >= least
            into.detections[block] += np.count_nonzero(found_NC, axis=0)
            into.silent[block] += np.count_nonzero(~found_NC.any(axis=1))
            into.windows[block] += len(scores_NC)
            own = labeler.own_columns(scores_NC)
            bins = np.clip((own * BINS).astype(int), 0, BINS - 1)
            for column in range(len(self._names)):
                into.histogram[column] += np.bincount(bins[:, column], minlength=BINS)
        into.recordings[block] += 1
        into.seconds[block] += result.seconds
        if result.traits is not None and len(result.traits):
            traits = np.nan_to_num(result.traits.astype(np.float64))
            into.sums[block] += traits.sum(axis=0)
            into.squares[block] += np.square(traits).sum(axis=0)

    def flush(self) -> None:
        """Add what was collected to the file of its day, and delete files that are too old."""
        collected = self._collected
        self._collected = DriftDay.empty(self._today().isoformat(), self._model, self._names)
        self._flushed_at = time.monotonic()
        count = int(collected.recordings.sum())
        if not count:
            return
        path = self._folder / collected.name
        try:
            with FileLock(self._folder / ".drift.lock"):
                if path.exists():
                    collected.add(DriftDay.read(path))
                collected.write(path)
                self._delete_old()
        except (OSError, BriteKitError) as error:
            if not self.lost:
                log.warning("drift statistics of %d recordings could not be kept: %s", count, error)
            self.lost += count

    def _delete_old(self) -> None:
        found = sorted(self._folder.glob("drift-*.json"))
        days = sorted({path.name[6:16] for path in found})
        for path in found:
            if path.name[6:16] in days[: -self._days]:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        if self.lost:
            log.warning("drift statistics of %d recordings are missing in %s", self.lost, self._folder)


def configured_drift_log(cfg: BaseConfig, labeler: Labeler, folder: str | None = None) -> DriftLog | None:
    """Return what collects statistics in a folder or in that of the settings; None if there is none."""
    place = folder or cfg.service.drift_folder
    return None if place is None else DriftLog(Path(place), labeler, cfg.service.drift_days)


def read_days(folder: Path, since: date | None = None, until: date | None = None) -> list[DriftDay]:
    """Return the statistics of a folder in order of days, both ends included.

    Raises `InputError` if the folder has none in that period, or a damaged file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected one that service.drift_folder named")
    days = [DriftDay.read(path) for path in sorted(folder.glob("drift-*.json"))]
    chosen = [
        each
        for each in days
        if (since is None or each.day >= since.isoformat()) and (until is None or each.day <= until.isoformat())
    ]
    if not chosen:
        have = f"it holds {days[0].day} to {days[-1].day}" if days else "it holds none"
        raise InputError(f"{folder} has no drift statistics of that period; {have}")
    return chosen


def only(day: DriftDay, names: Sequence[str]) -> DriftDay:
    """Return the statistics of some of the classes, in that order."""
    places = [day.classes.index(name) for name in names]
    return dataclasses.replace(
        day, classes=list(names), detections=day.detections[:, places], histogram=day.histogram[places]
    )
