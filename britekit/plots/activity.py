"""Plot activity by hour and date, one panel per site, with sunrise and sunset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.plots.style import GRAY, LIGHT, figure

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
    top = max((float(np.nanmax(rate)) for _, rate, _ in panels if np.isfinite(rate).any()), default=0.0) or 1.0
    # Inches. Laid out by hand: to let matplotlib do it takes longer than to draw, for many sites.
    width, left, right, above, below, gap = 7.2, 0.62, 1.1, 0.62, 0.45, 0.3
    each = 1.4 if len(panels) <= 6 else 0.85
    height = above + below + len(panels) * (each + gap) - gap
    step = max(1, -(-len(days) // 7))
    with figure(path, width, height) as drawn:
        drawn.set_layout_engine("none")
        for place, (site, rate, sun) in enumerate(panels):
            bottom = height - above - each - place * (each + gap)
            axes = drawn.add_axes((left / width, bottom / height, 1 - (left + right) / width, each / height))
            axes.set_facecolor(LIGHT)
            image = axes.imshow(
                np.ma.masked_invalid(rate), origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=top,
                extent=(-0.5, len(days) - 0.5, 0, 24), interpolation="nearest",
            )  # fmt: skip
            for which in (0, 1) if sun is not None else ():
                hours = [np.nan if pair is None else pair[which] for pair in sun or ()]
                # White on dark cells and on gray ones alike, by its dark rim.
                axes.plot(range(len(days)), hours, color="black", linewidth=1.8)
                axes.plot(range(len(days)), hours, color="white", linewidth=0.9)
            axes.set(ylim=(0, 24), yticks=range(0, 25, 6 if each > 1 else 12), xlim=(-0.5, len(days) - 0.5))
            axes.set_xticks(range(0, len(days), step), days[::step] if place == len(panels) - 1 else [])
            axes.set_title(site.replace("$", r"\$"), loc="left", fontsize=9, pad=3)
            axes.grid(False)
        drawn.text(0.12 / width, 0.5, "Hour of the day (local time)", rotation=90, va="center", fontsize=9)
        long = min(3.0, height - above - below) / height
        bar = drawn.colorbar(
            image, cax=drawn.add_axes((1 - (right - 0.15) / width, 1 - above / height - long, 0.14 / width, long))
        )
        bar.set_label("Detections per hour\nof sound", fontsize=8)
        legend = "Gray: not recorded" + (". Lines: sunrise and sunset" if any(sun for _, _, sun in panels) else "")
        drawn.text(1 - right / width, 1 - 0.24 / height, legend, fontsize=7.5, va="center", ha="right", color=GRAY)
        drawn.text(left / width, 1 - 0.24 / height, name.replace("$", r"\$"), fontsize=11, va="center")
