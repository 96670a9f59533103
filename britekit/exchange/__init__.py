"""One file per standard in which detections and effort are handed to others.

The folder is the list: a file without ``_`` before its name is a standard, and ends with an `Export`; ``-``
stands for underscores. ``export --format`` follows from it.

In: what ``analyze`` wrote, the recordings with their times and sites, verdicts. Out: files of the standard.

- ``_dataset.py``: recordings, detections and verdicts, as all standards take them; `Export`
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from britekit.annotations.deployments import DEFAULT_PATH
from britekit.errors import InputError, some, suggest
from britekit.exchange._dataset import Dataset, Detection, Export, Source, read_dataset
from britekit.files import together, write_csv

__all__ = ["Dataset", "Detection", "Export", "Source", "export_detections", "get", "names"]

NOT_EXPORTED = "not_exported.csv"


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all standards, sorted."""
    files = (name[:-3] for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py") and name[0] != "_")
    return tuple(sorted(name.replace("_", "-") for name in files))


def get(name: str) -> Export:
    """Return a standard; raises `InputError` for a name that is not in the folder."""
    if name not in names():
        raise InputError(f'--format "{name}" is not one of {", ".join(names())}{suggest(name, names())}')
    found: Export = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").EXPORT
    return found


def export_detections(
    recordings: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str],
    standard: str,
    deployments: str | Path = DEFAULT_PATH,
    verdicts: str | os.PathLike[str] | None = None,
    classes: str | Path = "data/classes.csv",
    min_score: float = 0.0,
    only: Sequence[str] = (),
) -> Dataset:
    """Write detections in a standard of others.

    Recordings that the standard cannot hold, since it requires what is not known about them, are listed in
    ``not_exported.csv``; the others are written.

    Raises `InputError` if something cannot be read or written.

    Parameters
    ----------
    recordings
        Their folder; paths in the output are relative to it.
    labels
        Output of analyze. Without ``analyzed.csv``, recordings without a detection are not known.
    output
        Folder to write into; made if it is missing.
    standard
        One of `names`.
    verdicts
        What reviewers said: rejected detections are left out, confirmed ones are marked.
    classes
        Class list, whose ``AltName`` is taken as scientific name; a missing one has no classes.
    only
        Only these labels; all if empty.
    """
    chosen, output = get(standard), Path(output)
    dataset = read_dataset(recordings, labels, deployments, verdicts, classes, min_score, only)
    dataset.leave_out(chosen.why_not)
    with together():
        chosen.write(dataset, output)
        if dataset.not_exported:
            write_csv(output / NOT_EXPORTED, [("recording", "reason"), *dataset.not_exported])
    if not dataset.not_exported:
        (output / NOT_EXPORTED).unlink(missing_ok=True)
    return dataset


def raise_for_missing(dataset: Dataset, output: str | os.PathLike[str]) -> None:
    """Raise `InputError` if recordings were not exported; the others were."""
    missing = dataset.not_exported
    if missing:
        listed = some((f"{name}: {reason}" for name, reason in missing), 3, "; ")
        raise InputError(
            f"{len(missing)} of {len(missing) + len(dataset.recordings)} recordings were not exported ({listed}); "
            f"all are listed in {output}/{NOT_EXPORTED}"
        )
