"""The stored spectrograms of a class as pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.config.audio import AudioConfig
from britekit.database.classes import require_class
from britekit.database.schema import Recording, Segment, SegmentClass, SpecValue
from britekit.database.spectrograms import decode, group_settings, iter_values, require_group
from britekit.errors import DatabaseError, InputError
from britekit.plots.contact_sheet import ContactSheet
from britekit.plots.recordings import Drawn, PictureStyle, SegmentPictures, sheet_legend

log = logging.getLogger(__name__)

_AT_ONCE = 64

Images = np.ndarray[Any, np.dtype[np.float32]]


def plot_class(
    session: Session,
    class_name: str,
    group: str,
    cfg: AudioConfig,
    directory: Path,
    style: PictureStyle,
    *,
    prefix: str = "",
    max_count: int | None = None,
    sheet: bool = False,
    change: Callable[[Images], Images] | None = None,
    show_progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Drawn:
    """Draw the spectrograms of a class as ``{stem}-{offset, 2 decimals}.jpeg``, or on contact sheets.

    Pictures that exist are kept. Axes are drawn for the audio settings that the group was made with, where
    the database knows them.

    Parameters
    ----------
    cfg
        Section ``audio``; stored spectrograms must have its height and width.
    style
        With or without axes; exponent.
    prefix
        Only recordings whose file name begins so, in whatever case.
    max_count
        Most spectrograms, the first by file name and offset.
    sheet
        Pages of many, ``{class}-sheet.jpeg``, ``{class}-sheet2.jpeg`` …
    change
        Applied to (n, H, W) spectrograms before they are drawn.

    Raises
    ------
    DatabaseError
        Unknown class or group, a damaged value, or one of another size than configured.
    InputError
        There is nothing to draw, or a picture cannot be written.
    """
    if max_count is not None and max_count < 1:
        raise InputError(f"at most {max_count} spectrograms leave nothing to plot; give 1 or more")
    class_id = require_class(session, class_name).id
    group_id = require_group(session, group)
    wanted = _find(session, class_id, group_id, prefix)[:max_count]
    if not wanted:
        of = f' of recordings whose name begins with "{prefix}"' if prefix else ""
        raise InputError(f'class "{class_name}" has no spectrograms{of} in group "{group}"; there is nothing to plot')
    shown_cfg = _settings_of(group_settings(session, group_id), cfg)
    drawn = Drawn()
    values = _decoded(session, wanted, cfg, change)
    if sheet:
        label = PurePath(class_name.replace("/", "_").replace("\\", "_")).name

        def page(number: int) -> Path:
            return directory / f"{label}-sheet{number if number > 1 else ''}.jpeg"

        with ContactSheet(page, class_name, sheet_legend(shown_cfg), style.power) as pages:
            for number in show_progress(range(len(wanted))):
                _, filename, offset = wanted[number]
                pages.add(next(values), f"{PurePath(filename).stem} {offset:.6g} s")
                drawn.made += 1
        drawn.pages = pages.pages
        return drawn
    pictures = SegmentPictures(directory, shown_cfg, style, drawn)
    names: set[str] = set()
    twice = 0
    for number in show_progress(range(len(wanted))):
        _, filename, offset = wanted[number]
        image = next(values)
        name = f"{PurePath(filename).stem}-{offset:.2f}.jpeg"
        if name in names:
            twice += 1
        elif not pictures.is_there(name):
            pictures.draw(name, image, offset, filename)
        names.add(name)
    if twice:
        log.warning(
            "%d spectrograms are not drawn: another recording of the same name has one at the same second", twice
        )
    return drawn


def _find(session: Session, class_id: int, group_id: int, prefix: str) -> list[tuple[int, str, float]]:
    """Return number of the value, file name and offset of each spectrogram, by file name and offset."""
    query = (
        select(SpecValue.id, Recording.filename, Segment.offset)
        .join(Segment, Segment.id == SpecValue.segment_id)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .join(Recording, Recording.id == Segment.recording_id)
        .where(SegmentClass.class_id == class_id, SpecValue.specgroup_id == group_id)
    )
    begin = prefix.casefold()
    rows = [
        (value_id, filename, offset)
        for value_id, filename, offset in session.execute(query)
        if filename.casefold().startswith(begin)
    ]
    # In Python, since databases sort names by rules of their own.
    return sorted(rows, key=lambda row: (row[1], row[2], row[0]))


def _decoded(
    session: Session, wanted: list[tuple[int, str, float]], cfg: AudioConfig, change: Callable[[Images], Images] | None
) -> Iterator[Images]:
    rows = iter(wanted)
    for values in iter_values(session, [value_id for value_id, _, _ in wanted], _AT_ONCE):
        images = []
        for value in values:
            _, filename, offset = next(rows)
            try:
                levels = decode(value, cfg.spec_height, cfg.spec_width)
            except ValueError as error:
                raise DatabaseError(
                    f"{filename} at {offset:g} s: the stored spectrogram does not fit audio.spec_height "
                    f"{cfg.spec_height} × audio.spec_width {cfg.spec_width}: {error}"
                ) from None
            images.append(levels.astype(np.float32) / np.float32(255))
        yield from images if change is None else change(np.stack(images))


def _settings_of(made_with: dict[str, Any], cfg: AudioConfig) -> AudioConfig:
    """Return the settings that say what rows and columns of the stored spectrograms mean."""
    # The size is that of the values, which was checked.
    names = {item.name for item in fields(AudioConfig)} - {"spec_height", "spec_width"}
    known = {name: value for name, value in made_with.items() if name in names}
    try:
        return replace(cfg, **known)
    except (TypeError, ValueError):
        return cfg
