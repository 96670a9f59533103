"""Plot activity by hour and date, one panel per site, with sunrise and sunset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.plots.style import figure

Panel = tuple[str, NDArray[np.float64], Sequence[tuple[float, float] | None] | None]


def plot_activity(path: str | Path, name: str, days: Sequence[str], panels: Sequence[Panel]) -> None:
    """Draw the heat maps of one class.

    Parameters
    ----------
    days
        Dates of the columns, without gaps.
    panels
        Site, detections per hour of sound (24, days), NaN where nothing was recorded, and sunrise and sunset in hours
        for each day, if known.
    """
    top = max((float(np.nanmax(rate)) for _, rate, _ in panels if np.isfinite(rate).any()), default=0.0)
    with figure(path, width=7.5, height=0.6 + 1.8 * len(panels)) as drawn:
        grid = drawn.subplots(len(panels), 1, squeeze=False, sharex=True)
        for axes, (site, rate, sun) in zip(grid[:, 0], panels, strict=True):
            axes.set_facecolor("#D9D9D9")
            image = axes.imshow(
                np.ma.masked_invalid(rate), origin="lower", aspect="auto", cmap="viridis", vmin=0,
                vmax=top or 1, extent=(-0.5, len(days) - 0.5, 0, 24), interpolation="nearest",
            )  # fmt: skip
            if sun is not None:
                for which in (0, 1):
                    hours = [np.nan if pair is None else pair[which] for pair in sun]
                    axes.plot(range(len(days)), hours, color="white", linewidth=1.0)
            axes.set(ylim=(0, 24), yticks=range(0, 25, 6), xlim=(-0.5, len(days) - 0.5))
            axes.set_title(site.replace("$", r"\$"), loc="left")
            axes.grid(False)
        step = max(1, -(-len(days) // 8))
        grid[-1, 0].set_xticks(range(0, len(days), step), days[::step], rotation=0)
        drawn.supylabel("Hour (local)", fontsize=9)
        bar = drawn.colorbar(image, ax=grid[:, 0].tolist(), fraction=0.03, pad=0.02)
        bar.set_label("Detections per hour of sound")
        drawn.suptitle(name.replace("$", r"\$"), fontsize=10)
