"""Plot spectrograms before and after a change, above one another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.plots.style import SPECTROGRAM_COLORS, figure


def plot_before_after(
    path: str | Path, before_NHW: NDArray[np.float32], after_NHW: NDArray[np.float32], title: str, power: float = 1.0
) -> None:
    """Draw pairs of spectrograms side by side, each pair with the unchanged one on top.

    Rows and columns are numbered, since parameters of masks and shifts use these units.

    Parameters
    ----------
    before_NHW, after_NHW
        (n, H, W) values from 0 to 1, row 0 the lowest frequency; one gray scale for all, so that fading is visible.
    power
        Exponent applied to the values; below 1 it shows faint sounds.
    """
    count = len(before_NHW)
    if before_NHW.shape != after_NHW.shape or not count:
        raise ValueError(f"shapes {before_NHW.shape} and {after_NHW.shape}; expected two equal (n, H, W)")
    with figure(path, width=0.4 + 2.6 * count, height=3.4) as drawn:
        grid = drawn.subplots(2, count, squeeze=False, sharex=True, sharey=True)
        for row, (label, images) in enumerate((("Before", before_NHW), ("After", after_NHW))):
            for axes, image in zip(grid[row], images, strict=True):
                axes.imshow(
                    np.clip(image, 0.0, 1.0) ** power,
                    origin="lower", aspect="auto", cmap=SPECTROGRAM_COLORS, interpolation="nearest", vmin=0, vmax=1,
                )  # fmt: skip
                axes.grid(visible=False)
                for side in ("top", "right"):
                    axes.spines[side].set_visible(True)
            grid[row, 0].set_ylabel(f"{label}\nRow (px)")
        for axes in grid[1]:
            axes.set_xlabel("Column (px)")
        drawn.suptitle(title, fontsize=10)
