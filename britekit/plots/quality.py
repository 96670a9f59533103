"""Plot the quality of one recording over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from britekit.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, figure

_COLORS = (BLUE, ORANGE, GREEN, RED)
_MARKS = (("clipped", "clipped"), ("dropout_s", "dropouts"), ("windy", "wind"), ("rainy", "rain"))


def plot_quality(
    path: str | Path,
    title: str,
    channels: Sequence[Sequence[Mapping[str, float | None]]],
    octaves_hz: Sequence[float],
    quiet_db: Sequence[Sequence[float | None]],
) -> None:
    """Draw level, marks of faults and weather, indices, and noise by band.

    Parameters
    ----------
    channels
        For each channel its segments, with the values of `britekit.quality.measuring.SEGMENT_COLUMNS`.
    octaves_hz
        Lower edges of the bands of noise.
    quiet_db
        Noise in these bands for each channel.
    """
    total = max((_at(each[-1])[1] for each in channels if each), default=1.0)
    unit, name = (3600.0, "hours") if total > 7200 else (60.0, "minutes") if total > 120 else (1.0, "seconds")
    with figure(path, width=8.0, height=6.4) as drawn:
        # Laid out by hand, which takes a third of the time.
        drawn.set_layout_engine("none")
        grid = drawn.add_gridspec(
            4,
            2,
            height_ratios=(2.2, 1.0, 1.2, 1.6),
            left=0.1,
            right=0.86,
            top=0.95,
            bottom=0.08,
            hspace=0.55,
            wspace=0.22,
        )
        level, marks = drawn.add_subplot(grid[0, :]), drawn.add_subplot(grid[1, :])
        left, right = drawn.add_subplot(grid[2, 0]), drawn.add_subplot(grid[2, 1])
        noise = drawn.add_subplot(grid[3, :])
        level.set_title(title.replace("$", r"\$"), loc="left")
        for number, segments in enumerate(channels):
            color = _COLORS[number % len(_COLORS)]
            label = f"channel {number + 1}" if len(channels) > 1 else "level"
            _steps(level, segments, "level_db", unit, color, "-", label)
            _steps(level, segments, "peak_db", unit, color, ":", "peak" if not number else None)
            _steps(level, segments, "noise_db", unit, color, "--", "noise" if not number else None)
            _steps(left, segments, "ACI", unit, color)
            _steps(right, segments, "NDSI", unit, color)
            for row, (column, _) in enumerate(_MARKS):
                for segment in segments:
                    if segment[column]:
                        start, end = _at(segment)
                        height = 0.8 / len(channels)
                        marks.broken_barh(
                            [(start / unit, (end - start) / unit)], (row - 0.4 + number * height, height), color=color
                        )
            known = [(hz, db) for hz, db in zip(octaves_hz, quiet_db[number], strict=True) if db is not None]
            noise.plot([hz * 2**0.5 for hz, _ in known], [db for _, db in known], color=color, marker="o", markersize=3)
        level.set(ylabel="dB of full scale", xlim=(0, total / unit))
        level.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        marks.set(xlim=(0, total / unit), ylim=(len(_MARKS) - 0.5, -0.5), xlabel=name)
        marks.set_yticks(range(len(_MARKS)), [text for _, text in _MARKS])
        for axes, text in ((left, "ACI"), (right, "NDSI")):
            axes.set(ylabel=text, xlabel=name, xlim=(0, total / unit))
            if not any(segment[text] is not None for segments in channels for segment in segments):
                axes.text(0.5, 0.5, "not defined here", transform=axes.transAxes, ha="center", va="center", color=GRAY)
        noise.set_xscale("log", base=2)
        ticks = [hz for hz in octaves_hz if any(row[list(octaves_hz).index(hz)] is not None for row in quiet_db)]
        ticks += [2 * ticks[-1]] if ticks else []
        noise.set_xticks(ticks, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:.0f}" for hz in ticks])
        noise.minorticks_off()
        noise.set(xlabel="frequency, Hz (bands of an octave)", ylabel="quiet level, dB")


def _at(segment: Mapping[str, float | None]) -> tuple[float, float]:
    start = segment["start"] or 0.0
    return start, start + (segment["seconds"] or 0.0)


def _steps(axes, segments, column, unit, color, style="-", label=None) -> None:  # type: ignore[no-untyped-def]
    """Draw the values of segments as steps, with gaps where there is none."""
    if not segments:
        return
    edges = [_at(segment)[0] / unit for segment in segments] + [_at(segments[-1])[1] / unit]
    values = [np.nan if segment[column] is None else segment[column] for segment in segments]
    axes.stairs(values, edges, baseline=None, color=color, linestyle=style, linewidth=1.2, label=label)
