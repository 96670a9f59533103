"""Choose the worst false positives and misses of a test, and draw their spectrograms."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from britekit.audio.windows import Windows
from britekit.config.audio import AudioConfig
from britekit.errors import InputError
from britekit.evaluation.exclusions import audio_files
from britekit.evaluation.scored_units import ScoredUnits
from britekit.evaluation.unit_report import UnitReport
from britekit.plots.examples import ExamplePlot
from britekit.progress import track

# Limits per class and per recording, so that the gallery shows different mistakes.
_OF_A_CLASS, _OF_A_RECORDING = 2, 2
_CANDIDATES = 5000
_CONTEXT_S, _LONGEST_S = 2.0, 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """One wrong cell of a test: a false positive or a miss."""

    kind: Literal["false positive", "miss"]
    recording: str
    label: str
    value: float
    """The score as `analyze` gives it; the threshold may apply to cross-fitted values."""
    start_s: float
    length_s: float
    """Window with the highest score of the class in the unit."""
    heard: list[str]
    """Classes that are annotated in the unit."""
    detected: list[str]
    """Classes that were detected in the unit."""


def worst_examples(report: UnitReport, most: int) -> list[Example]:
    """Choose up to ``most`` false positives with the highest values, and misses with the lowest.

    At most two per class and two per recording are taken, and a unit once per kind.
    """
    truth, found = report.data.truth_NC, report.found_NC
    values = report.decisions.values_NC
    chosen: list[Example] = []
    for kind, mask, sign in (("false positive", found & ~truth, -1.0), ("miss", truth & ~found, 1.0)):
        cells = np.flatnonzero(mask)
        order = sign * values.reshape(-1)[cells]
        if len(cells) > _CANDIDATES:
            part = np.argpartition(order, _CANDIDATES)[:_CANDIDATES]
            cells, order = cells[part], order[part]
        cells = cells[np.lexsort((cells, order))]
        rows, columns = np.unravel_index(cells, mask.shape)
        picked = _spread(report, rows, columns, most)
        chosen += [_example(report, kind, int(rows[k]), int(columns[k])) for k in picked]  # type: ignore[arg-type]
    return chosen


def _spread(report: UnitReport, rows: NDArray, columns: NDArray, most: int) -> list[int]:
    by_class: Counter[int] = Counter()
    by_recording: Counter[int] = Counter()
    seen: set[int] = set()
    picked: list[int] = []
    groups = report.data.groups_N[rows].tolist()
    for k, (row, column, group) in enumerate(zip(rows.tolist(), columns.tolist(), groups, strict=True)):
        if len(picked) == most:
            break
        if row in seen or by_class[column] == _OF_A_CLASS or by_recording[group] == _OF_A_RECORDING:
            continue
        seen.add(row)
        by_class[column] += 1
        by_recording[group] += 1
        picked.append(k)
    return picked


def _example(report: UnitReport, kind: Literal["false positive", "miss"], row: int, column: int) -> Example:
    data = report.data
    start, length = float(data.starts_N[row]), float(data.lengths_N[row])
    if isinstance(data, ScoredUnits):
        windows = np.flatnonzero(data.window_row_W == row)
        length = min(length, data.source.length_s)
        if len(windows):
            best = windows[int(np.argmax(data.window_scores_WC[windows, column]))]
            start = float(data.window_start_W[best])
    return Example(
        kind=kind,
        recording=data.recordings[int(data.groups_N[row])],
        label=data.labels[column],
        value=float(report.decisions.apply(data.scores_NC[row : row + 1])[0, column]),
        start_s=start,
        length_s=length,
        heard=[data.labels[c] for c in np.flatnonzero(data.truth_NC[row])],
        detected=[data.labels[c] for c in np.flatnonzero(report.found_NC[row])],
    )


def draw_examples(examples: Sequence[Example], folder: str | Path, cfg: AudioConfig) -> list[bytes | None]:
    """Draw the spectrogram of each example with two seconds around it, as JPEG.

    Parameters
    ----------
    examples
        What to draw.

    Returns
    -------
    list
        JPEG bytes, or None if the recording is missing or cannot be read.
    """
    audio = audio_files(Path(folder), any("/" in example.recording for example in examples))
    plot = ExamplePlot(cfg)
    pictures: list[bytes | None] = [None] * len(examples)
    together: dict[tuple[str, float], list[int]] = {}  # excerpts of equal length are read in one pass
    for place, example in enumerate(examples):
        together.setdefault((example.recording, excerpt_of(example)[1]), []).append(place)
    for (recording, seconds), places in track(together.items(), what="spectrograms"):
        paths = audio.get(recording, [])
        if len(paths) != 1:
            continue
        starts = sorted({excerpt_of(examples[place])[0] for place in places})
        try:
            windows = Windows(paths[0], replace(cfg, spec_duration=seconds), starts)
            images = dict(islice(windows, len(starts)))  # stops reading after the last one
        except InputError as error:
            log.warning("no spectrogram of %s: %s", recording, error)
            continue
        for place in places:
            pictures[place] = _draw(examples[place], images, plot)
    return pictures


def excerpt_of(example: Example) -> tuple[float, float]:
    """Return start and length in seconds of the excerpt of an example, with two seconds around it."""
    first = max(0.0, example.start_s - _CONTEXT_S)
    return first, min(example.start_s + example.length_s, example.start_s + _LONGEST_S) + _CONTEXT_S - first


def _draw(example: Example, images: Mapping[float, np.ndarray | None], plot: ExamplePlot) -> bytes | None:
    first, seconds = excerpt_of(example)
    image = images[first]
    if image is None:
        log.warning(
            "no spectrogram of %s: it ends before %g s; annotations or labels belong to another recording",
            example.recording,
            example.start_s,
        )
        return None
    return plot.draw(image, seconds, first, (example.start_s, example.start_s + example.length_s))
