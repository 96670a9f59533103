"""Occlusion: which frames of a spectrogram carry the score of a class.

`analyze-db --occlude` blanks the first k of n frames, then the last k, for k = 1 … n - 1, and writes the score of the
class after each. The fewest frames whose loss breaks the score mark where the sound begins and ends.

Legend: n frames of a spectrogram, numbered from 0.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.tables import iter_rows, parse_number
from britekit.annotations.text_files import encoding_of
from britekit.errors import InputError

_FACTS = ("Segment ID", "Recording", "Offset", "Score")


@dataclass(frozen=True)
class Occlusion:
    """A stored spectrogram: the score of its class, and the scores that are left after blanking frames."""

    segment_id: int
    recording: str
    offset: float
    score: float
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    """(n - 1,) score without the first, and without the last, 1 … n - 1 frames."""

    def active(self, alpha: float, pad: int = 0) -> NDArray[np.bool_]:
        """Return which frames carry the score, (n,) bool.

        The score counts as lost where it falls below ``alpha`` times the score of the whole spectrogram. The frame
        whose blanking from the left loses it, and the one from the right, bound the active frames. All frames
        are active if the score of the whole is 0.

        Parameters
        ----------
        alpha
            Share of the score, 0 to 1; a lower one gives longer stretches.
        pad
            Frames added on both sides, within the spectrogram.
        """
        count = len(self.left) + 1
        mask = np.zeros(count, bool)
        if self.score <= 0:
            mask[:] = True
            return mask
        lost_left, lost_right = self.left < alpha * self.score, self.right < alpha * self.score
        begin = int(lost_left.argmax()) if lost_left.any() else count - 1
        end = count - 1 - int(lost_right.argmax()) if lost_right.any() else 0
        first, last = min(begin, end), max(begin, end)
        mask[max(0, first - pad) : last + 1 + pad] = True
        return mask


def occlusion_columns(frames: int) -> list[str]:
    """Return the columns of the scores after blanking: ``score_L1`` …, ``score_R1`` … ."""
    return [f"score_{side}{k}" for side in "LR" for k in range(1, frames)]


def check_active_options(alpha: float, pad: int) -> None:
    """Raise `InputError` if a share of the score or a number of frames is out of range."""
    if not 0 < alpha <= 1:
        raise InputError(f"--alpha {alpha:g} is not a share of the score; expected a number above 0, at most 1")
    if pad < 0:
        raise InputError(f"--pad {pad} is below 0; it is a number of frames")


def read_occlusions(path: str | Path) -> list[Occlusion]:
    """Read the table of one class that ``analyze-db --occlude`` wrote, ours or that of public britekit.

    Raises `InputError` if the file cannot be read, was written without ``--occlude``, lists a segment twice, or has a
    wrong value; the row is named.
    """
    frames = _frames_of(Path(path))
    columns = occlusion_columns(frames)
    found: list[Occlusion] = []
    rows: dict[int, int] = {}
    for number, row in iter_rows(path, (*_FACTS, *columns)):
        try:
            segment = int(row["Segment ID"])
            offset, score, *scores = (parse_number(row[name]) for name in ("Offset", "Score", *columns))
        except ValueError as error:
            text = str(error).rpartition(": ")[2].strip("'")
            raise InputError(f'{path}, row {number}: "{text}" is not a valid number; run analyze-db again') from None
        outside = [value for value in (score, *scores) if not 0 <= value <= 1]
        if outside:
            raise InputError(f"{path}, row {number}: {outside[0]:g} is not a score; expected 0 to 1")
        if segment in rows:
            raise InputError(f"{path}, rows {rows[segment]} and {number} both hold segment {segment}; keep one of them")
        rows[segment] = number
        left, right = np.split(np.array(scores), 2)
        found.append(Occlusion(segment, row["Recording"], offset, score, left, right))
    return found


def _frames_of(path: Path) -> int:
    """Return the number of frames of a table, from its header."""
    wanted = "a table of analyze-db --occlude"
    try:
        with open(path, encoding=encoding_of(path, wanted)[0], newline="") as stream:
            header: Sequence[str] = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as {wanted}: {error}") from None
    frames = sum(name.strip().startswith("score_L") for name in header) + 1
    if frames < 2:
        raise InputError(
            f"{path} has no columns score_L1, score_R1 …; it must be {wanted}, which adds them to the table of a class"
        )
    return frames
