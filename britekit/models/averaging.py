"""Several checkpoints become one whose weights are their mean.

Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018.
"""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from britekit.annotations.classes import difference_of
from britekit.errors import ModelError
from britekit.models.checkpoint import LASTING, check_entries, read_archive, write_archive


def average_checkpoints(paths: Sequence[str | Path], output: str | Path) -> None:
    """Write the mean of checkpoints of one structure and class list.

    Floating-point weights are averaged in double precision; whole numbers (counters of batch norm) and
    everything else are the first one's, with a new identifier and the list of sources.

    Parameters
    ----------
    output
        File to write, whole or not at all.

    Raises
    ------
    ModelError
        Fewer than two, one that cannot be read, other weights or classes than the first one's.
    """
    if len(paths) < 2:
        raise ModelError(f"averaging needs at least two checkpoints; found {len(paths)}")
    first, _ = read_archive(paths[0])
    check_entries(first, paths[0])
    weights: dict[str, torch.Tensor] = first["state_dict"]
    sums = {name: value.double() for name, value in weights.items() if value.is_floating_point()}
    sources: list[dict[str, Any]] = [_source(first, paths[0])]
    for path in paths[1:]:
        other, _ = read_archive(path)
        check_entries(other, path)
        _compare(first, paths[0], other, path)
        for name, total in sums.items():
            total += other["state_dict"][name].double()
        sources.append(_source(other, path))
    mean = {
        name: (sums[name] / len(paths)).to(value.dtype) if name in sums else value for name, value in weights.items()
    }
    content = {key: value for key, value in first.items() if key in LASTING}
    write_archive(
        output, content | {"state_dict": mean, "identifier": str(uuid.uuid4()).upper(), "averaged_from": sources}
    )


def is_average(path: str | Path) -> bool:
    """Return whether a checkpoint was made by `average_checkpoints`."""
    return "averaged_from" in read_archive(path)[0]


def _source(content: dict[str, Any], path: str | Path) -> dict[str, Any]:
    # The file name only; its directory is private.
    return {"file": Path(path).name, "identifier": str(content["identifier"])}


def _compare(first: dict[str, Any], first_path: Any, other: dict[str, Any], path: Any) -> None:
    names, others = (c["hyper_parameters"].get("train_class_names") for c in (first, other))
    if what := difference_of(others or (), names or ()):
        raise ModelError(f"{path} was trained for {what} than {first_path}; choose ones of one list")
    ours, theirs = first["state_dict"], other["state_dict"]
    stray = sorted(set(ours) ^ set(theirs))
    if stray:
        raise ModelError(
            f'{path} and {first_path} are different networks: the weight "{stray[0]}" is in one of them only'
        )
    for name, value in ours.items():
        if value.shape != theirs[name].shape:
            raise ModelError(
                f'{path} and {first_path} are different networks: the weight "{name}" has shape '
                f"{tuple(theirs[name].shape)} and {tuple(value.shape)}"
            )
