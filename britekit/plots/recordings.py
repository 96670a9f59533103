"""Draw recordings: one picture per segment, the whole recording, or contact sheets of segments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from britekit.audio.files import Failures, shown
from britekit.audio.overview import recording_overview
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.errors import BriteKitError, InputError
from britekit.plots.axis_ticks import row_centers_hz
from britekit.plots.contact_sheet import ContactSheet
from britekit.plots.spectrogram import SpectrogramPlot, plot_bare_spectrogram

log = logging.getLogger(__name__)

# A whole recording: ten pixels per second within these widths, 300 high.
_PIXELS_PER_SECOND = 10.0
_NARROWEST, _WIDEST, _WHOLE_HEIGHT = 640, 4000, 300


@dataclass(frozen=True)
class PictureStyle:
    """Options for drawing segments."""

    axes: bool = True
    """False: the spectrogram alone."""
    power: float = 1.0
    """Exponent applied to the values scaled to 0 … 1, only for display."""

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise InputError(f"power is {self.power:g}; expected a number above 0 (0.5 shows faint sounds)")


@dataclass(kw_only=True)
class Drawn(Failures):
    """Result of a run: pictures drawn, pictures that existed, failures, and pages of contact sheets."""

    made: int = 0
    kept: int = 0
    pages: list[Path] = field(default_factory=list)

    def raise_for_failures(self, total: int) -> None:
        """Raise `InputError` if any recording could not be drawn; the others were."""
        self.raise_for(total, "drawn")


class Unwritable(InputError):
    """A picture cannot be written, which ends the run, since no recording is the cause."""


class SegmentPictures:
    """Draws segments of one duration and frequency scale into a directory; keeps existing pictures."""

    def __init__(self, directory: Path, cfg: AudioConfig, style: PictureStyle, drawn: Drawn) -> None:
        self._directory, self.seconds, self._style, self._drawn = directory, cfg.spec_duration, style, drawn
        self._row_hz = row_centers_hz(cfg)
        self._plot: SpectrogramPlot | None = None

    def is_there(self, name: str) -> bool:
        """Return whether a picture already exists, and count it."""
        there = (self._directory / name).exists()
        self._drawn.kept += there
        return there

    def draw(self, name: str, image_FT: np.ndarray, start_s: float, title: str) -> None:
        """Write a picture; the title is ``title`` (the recording) and the time."""
        path = self._directory / name
        if self._style.axes:
            if self._plot is None:
                self._plot = SpectrogramPlot(self._row_hz)
            title = f"{title}   {start_s:.6g}–{start_s + self.seconds:.6g} s"
            with _writing():
                self._plot.save(path, image_FT, self.seconds, start_s, title, self._style.power)
        else:
            with _writing():
                plot_bare_spectrogram(path, image_FT, self._style.power)
        self._drawn.made += 1


def plot_segments(pictures: SegmentPictures, windows: Windows, decimals: int) -> int:
    """Draw windows of a recording as ``{stem}-{offset}.jpeg``; return their number.

    Logs a warning for a window with too little sound. Offsets get more decimals if needed to distinguish them.
    """
    count, path = 0, Path(windows.path)
    for start, image in windows:
        if image is None:
            log.warning("%s: too little sound left at %g s; no picture", shown(path), start)
            continue
        count += 1
        name = f"{path.stem}-{offset_text(start, decimals, pictures.seconds)}.jpeg"
        if not pictures.is_there(name):
            pictures.draw(name, image, start, path.name)
    return count


def plot_whole(
    path: Path,
    directory: Path,
    cfg: AudioConfig,
    style: PictureStyle,
    drawn: Drawn,
    on_seconds: Callable[[float], None] | None = None,
) -> None:
    """Draw a whole recording as ``{stem}.jpeg``, 640 to 4000 pixels wide depending on length, 300 high.

    Memory does not grow with the length of the recording.

    Raises `InputError` if the file cannot be decoded, or holds less than 0.5 s.
    """
    target = directory / f"{path.stem}.jpeg"
    if target.exists():
        drawn.kept += 1
        return
    overview = recording_overview(path, cfg, _WIDEST, on_seconds)
    width = round(min(max(overview.seconds * _PIXELS_PER_SECOND, _NARROWEST), _WIDEST))
    with _writing():
        if style.axes:
            plot = SpectrogramPlot(row_centers_hz(cfg), width, _WHOLE_HEIGHT)
            plot.save(target, overview.image_FT, overview.seconds, title=path.name, power=style.power)
        else:
            plot_bare_spectrogram(target, overview.image_FT, style.power, width, _WHOLE_HEIGHT)
    drawn.made += 1


def plot_on_sheet(sheet: ContactSheet, windows: Windows) -> int:
    """Put windows of a recording on a contact sheet; return their number."""
    count, path = 0, Path(windows.path)
    for start, image in windows:
        if image is None:
            log.warning("%s: too little sound left at %g s; no picture", shown(path), start)
            continue
        with _writing():
            sheet.add(image, f"{path.stem} {start:.6g} s")
        count += 1
    return count


def plot_recordings(
    paths: Iterable[Path],
    directory: Path,
    cfg: AudioConfig,
    style: PictureStyle,
    *,
    overlap: float = 0.0,
    whole: bool = False,
    sheet: str | None = None,
    offsets: dict[Path, list[float]] | None = None,
    raise_at_once: bool = False,
    on_seconds: Callable[[float], None] | None = None,
) -> Drawn:
    """Draw recordings one after the other; report and skip unreadable ones.

    Raises `InputError` if the overlap is invalid, or a picture cannot be written.

    Parameters
    ----------
    directory
        Output directory; created with the first picture.
    whole
        Draw one picture per recording instead.
    sheet
        Write contact sheets of this name instead: ``{sheet}.jpeg``, ``{sheet}2.jpeg`` …
    offsets
        Draw only the windows at these seconds of each recording.
    raise_at_once
        Raise the error of a recording at once, for a single recording.
    on_seconds
        Called repeatedly with the number of seconds processed.
    """
    grid = WindowGrid.for_overlap(cfg.spec_duration, overlap)
    drawn = Drawn()
    pictures = SegmentPictures(directory, cfg, style, drawn)
    chosen = offsets or {}
    told = on_seconds or (lambda _: None)
    contact = None if sheet is None else ContactSheet(
        lambda number: directory / f"{sheet}{number if number > 1 else ''}.jpeg",
        sheet.removesuffix("-sheet"), sheet_legend(cfg), style.power,
    )  # fmt: skip
    for path in paths:
        try:
            if whole:
                plot_whole(path, directory, cfg, style, drawn, told)
                continue
            listed = chosen.get(path)
            windows = _Metered(path, cfg, grid if listed is None else listed, told)
            if contact is not None:
                count = plot_on_sheet(contact, windows)
                drawn.made += count
            else:
                count = plot_segments(pictures, windows, offset_decimals(listed or [grid.step_s]))
            if not count and listed is None:
                raise InputError(
                    f"{shown(path)}: {windows.seconds:.3g} s are too short for a spectrogram; at least "
                    f"{min(1.0, cfg.spec_duration):g} s are needed"
                )
        except Unwritable:
            raise
        except BriteKitError as error:
            if raise_at_once:
                raise
            drawn.fail(path, error)
    if contact is not None:
        with _writing():
            contact.finish()
        drawn.pages = contact.pages
    return drawn


def offset_decimals(steps: Sequence[float]) -> int:
    """Return 1 if all steps or offsets are multiples of 0.1 s, else 2."""
    return 1 if all(abs(step * 10 - round(step * 10)) < 1e-6 for step in steps) else 2


def offset_text(offset: float, decimals: int, duration: float) -> str:
    """Return an offset for the name of a picture, with more decimals if neighbors would share a name."""
    most = 0.0051 if duration >= 1.0 else 0.00051
    while decimals < 6 and abs(round(offset, decimals) - offset) > most:
        decimals += 1
    return f"{offset:.{decimals}f}"


def sheet_legend(cfg: AudioConfig) -> str:
    """Return the legend of a contact sheet."""
    return (
        f"each {cfg.spec_duration:g} s wide, {cfg.min_freq / 1000:g} to {cfg.max_freq / 1000:g} kHz high "
        f"on the {cfg.freq_scale} scale"
    )


class _Metered(Windows):
    """Windows of a recording that report progress in seconds."""

    def __init__(
        self, path: Path, cfg: AudioConfig, starts: WindowGrid | Sequence[float], told: Callable[[float], object]
    ) -> None:
        super().__init__(path, cfg, starts, read_on=False)
        self._told = told

    def __iter__(self) -> Iterator[tuple[float, np.ndarray | None]]:
        before = 0.0
        for start, image in super().__iter__():
            yield start, image
            self._told(start - before)
            before = start
        self._told((self.seconds or before) - before)


@contextmanager
def _writing() -> Iterator[None]:
    """Convert write errors to `Unwritable`, to tell them from read errors."""
    try:
        yield
    except BriteKitError as error:
        raise Unwritable(str(error)) from error
