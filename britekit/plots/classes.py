"""Plot many classes at once: detection curves side by side, and what was detected instead of missed classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from britekit.plots.lettering import set_name, set_tick_names, shorten, width_of
from britekit.plots.style import BLUE, GRAY, LIGHT, ORANGE, figure

Array = NDArray[np.floating]

_COLUMNS = 6
_GAP = 0.35  # between panels, relative to their width
_LETTER = 0.075  # inches per letter of a tick label
_LONGEST = 40  # maximum letters of a tick label


def plot_detection_curves(
    path: str | Path,
    thresholds: Array,
    precision_TA: Array,
    recall_TA: Array,
    labels: Sequence[str],
    chosen: float,
    unit: str,
) -> None:
    """Draw precision and recall against the threshold, one small panel per class.

    Parameters
    ----------
    thresholds
        (T,) from 0 to 1.
    precision_TA, recall_TA
        One column per class; NaN where undefined.
    chosen
        Threshold to mark.
    """
    # One pair of axes with shifted panels: with a hundred real axes matplotlib takes half a minute.
    columns = min(_COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    step = 1 + _GAP
    left = np.arange(len(labels)) % columns * step
    bottom = (rows - 1 - np.arange(len(labels)) // columns) * step
    # The title needs this width, even over a single panel.
    with figure(path, width=max(5.0, 1.0 + 1.35 * columns), height=1.0 + 1.35 * rows) as drawn:
        axes = drawn.subplots()
        corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]], float)
        place = np.stack([left, bottom], axis=1)[:, None, :]
        axes.add_collection(LineCollection(list(corners + place), colors=LIGHT, linewidths=0.8))
        marks = np.array([[chosen, 0], [chosen, 1]])
        axes.add_collection(
            LineCollection(
                list(marks + place), colors=GRAY, linewidths=0.8, linestyles="--", label=f"threshold {chosen:g}"
            )
        )
        for values, color, style, name in ((precision_TA, BLUE, "-", "precision"), (recall_TA, ORANGE, "-.", "recall")):
            lines = [
                np.stack([thresholds, values[:, k]], axis=1)[~np.isnan(values[:, k])] + place[k]
                for k in range(len(labels))
            ]
            shown = [line for line in lines if len(line)]
            axes.add_collection(LineCollection(shown, colors=color, linewidths=1.2, linestyles=style, label=name))
        for x, y, label in zip(left, bottom, labels, strict=True):
            heading = axes.text(x + 0.5, y + 1.03, "", ha="center", va="bottom", fontsize=7)
            set_name(heading, shorten(label, 18))
        axes.set(xlim=(-0.05, columns * step - _GAP + 0.05), ylim=(-0.05, rows * step - _GAP + 0.2))
        axes.set(xlabel="Score threshold", ylabel="Precision, recall")
        axes.set_aspect("equal")
        axes.set_xticks([0, 1], ["0", "1"])
        axes.set_yticks([0, 1], ["0", "1"])
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(f"Precision and recall of each class by threshold, per {unit}")
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def plot_missed_for(path: str | Path, shares: Array, missed: Sequence[str], detected: Sequence[str], unit: str) -> None:
    """Draw how often other classes were wrongly detected where a class was missed.

    Parameters
    ----------
    shares
        (rows, columns) from 0 to 1; rows need not sum to 1, since several classes may be detected together.
    """
    detected, missed = ([shorten(name, _LONGEST) for name in names] for names in (detected, missed))
    beside, below = (_LETTER * max(map(width_of, names)) for names in (missed, detected))
    # Leave room for names, the color bar and three labels; the label of the bar is 2 inches high.
    width = max(1.6 + beside + 0.26 * len(detected), 4.5)
    height = 1.0 + below + max(0.24 * len(missed), 2.2)
    with figure(path, width=width, height=height) as drawn:
        axes = drawn.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        set_tick_names(axes.xaxis, detected)
        set_tick_names(axes.yaxis, missed)
        axes.tick_params(axis="x", rotation=90)
        axes.set(xlabel="Detected there, wrongly", ylabel=f"Missed (number of {unit}s)")
        axes.grid(visible=False)
        # Lines between cells, and before the columns that are not classes.
        axes.hlines(np.arange(1, len(missed)) - 0.5, -0.5, len(detected) - 0.5, color="white", linewidth=0.6)
        axes.vlines(np.arange(1, len(detected)) - 0.5, -0.5, len(missed) - 0.5, color="white", linewidth=0.6)
        axes.axvline(len(detected) - 1.5, color=GRAY, linewidth=1.2)
        if shares.size <= 400:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    axes.text(
                        column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6,
                        color="white" if share > 0.55 else "black",
                    )  # fmt: skip
        bar = drawn.colorbar(image, ax=axes, shrink=1 if len(missed) < 12 else 0.7)
        bar.set_label(f"Share of the {unit}s missed")
        axes.set_title("Missed species: what was detected instead")
