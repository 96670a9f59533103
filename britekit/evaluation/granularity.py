"""Parse the unit of a test (segment, block or recording) and read a test of any unit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.scored_segments import ScoredSegments, read_scored_segments
from britekit.evaluation.scored_units import ScoredUnits, read_block_set, read_recording_set

Unit = Literal["segment", "block", "recording"]
BLOCK_S = 60.0


def find_granularity(text: str, block_s: float | None = None) -> tuple[Unit, float]:
    """Return the unit named by a word or an abbreviation of it, and the length of a block in seconds.

    Raises `InputError` if the word is unknown, or the block length is not positive.
    """
    words: tuple[str, ...] = ("segment", "block", "recording", "minute")
    found = [word for word in words if text and word.startswith(text.lower())]
    if len(found) != 1:
        raise InputError(
            f'granularity "{text}" is not valid; expected segment, block, recording or minute, or an abbreviation'
        )
    if block_s is not None and not block_s > 0:
        raise InputError(f"--block is {block_s:g}; expected a positive number of seconds")
    if found[0] == "minute":
        if block_s not in (None, BLOCK_S):
            raise InputError(f"a minute has 60 seconds, but --block is {block_s:g}; use -g block")
        return "block", BLOCK_S
    return found[0], float(block_s or BLOCK_S)  # type: ignore[return-value]


def check_precision(value: float) -> float:
    """Return a precision; raise `InputError` if it is out of range."""
    if not 0 < value <= 1:
        raise InputError(f"--precision is {value:g}; expected a share above 0, up to 1")
    return value


def read_units(
    unit: Unit,
    annotations_path: str | Path,
    label_dir: str | Path,
    recordings_dir: str | Path | None,
    cfg: BaseConfig,
    block_s: float = BLOCK_S,
    strict: bool = False,
) -> ScoredSegments | ScoredUnits:
    """Read a test of any unit; see `read_scored_segments`, `read_block_set` and `read_recording_set`."""
    if unit == "segment":
        return read_scored_segments(annotations_path, label_dir, recordings_dir, cfg, strict)
    if unit == "block":
        return read_block_set(annotations_path, label_dir, recordings_dir, cfg, block_s, strict)
    return read_recording_set(annotations_path, label_dir, recordings_dir, cfg, strict)
