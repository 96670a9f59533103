"""Recordings as pictures: a segment each, the whole recording, or many segments on contact sheets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from britekit.audio.excerpts import iter_excerpts
from britekit.audio.files import shown
from britekit.audio.overview import recording_overview
from britekit.audio.stream import iter_spectrograms
from britekit.config.audio import AudioConfig
from britekit.errors import BriteKitError, InputError
from britekit.plots.axis_ticks import row_centres_hz
from britekit.plots.contact_sheet import ContactSheet
from britekit.plots.spectrogram import SpectrogramPlot, plot_bare_spectrogram

logger = logging.getLogger(__name__)

# Start in seconds, and a spectrogram (F, T) or None where too little sound is left.
Segments = Iterator[tuple[float, np.ndarray | None]]

# A whole recording: ten pixels a second between these widths, 300 high.
_PIXELS_PER_SECOND = 10.0
_NARROWEST, _WIDEST, _WHOLE_HEIGHT = 640, 4000, 300


@dataclass(frozen=True)
class PictureStyle:
    """How segments are drawn.

    Attributes
    ----------
    axes
        False: the spectrogram alone.
    power
        Exponent on the values scaled to 0 … 1, for the eye only.
    """

    axes: bool = True
    power: float = 1.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise InputError(f"power {self.power:g} of the picture must be above 0; 0.5 shows faint sounds")


@dataclass
class Drawn:
    """What a run made, what was there already, what could not be drawn, and the pages of contact sheets."""

    made: int = 0
    kept: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)

    def fail(self, path: Path, error: Exception) -> None:
        """Note a recording that could not be drawn, and say so."""
        reason = str(error) or type(error).__name__
        self.failures.append((path, reason))
        logger.warning(
            "%s is left out: %s",
            shown(path),
            reason.removeprefix(shown(path)).lstrip(": ").removeprefix("is "),
        )

    def raise_for_failures(self, total: int) -> None:
        """Raise `InputError` if any of the recordings could not be drawn; the others are."""
        if self.failures:
            first = shown(self.failures[0][0])
            raise InputError(
                f"{len(self.failures)} of {total} recordings could not be drawn, the first is {first}; "
                f"the others are"
            )


class Unwritable(InputError):
    """A picture cannot be written: no recording's fault, so the run ends."""


class SegmentPictures:
    """Draws segments of one duration and frequency scale into a directory; existing pictures stay."""

    def __init__(self, directory: Path, cfg: AudioConfig, style: PictureStyle, drawn: Drawn) -> None:
        self._directory, self._seconds, self._style, self._drawn = directory, cfg.spec_duration, style, drawn
        self._row_hz = row_centres_hz(cfg)
        self._plot: SpectrogramPlot | None = None

    def is_there(self, name: str) -> bool:
        """Tell, and count, whether a picture exists already."""
        there = (self._directory / name).exists()
        self._drawn.kept += there
        return there

    def draw(self, name: str, image_FT: np.ndarray, start_s: float, title: str) -> None:
        """Write a picture; ``title`` names the recording, the time is added."""
        path = self._directory / name
        if self._style.axes:
            if self._plot is None:
                self._plot = SpectrogramPlot(self._row_hz)
            title = f"{title}   {start_s:.6g}–{start_s + self._seconds:.6g} s"
            with _writing():
                self._plot.save(path, image_FT, self._seconds, start_s, title, self._style.power)
        else:
            with _writing():
                plot_bare_spectrogram(path, image_FT, self._style.power)
        self._drawn.made += 1


def plot_segments(path: Path, pictures: SegmentPictures, segments: Segments, decimals: int) -> None:
    """Draw segments of a recording as ``{stem}-{offset}.jpeg``; one without sound is warned of."""
    for start, image in segments:
        if image is None:
            logger.warning("%s: too little sound is left at %g s; no picture", shown(path), start)
            continue
        name = f"{path.stem}-{start:.{decimals}f}.jpeg"
        if not pictures.is_there(name):
            pictures.draw(name, image, start, path.name)


