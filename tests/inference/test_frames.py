"""The frame grid against a plain loop over the definition."""

from __future__ import annotations

import numpy as np
import pytest

from britekit.inference.frames import FrameGrid


@pytest.mark.parametrize(
    ("seconds", "step", "fps", "duration"), [(9.3, 1.5, 4, 3.0), (400.0, 2.5, 4, 5.0), (2.0, 3.0, 5, 3.0)]
)
def test_is_the_average_where_windows_overlap(seconds, step, fps, duration):
    rng = np.random.default_rng(0)
    starts = np.arange(0, max(seconds - 1, 0.1), step)
    windows = rng.random((len(starts), 2, round(fps * duration)), dtype=np.float32)
    grid = FrameGrid(2, fps)
    values: dict[int, list[np.ndarray]] = {}
    for start, window in zip(starts, windows, strict=True):
        grid.add(float(start), window)
        for frame in range(window.shape[1]):
            values.setdefault(round(start * fps) + frame, []).append(window[:, frame])
    found = grid.finish(seconds).array()
    assert found.shape == (round(seconds * fps), 2)
    for frame, row in enumerate(found):
        expected = np.mean(values[frame], axis=0) if frame in values else np.zeros(2)
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_no_window_gives_zeros():
    assert FrameGrid(3, 4).finish(2.0).array().tolist() == [[0.0] * 3] * 8
