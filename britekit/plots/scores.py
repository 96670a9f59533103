"""Plot scores of a recording over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.plots.lettering import set_tick_names
from britekit.plots.style import figure


def plot_scores(
    path: str | Path, starts_N: NDArray[np.float64], scores_NC: NDArray[np.float32], names: Sequence[str]
) -> None:
    """Draw one row per class, darker for higher scores.

    Parameters
    ----------
    starts_N
        Starts of the windows, seconds, ascending.
    scores_NC
        0 to 1.
    """
    step = float(np.median(np.diff(starts_N))) if len(starts_N) > 1 else 1.0
    with figure(path, width=8.0, height=1.2 + 0.3 * len(names)) as drawn:
        axes = drawn.subplots()
        edges = np.append(starts_N, (starts_N[-1] if len(starts_N) else 0.0) + step)
        shading = axes.pcolormesh(edges, np.arange(len(names) + 1) - 0.5, scores_NC.T, cmap="Blues", vmin=0, vmax=1)
        axes.set_yticks(range(len(names)), names)
        set_tick_names(axes.yaxis, names)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlabel("Start of window (s)")
        drawn.colorbar(shading, ax=axes, label="Score")
