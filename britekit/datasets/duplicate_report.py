"""Pairs of near-identical segments as a table and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from sqlalchemy.orm import Session

from britekit.config.audio import AudioConfig
from britekit.database.embeddings import EmbeddedSegments
from britekit.database.spectrograms import group_settings
from britekit.datasets.duplicates import SegmentPair
from britekit.datasets.sound_difference import SoundComparison
from britekit.datasets.stored_pictures import Pictures, iter_images
from britekit.files import write_csv
from britekit.progress import track

_COLUMNS = ("pair", "recording1", "offset1", "recording2", "offset2", "similarity")


def write_pairs(path: Path, pairs: Sequence[SegmentPair], segments: EmbeddedSegments) -> None:
    """Write the pairs, numbered from 1."""
    rows: list[Sequence[object]] = [_COLUMNS]
    for number, pair in enumerate(pairs, start=1):
        cells = [
            cell for row in (pair.first, pair.second) for cell in (segments.name(row), f"{segments.offsets[row]:.2f}")
        ]
        rows.append([number, *cells, f"{pair.similarity:.6f}"])
    write_csv(path, rows)


def draw_pairs(
    session: Session,
    output: Path,
    pairs: Sequence[SegmentPair],
    segments: EmbeddedSegments,
    group_id: int,
    audio: AudioConfig,
) -> None:
    """Draw both members of each pair, ``{pair}-{file}-{offset}.jpeg``; pictures that exist are kept."""
    audio = settings_of(session, group_id, audio)
    pictures = Pictures(audio, axes=True)
    rows = [(number, row) for number, pair in enumerate(pairs, 1) for row in (pair.first, pair.second)]
    images = iter_images(session, [int(segments.value_ids[row]) for _, row in rows], audio)
    for (number, row), image in track(zip(rows, images), len(rows), "plot"):
        offset = float(segments.offsets[row])
        path = output / f"{number}-{segments.name(row)}-{offset:.2f}.jpeg"
        if not path.exists():
            pictures.draw(path, image, offset, f"{segments.name(row)}, {offset:.2f} s")


def compare_sounds(session: Session, group_id: int, audio: AudioConfig) -> SoundComparison:
    """Return the comparison of a group's spectrograms as sound; the session must stay open for it."""
    audio = settings_of(session, group_id, audio)
    return SoundComparison(lambda ids: iter_images(session, list(ids), audio), audio)


def settings_of(session: Session, group_id: int, audio: AudioConfig) -> AudioConfig:
    """Return the settings a group was made with, where they are known, else those in force."""
    known = group_settings(session, group_id)
    names = {field.name for field in fields(AudioConfig)}
    return replace(audio, **{name: value for name, value in known.items() if name in names})
