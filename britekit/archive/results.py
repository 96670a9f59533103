"""Write the results of a search in an archive: a table, a queue for ``review``, and a contact sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.archive.search import Found
from britekit.archive.store import Archive
from britekit.audio.files import shown
from britekit.audio.windows import Windows
from britekit.config import AudioConfig
from britekit.errors import InputError
from britekit.files import together, write_csv
from britekit.plots.contact_sheet import COLUMNS as SHEET_COLUMNS
from britekit.plots.contact_sheet import ROWS, ContactSheet

TABLE, QUEUE, SHEET = "results.csv", "queue.csv", "contact-sheet"
# Ten pages; each needs a page of sound to be read, and users rarely look at more.
MOST_DRAWN = 10 * SHEET_COLUMNS * ROWS


@dataclass(frozen=True)
class Hit:
    """A window that was found; rank 1 is the most similar."""

    rank: int
    recording: str
    start: float
    end: float
    similarity: float
    file: Path


def hits_of(archive: Archive, found: Found, duration_s: float, root: Path | None = None) -> list[Hit]:
    """Return what was found, with recordings and seconds.

    Parameters
    ----------
    root
        Folder of the recordings, if they are elsewhere than when they were embedded.
    """
    root = archive.root if root is None else root
    hits = []
    for rank, (row, similarity) in enumerate(zip(found.rows.tolist(), found.similarity.tolist(), strict=True), start=1):
        entry = archive.entry_of(row)
        start = float(archive.starts[row])
        end = max(min(start + duration_s, entry.seconds), start + 0.001)
        hits.append(Hit(rank, entry.recording, start, end, similarity, root / entry.file))
    return hits


def write_results(
    output: Path, hits: Sequence[Hit], name: str, audio: AudioConfig, title: str, power: float = 0.5
) -> tuple[list[Path], dict[Path, str]]:
    """Write ``results.csv``, ``queue.csv`` and contact sheets.

    Parameters
    ----------
    name
        Class that the queue asks about.
    power
        Exponent for the eye.

    Returns
    -------
    tuple
        The sheets, and recordings that could not be drawn with the reason.
    """
    images, failed = _images(hits[:MOST_DRAWN], audio)
    legend = f"{audio.spec_duration:g} s by {audio.min_freq} to {audio.max_freq} Hz"

    def page(number: int) -> Path:
        return output / (f"{SHEET}.jpeg" if number == 1 else f"{SHEET}-{number}.jpeg")

    with together(), ContactSheet(page, title, f"Each cell: {legend}", power) as sheet:
        for hit in hits[:MOST_DRAWN]:
            if hit.rank in images:
                image = images[hit.rank].astype(np.float32) / np.float32(255.0)
                sheet.add(image, f"{hit.rank}  {hit.similarity:.3f}  {hit.recording}-{hit.start:.2f}")
        sheet.finish()
        rows = [(h.rank, h.recording, f"{h.start:.2f}", f"{h.similarity:.6f}") for h in hits]
        write_csv(output / TABLE, [("rank", "recording", "start", "similarity"), *rows])
        queue = [(h.recording, f"{h.start:.3f}", f"{h.end:.3f}", name, f"{max(h.similarity, 0.0):.6f}") for h in hits]
        write_csv(output / QUEUE, [("recording", "start", "end", "name", "score"), *queue])
    return sheet.pages, failed


def by_file(hits: Sequence[Hit]) -> dict[Path, list[Hit]]:
    """Return hits by their recordings, in the order of starts."""
    found: dict[Path, list[Hit]] = defaultdict(list)
    for hit in sorted(hits, key=lambda hit: (str(hit.file), hit.start)):
        found[hit.file].append(hit)
    return found


def _images(hits: Sequence[Hit], audio: AudioConfig) -> tuple[dict[int, NDArray[np.uint8]], dict[Path, str]]:
    """Return spectrograms by rank, and recordings that cannot be read with the reason."""
    images: dict[int, NDArray[np.uint8]] = {}
    failed: dict[Path, str] = {}
    for file, inside in by_file(hits).items():
        drawn: Callable[[NDArray[np.float32]], NDArray[np.uint8]] = lambda image: np.rint(image * 255).astype(np.uint8)  # noqa: E731
        try:
            found = dict(Windows(file, audio, {hit.start for hit in inside}, read_on=False))
        except InputError as error:
            failed[file] = str(error).removeprefix(f"{shown(file)} ").removeprefix(f"{shown(file)}: ")
            continue
        for hit in inside:
            image = found.get(hit.start)
            if image is not None:
                images[hit.rank] = drawn(image)
            else:
                failed[file] = f"it has no sound at {hit.start:g} s any more"
    return images, failed
