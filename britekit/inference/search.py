"""Find the stored segments of a class that are most similar to segments of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.audio.files import shown
from britekit.audio.windows import Windows
from britekit.database.classes import require_class
from britekit.database.embeddings import EmbeddedSegments, read_embeddings
from britekit.database.schema import Recording, Segment, SegmentClass
from britekit.database.spectrograms import require_group
from britekit.datasets.similarity import EmbeddingMatrix
from britekit.datasets.stored_pictures import Pictures, iter_images
from britekit.datasets.storing import warn_of_settings
from britekit.errors import DatabaseError, InputError
from britekit.files import csv_text, together, write_text
from britekit.inference.embedding import SearchModel
from britekit.plots.contact_sheet import ContactSheet

TABLE_NAME, SHEET_NAME = "results.csv", "contact-sheet"
COLUMNS = ("rank", "recording", "offset", "distance", "target")


@dataclass(frozen=True)
class Target:
    """A segment to compare with: recording, seconds, and its spectrogram float32 (H, W) in 0 to 1."""

    path: Path
    offset: float
    image: NDArray[np.float32]

    def __str__(self) -> str:
        return f"{self.path.stem}-{self.offset:.2f}"


@dataclass(frozen=True)
class Hit:
    """A stored segment near a target; rank 1 is the nearest."""

    rank: int
    recording: str
    offset: float
    distance: float
    target: Target
    value_id: int

    @property
    def stem(self) -> str:
        """Stem of the recording."""
        return Path(self.recording).stem


def read_targets(path: str | Path, offsets: Sequence[float], model: SearchModel) -> list[Target]:
    """Compute the spectrograms of segments of a recording, as they would be stored.

    Raises `InputError` if the recording cannot be read, an offset is negative, or too little sound follows it.
    """
    for offset in offsets:
        if not (np.isfinite(offset) and offset >= 0):
            raise InputError(f"--offset {offset:g}: expected a number of seconds, 0 or more")
    windows = Windows(path, model.cfg.audio, set(offsets))
    images = dict(windows)
    targets = []
    for offset in dict.fromkeys(offsets):
        image = images[offset]
        if image is None:
            raise InputError(
                f"{shown(path)} lasts {windows.seconds or 0.0:g} s, too short for a spectrogram at {offset:g} s"
            )
        # Rounded like stored ones, so that a segment is at distance 0 from itself.
        targets.append(Target(Path(path), offset, np.rint(image * 255.0).astype(np.float32) / 255.0))
    return targets


def search_class(
    session: Session,
    model: SearchModel,
    class_name: str,
    targets: Sequence[Target],
    max_dist: float = 0.5,
    most: int = 200,
    group: str = "default",
    excluded: set[tuple[str, int]] | None = None,
) -> list[Hit]:
    """Return the segments of a class nearest to any of the targets, the nearest first.

    Raises `DatabaseError` if the class or group is unknown, or there are no embeddings of this model.

    Parameters
    ----------
    targets
        Result of `read_targets`; the distance of a segment is that to its nearest target.
    max_dist
        Largest distance, 1 - cosine.
    excluded
        Segments to exclude, from `present_in`.
    """
    group_id = require_group(session, group)
    warn_of_settings(session, group_id, group, model.cfg.audio)
    segments = read_embeddings(session, group_id, require_class(session, class_name).id)
    if not len(segments.vectors):
        raise DatabaseError(
            f'{session.info["where"]} has no embeddings of class "{class_name}" in group "{group}"; run embed first'
        )
    if segments.vectors.shape[1] != model.num_features:
        raise DatabaseError(
            f"the embeddings in {session.info['where']} have {segments.vectors.shape[1]} numbers, those of "
            f"the search model {model.num_features}: another model made them; run embed again"
        )
    rows = _allowed(segments, excluded or set())
    matrix = EmbeddingMatrix(segments.vectors[rows])
    vectors = model.embed(np.stack([target.image for target in targets]))
    best: dict[int, tuple[float, int]] = {}
    for number, near in enumerate(matrix.search(vectors, max_dist, most)):
        for row, distance in zip(rows[near.rows].tolist(), near.distances.tolist()):
            best[row] = min(best.get(row, (np.inf, 0)), (max(0.0, distance), number))
    ranked = sorted(best.items(), key=lambda item: (item[1][0], item[0]))[:most]
    return [
        Hit(
            rank,
            segments.name(row),
            float(segments.offsets[row]),
            distance,
            targets[number],
            int(segments.value_ids[row]),
        )
        for rank, (row, (distance, number)) in enumerate(ranked, start=1)
    ]


def present_in(session: Session, class_name: str) -> set[tuple[str, int]]:
    """Return file name and whole second of every segment of a class, for ``excluded``."""
    query = (
        select(Recording.filename, Segment.offset)
        .join(Segment, Segment.recording_id == Recording.id)
        .join(SegmentClass, SegmentClass.segment_id == Segment.id)
        .where(SegmentClass.class_id == require_class(session, class_name).id)
    )
    return {(filename, _second(offset)) for filename, offset in session.execute(query)}


def write_results(
    session: Session,
    model: SearchModel,
    targets: Sequence[Target],
    hits: Sequence[Hit],
    output: Path,
    axes: bool = False,
    power: float = 0.5,
    title: str = "",
) -> list[Path]:
    """Write ``results.csv``, one picture per target and segment, and contact sheets; return the sheets.

    Existing pictures are kept.
    """
    pictures = Pictures(model.cfg.audio, axes, power)
    legend = f"{model.cfg.audio.spec_duration:g} s by {model.cfg.audio.min_freq} to {model.cfg.audio.max_freq} Hz"

    def page(number: int) -> Path:
        return output / (f"{SHEET_NAME}.jpeg" if number == 1 else f"{SHEET_NAME}-{number}.jpeg")

    with together(), ContactSheet(page, title, f"Each cell: {legend}", power) as sheet:
        for target in targets:
            path = output / f"0~{target}~0.0.jpeg"
            if not path.exists():
                pictures.draw(path, target.image, target.offset, str(target))
            sheet.add(target.image, f"target {target}")
        images = iter_images(session, [hit.value_id for hit in hits], model.cfg.audio)
        for hit, image in zip(hits, images):
            name = f"{hit.stem}-{hit.offset:.2f}"
            path = output / f"{hit.rank}~{name}~{hit.distance:.3f}.jpeg"
            if not path.exists():
                pictures.draw(path, image, hit.offset, f"{name}, distance {hit.distance:.3f}")
            sheet.add(image, f"{hit.rank}  {hit.distance:.3f}  {name}")
        sheet.finish()
        write_text(output / TABLE_NAME, _table(hits, len(targets) > 1))
    return sheet.pages


def _table(hits: Sequence[Hit], several: bool) -> str:
    rows: list[Sequence[object]] = [COLUMNS if several else COLUMNS[:-1]]
    for hit in hits:
        row = [hit.rank, hit.recording, f"{hit.offset:.2f}", f"{hit.distance:.6f}"]
        rows.append([*row, str(hit.target)] if several else row)
    return csv_text(rows)


def _allowed(segments: EmbeddedSegments, excluded: set[tuple[str, int]]) -> NDArray[np.int64]:
    rows = np.arange(len(segments.value_ids))
    if not excluded:
        return rows
    offsets = segments.offsets.tolist()
    return rows[[(segments.name(row), _second(offsets[row])) not in excluded for row in rows.tolist()]]


def _second(offset: float) -> int:
    return int(np.floor(offset + 0.5))
