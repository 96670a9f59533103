"""Process one recording in the engine, from its file to its scores."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from britekit.audio.decoding import AudioReader
from britekit.audio.stages import Stages
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import SpectrogramBatch, Windows
from britekit.config import AudioConfig, BaseConfig
from britekit.config.audio import Channels
from britekit.errors import InferenceError
from britekit.inference.frames import FrameGrid
from britekit.inference.planned_rows import PlannedRows
from britekit.inference.scores import RecordingScores
from britekit.inference.spilled_array import SpilledArray
from britekit.inference.window_plan import WindowPlan

# Windows per chunk of a reader.
CHUNK = 16
# Samples of all channels that a reader decodes per turn: 16 windows of 5 s of stereo at 48 kHz.
TURN_SAMPLES = 8_000_000


class Network(Protocol):
    """The interface of an `Ensemble`, or of an `Embedder`, whose scores are embeddings, to the engine."""

    cfg: BaseConfig
    audio: AudioConfig
    device: str
    sed_fps: int | None
    takes_sound: bool
    """Whether `score` wants waveforms (B, n) and not spectrograms (B, H, W)."""
    spread: int | None
    """Frames to lay a window's score over, where `score` gives none; None to lay nothing."""
    frame_weights: np.ndarray | None
    """Weights (T,) of a window's frames; None if all are equal."""

    @property
    def width(self) -> int:
        """C, numbers per window."""

    @property
    def step_s(self) -> float:
        """Seconds from one window to the next."""

    def grid(self, start_seconds: float = 0.0) -> WindowGrid:
        """Return where the windows of a recording begin."""

    @property
    def staggered(self) -> bool:
        """Whether `score` takes which members score each window."""

    def owners(self, place: int | None) -> np.ndarray:
        """Return the members (M,) that score windows of a place in the plan, bool."""

    def finish(self, starts_N: np.ndarray, rows: SpilledArray) -> SpilledArray:
        """Return the rows of a whole recording as they count; ``rows`` is used up."""

    def score(
        self, windows: np.ndarray, /, *, owners_BM: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (B, C), and (B, C, T) or None."""


class TooLong(InferenceError):
    """A recording exceeds the allowed length."""


class Cancelled(Exception):
    """The recording was cancelled."""


@dataclass
class Progress:
    """The engine's progress with a recording, written by its threads and read by the caller."""

    stated_s: float | None = None
    """Length by the file's header, once it is read; known only with a limit of length."""
    done_s: float = 0.0
    """Start of the last scored window, seconds."""
    stages: Stages | None = None
    """Measures decoding, spectrograms and models, if given."""


class Job:
    """One recording, read by one thread at a time and scored by one thread.

    Parameters
    ----------
    max_seconds
        Allowed length.
    folder
        Folder for large results; None keeps them in memory.
    traits
        Whether to measure level, noise and spectrum of the windows.
    channels
        In place of ``audio.channels``.
    small
        Settings of the smaller spectrograms that a screen looks at first; None: the ensemble's.

    Attributes
    ----------
    served
        Samples decoded so far; recordings with fewer are served first.
    """

    def __init__(
        self,
        path: Path,
        ensemble: Network,
        start_seconds: float,
        max_seconds: float | None,
        folder: str | os.PathLike[str] | None,
        progress: Progress | None = None,
        traits: bool = False,
        channels: Channels | None = None,
        small: AudioConfig | None = None,
    ) -> None:
        self.path = path
        self._small = small
        self._audio = ensemble.audio if channels is None else replace(ensemble.audio, channels=channels)
        self.progress = progress
        self.future: Future[RecordingScores] = Future()
        self.served = 0.0
        self._ensemble = ensemble
        self._start_seconds = start_seconds
        self._max_seconds = max_seconds
        self._windows: Windows | None = None
        self._window_samples = 0.0
        self._batches: Iterator[SpectrogramBatch] | None = None
        self._starts = array("d")
        self._traits: list[np.ndarray] | None = [] if traits else None
        classes = ensemble.width
        self._scores = SpilledArray(classes, folder)
        self._rows: PlannedRows | None = None
        self._grid: FrameGrid | None = None
        if ensemble.sed_fps is not None:
            self._grid = FrameGrid(classes, ensemble.sed_fps, SpilledArray(classes, folder))

    def read(self) -> SpectrogramBatch | None:
        """Return the next windows, None after the last.

        Raises
        ------
        Cancelled
            The recording was cancelled.
        TooLong
            It is longer than allowed, by its header or, since headers may be wrong, by its samples.
        InputError
            It cannot be decoded.
        """
        if self._batches is None:
            if not self.future.set_running_or_notify_cancel():
                raise Cancelled
            count = CHUNK if self._max_seconds is None else self._admit(self._max_seconds)
            grid = self._ensemble.grid(self._start_seconds)
            self._rows = PlannedRows(grid, self._ensemble.owners) if isinstance(grid, WindowPlan) else None
            self._windows = Windows(self.path, self._audio, grid)
            # Decoding and resampling stay on these threads; a GPU is faster from the waveform on.
            device = "cuda" if self._ensemble.device == "cuda" else "cpu"
            stages = self.progress.stages if self.progress else None
            self._batches = self._windows.batches(
                count, device, self._ensemble.takes_sound, stages, self._traits is not None, self._small
            )
        elif self.future.done():  # scoring failed
            raise Cancelled
        batch = next(self._batches, None)
        assert self._windows is not None
        if batch is not None and batch.traits is not None and self._traits is not None:
            self._traits.append(batch.traits)
        self.served += self._window_samples * len(batch.starts) if batch else 0
        if self._max_seconds is not None:
            reached = (self._windows.seconds or 0.0) if batch is None else batch.starts[-1]
            if reached > self._max_seconds:
                raise TooLong(f"the recording is longer than {self._max_seconds:g} s")
        return batch

    def _admit(self, max_seconds: float) -> int:
        """Raise for a recording that is too long by its header; return the windows per turn."""
        with AudioReader(self.path, warn=False) as reader:
            stated = reader.stated_seconds
            if self.progress is not None:
                self.progress.stated_s = stated
            if stated is not None and stated > max_seconds:
                raise TooLong(f"the recording is longer than {max_seconds:g} s")
            self._window_samples = max(1.0, self._ensemble.step_s * reader.rate * reader.channels)
        return max(1, min(CHUNK, int(TURN_SAMPLES / self._window_samples)))

    def add(
        self,
        starts: list[float],
        scores_NC: np.ndarray,
        frames_NCT: np.ndarray | None,
        computed_N: np.ndarray | None = None,
    ) -> None:
        """Add the scores of windows, in reading order.

        Raises `InferenceError` if a score is NaN, which would make the recording seem silent.

        Parameters
        ----------
        computed_N
            Which windows a screen let pass; the scores of the others are NaN. None: all.
        """
        bad = np.isnan(scores_NC).any(axis=1)
        if frames_NCT is not None:
            bad |= np.isnan(frames_NCT).any(axis=(1, 2))
        if computed_N is not None:
            bad &= computed_N
        if bad.any():
            raise InferenceError(
                f"the models give NaN for the window at {starts[int(np.argmax(bad))]:g} s; their weights may "
                "be damaged or, with infer.precision bf16, 16 bits insufficient: set infer.precision to f32"
            )
        if self.progress is not None:
            self.progress.done_s = starts[-1]
        weights = [1.0] * len(starts)
        if self._rows is None:
            self._append(starts, scores_NC)
        else:
            weights = [self._rows.add(start, scores) for start, scores in zip(starts, scores_NC, strict=True)]
            self._append(*self._rows.before(starts[-1]))
        if self._grid is None:
            return
        if frames_NCT is None and self._ensemble.spread is not None:
            frames_NCT = np.repeat(scores_NC[:, :, None], self._ensemble.spread, axis=2)
        if frames_NCT is not None:
            tapered = self._ensemble.frame_weights
            for start, frames, weight in zip(starts, frames_NCT, weights, strict=True):
                self._grid.add(start, frames, weight if tapered is None else weight * tapered)

    def _append(self, starts: list[float], scores_NC: np.ndarray | None) -> None:
        if scores_NC is not None:
            self._starts.extend(starts)
            self._scores.append(scores_NC)

    def owners(self, starts: list[float]) -> np.ndarray:
        """Return which members score the windows, (B, M) bool, where they are staggered."""
        assert self._rows is not None
        return np.stack([self._rows.owners(start) for start in starts])

    @property
    def seconds_per_window(self) -> float:
        """Seconds of the recording that are done with each window."""
        return self._ensemble.step_s / (1 if self._rows is None else self._rows.per_step)

    def finish(self) -> None:
        """Set the result of the future."""
        assert self._windows is not None
        seconds = self._windows.seconds or 0.0
        if self._rows is not None:
            self._append(*self._rows.before(math.inf))
        starts = np.array(self._starts, np.float64)
        frames = None
        if self._grid is not None:
            # A recording too short for a window must not count as silent.
            frames = self._grid.finish(seconds if self._starts else 0.0)
            assert self._ensemble.sed_fps is not None
            frames = self._ensemble.finish(np.arange(len(frames)) / self._ensemble.sed_fps, frames)
        result = RecordingScores(
            starts=starts,
            score_rows=self._ensemble.finish(starts, self._scores),
            frame_rows=frames,
            seconds=seconds,
            damaged_at=self._windows.damaged_at,
            traits=np.concatenate(self._traits) if self._traits else None,
        )
        self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Set the error of the future, unless it is done."""
        if isinstance(error, Cancelled):
            return
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            return  # already failed or cancelled

    def abandon(self) -> None:
        """Fail the future, since the engine has stopped."""
        if not self.future.cancel():
            self.fail(InferenceError("the engine was closed before the recording was complete"))

    def close(self) -> None:
        """Close the file of the recording without waiting for garbage collection."""
        if self._batches is not None:
            close = getattr(self._batches, "close", None)
            self._batches = None
            if close is not None:
                close()
