"""Rows on disk are the rows that were appended, whatever is read in between."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from britekit.inference.frames import FrameGrid
from britekit.inference.spilled_array import SpilledArray


@pytest.mark.parametrize("kept", [1, 1000, 1 << 20])
def test_rows_come_back_as_they_were(tmp_path: Path, kept: int):
    rng = np.random.default_rng(0)
    parts = [rng.random((count, 3), dtype=np.float32) for count in (5, 0, 1, 200, 7, 40)]
    rows = SpilledArray(3, tmp_path, kept)
    for part in parts:
        rows.append(part)
        part[:] = part  # the caller may go on using its array
    whole = np.concatenate(parts)
    assert len(rows) == 253 and rows.shape == (253, 3) and rows.nbytes == whole.nbytes
    assert rows.array().tobytes() == whole.tobytes()
    assert rows.columns([2, 0]).tolist() == whole[:, [2, 0]].tolist()
    seen = []
    for block in rows.blocks():  # reading columns meanwhile must not disturb
        rows.columns([1])
        seen.append(block.copy())
    assert np.concatenate(seen).tobytes() == whole.tobytes()
    assert sorted(place for group in rows.column_groups([0, 1, 2]) for place in group) == [0, 1, 2]
    rows.append_zeros(4)
    assert rows.array()[-4:].tolist() == [[0.0] * 3] * 4
    for length in (250, 100, 3):
        rows.truncate(length)
        assert rows.array().tobytes() == whole[:length].tobytes()
    rows.append(whole[3:9])
    assert rows.array().tobytes() == whole[:9].tobytes()
    rows.close()
    assert not os.listdir(tmp_path)


def test_the_callers_array_is_copied():
    rows, part = SpilledArray(1), np.ones((2, 1), np.float32)
    rows.append(part)
    part[:] = 5
    assert rows.array().tolist() == [[1.0], [1.0]]


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="expected 3 columns"):
        SpilledArray(3).append(np.zeros((2, 2)))


def test_a_day_of_frames_takes_the_memory_of_a_minute(tmp_path: Path):
    """24 h of a window each 5 s, 4 frames a second: 345,600 rows, of which only the last are in memory."""
    rows = SpilledArray(5, tmp_path, kept_bytes=64 << 10)
    grid = FrameGrid(5, 4, rows)
    window = np.random.default_rng(0).random((5, 20), dtype=np.float32)
    for number in range(17280):
        grid.add(number * 5.0, window)
    assert len(grid._count) <= 512
    assert sum(part.nbytes for part in rows._parts) <= 64 << 10
    finished = grid.finish(86400.0)
    assert len(finished) == 345600
    assert finished.columns([3])[-20:, 0].tolist() == window[3].tolist()
    finished.close()


def test_windows_out_of_order_are_refused():
    grid = FrameGrid(1, 4)
    for start in range(0, 400, 5):
        grid.add(float(start), np.ones((1, 20), np.float32))
    with pytest.raises(ValueError, match="after a later one"):
        grid.add(0.0, np.ones((1, 20), np.float32))


def test_a_gap_is_zeros():
    grid = FrameGrid(1, 1)
    grid.add(10.0, np.ones((1, 2), np.float32))
    grid.add(1000.0, np.ones((1, 2), np.float32))
    found = grid.finish(1010.0).array()[:, 0]
    assert np.flatnonzero(found).tolist() == [10, 11, 1000, 1001] and len(found) == 1010