def plot_whole(
    path: Path,
    directory: Path,
    cfg: AudioConfig,
    style: PictureStyle,
    drawn: Drawn,
    on_seconds: Callable[[float], None] | None = None,
) -> None:
    """Draw a whole recording as ``{stem}.jpeg``, 640 to 4000 pixels wide as its length tells, 300 high.

    Memory does not grow with the length of the recording.

    Raises
    ------
    InputError
        The file cannot be decoded, or holds less than 0.5 s.
    """
    target = directory / f"{path.stem}.jpeg"
    if target.exists():
        drawn.kept += 1
        return
    overview = recording_overview(path, cfg, _WIDEST, on_seconds)
    width = round(min(max(overview.seconds * _PIXELS_PER_SECOND, _NARROWEST), _WIDEST))
    with _writing():
        if style.axes:
            plot = SpectrogramPlot(row_centres_hz(cfg), width, _WHOLE_HEIGHT)
            plot.save(target, overview.image_FT, overview.seconds, title=path.name, power=style.power)
        else:
            plot_bare_spectrogram(target, overview.image_FT, style.power, width, _WHOLE_HEIGHT)
    drawn.made += 1


def plot_on_sheet(path: Path, sheet: ContactSheet, segments: Segments) -> int:
    """Put segments of a recording on a contact sheet; return how many there were."""
    count = 0
    for start, image in segments:
        if image is not None:
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
    """Draw recordings one after the other; one that cannot be read is reported and left out.

    Parameters
    ----------
    paths
        The recordings.
    directory
        Where pictures go; made with the first.
    cfg
        Section ``audio``.
    style
        With or without axes; exponent.
    overlap
        Seconds that neighbouring segments share.
    whole
        One picture per recording instead.
    sheet
        Contact sheets with this name instead: ``{sheet}.jpeg``, ``{sheet}2.jpeg`` …
    offsets
        Only these seconds of each recording.
    raise_at_once
        Where a single recording is drawn: raise what is wrong with it.
    on_seconds
        Told how many seconds of sound were dealt with, time and again.

    Raises
    ------
    InputError
        The overlap is no overlap, or a picture cannot be written.
    """
    if not 0.0 <= overlap < cfg.spec_duration:
        raise InputError(
            f"overlap {overlap:g} s must be at least 0 and less than audio.spec_duration, "
            f"{cfg.spec_duration:g} s"
        )
    step_s = max(0.5, cfg.spec_duration - overlap)
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
            if contact is not None:
                drawn.made += plot_on_sheet(
                    path, contact, _segments(path, cfg, step_s, chosen.get(path), told)
                )
            elif whole:
                plot_whole(path, directory, cfg, style, drawn, told)
            else:
                decimals = offset_decimals(chosen.get(path, [step_s]))
                plot_segments(path, pictures, _segments(path, cfg, step_s, chosen.get(path), told), decimals)
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


def sheet_legend(cfg: AudioConfig) -> str:
    """Return what a cell of a contact sheet shows."""
    return (
        f"each {cfg.spec_duration:g} s wide, {cfg.min_freq / 1000:g} to {cfg.max_freq / 1000:g} kHz high "
        f"on the {cfg.freq_scale} scale"
    )


def _segments(
    path: Path,
    cfg: AudioConfig,
    step_s: float,
    offsets: Sequence[float] | None,
    told: Callable[[float], object],
) -> Segments:
    """Yield start and spectrogram of the segments at these offsets, or else at every step."""
    if offsets is not None:
        before = 0.0
        for offset, image in iter_excerpts(path, cfg, offsets):
            yield offset, image
            told(offset - before)
            before = offset
        return
    found = False
    # The second that must be left for a segment is less where a segment is shorter.
    least = min(1.0, cfg.spec_duration)
    stream = iter_spectrograms(path, cfg, step_s, tail_s=least, batch_size=16, may_be_empty=True)
    for batch in stream:
        found = True
        for start, image in zip(batch.starts, batch.spectrograms, strict=True):
            yield start, image
            told(step_s)
    if not found:
        raise InputError(
            f"{shown(path)}: {stream.seconds:.3g} s are too short for a spectrogram; at least {least:g} s "
            "are needed"
        )


@contextmanager
def _writing() -> Iterator[None]:
    """Tell a place that cannot be written from a recording that cannot be read."""
    try:
        yield
    except BriteKitError as error:
        raise Unwritable(str(error)) from error
