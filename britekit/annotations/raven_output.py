"""Labels as a Raven selection table: one row per label, in the order in which they are heard."""

from __future__ import annotations

from collections.abc import Iterable

RAVEN_ENDING = ".selections.txt"
RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Score",
)


def raven_text(
    rows: Iterable[tuple[float, float, str, float, bool]], low_hz: float, high_hz: float, marks: bool = False
) -> str:
    """Return a selection table.

    Parameters
    ----------
    rows
        Start and end in seconds, class, score from 0 to 1, whether it is below the threshold and confirmed.
    low_hz, high_hz
        Edges of every box: all that the models see, since they name no frequencies.
    marks
        Add the column ``Confirmed``.
    """
    lines = ["\t".join([*RAVEN_COLUMNS, "Confirmed"] if marks else RAVEN_COLUMNS)]
    ordered = sorted(rows, key=lambda row: (row[0], row[2]))
    for number, (start, end, name, score, confirmed) in enumerate(ordered, start=1):
        times = f"{start:.6f}\t{end:.6f}\t{low_hz:g}\t{high_hz:g}"
        mark = ("\tyes" if confirmed else "\tno") if marks else ""
        lines.append(f"{number}\tSpectrogram 1\t1\t{times}\t{' '.join(name.split())}\t{score:.6f}{mark}")
    return "\n".join(lines) + "\n"
