"""The entries of `train.augmentations`: defaults, checks, merging by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from britekit.config.augmentation_files import Known, read_augmentations
from britekit.config.fields import Problem, Setting, check_value, show
from britekit.errors import suggest


@dataclass
class AugmentationConfig:
    """One entry of the list."""

    name: str
    """File name of the augmentation."""
    prob: float = 0.0
    """Chance for a spectrogram, 0 to 1."""
    params: dict[str, Any] = field(default_factory=dict)
    """Values by parameter name; the ones not given have their defaults."""


PROB = Setting("probability for a spectrogram", low=0, high=1)

# In the order of application.
KNOWN: dict[str, Known] = read_augmentations()


def default_augmentations() -> list[AugmentationConfig]:
    """Return a fresh list of all augmentations with their default probabilities and parameters."""
    return [
        AugmentationConfig(name, known.prob, {key: default for key, (_, default, _) in known.params.items()})
        for name, known in KNOWN.items()
    ]


def merge_augmentations(base: list[AugmentationConfig], given: Any) -> tuple[list[AugmentationConfig], list[str]]:
    """Lay the entries of a file over a list, matched by name.

    Parameters
    ----------
    given
        What stood in the file: a list of maps with `name` and any of `prob`, `params`.

    Returns
    -------
    The merged list, and what is wrong with the entries; wrong values are left at those of ``base``.
    """
    merged = {entry.name: AugmentationConfig(entry.name, entry.prob, dict(entry.params)) for entry in base}
    if not isinstance(given, (list, tuple)):
        return list(merged.values()), [f"{show(given)} is not a list of augmentations"]
    problems: list[str] = []
    seen: set[str] = set()
    for place, item in enumerate(given, start=1):
        entry = _as_map(item)
        if entry is None or not isinstance(entry.get("name"), str):
            problems.append(f"entry {place}: a map with a name is expected, as {{name: freq_mask, prob: 0.5}}")
            continue
        name = entry["name"]
        if name not in KNOWN:
            hint = suggest(name, KNOWN) or f"; known are {', '.join(KNOWN)}"
            problems.append(f'entry {place}: augmentation "{name}" is unknown{hint}')
            continue
        if name in seen:
            problems.append(f'entry {place}: augmentation "{name}" appears twice')
        seen.add(name)
        target = merged.setdefault(name, next(entry for entry in default_augmentations() if entry.name == name))
        problems += _lay_over(target, entry)
    return list(merged.values()), problems


def augmentation_problems(entries: list[AugmentationConfig]) -> list[Problem]:
    """Return contradictions between parameters of one augmentation."""
    problems = []
    for entry in entries:
        for low, high in KNOWN[entry.name].pairs():
            least, most = entry.params.get(low), entry.params.get(high)
            if (least is None) != (most is None):
                problems.append(Problem(("train.augmentations",), f"{entry.name}: give both {low} and {high}"))
            elif least is not None and most is not None and least > most:
                problems.append(
                    Problem(("train.augmentations",), f"{entry.name}: {low} {least:g} is above {high} {most:g}")
                )
    return problems


def size_problems(entries: list[AugmentationConfig], sizes: dict[str, int]) -> list[Problem]:
    """Return masks and shifts larger than the image; ``sizes`` holds `spec_height` and `spec_width`."""
    return [
        Problem(
            ("train.augmentations", f"audio.{side}"),
            f"{entry.name}: {key} {entry.params[key]} is more than audio.{side}, {sizes[side]}",
        )
        for entry in entries
        for key, side in KNOWN[entry.name].limits.items()
        if entry.params.get(key, 0) > sizes[side]
    ]


def _as_map(item: Any) -> dict[str, Any] | None:
    if isinstance(item, AugmentationConfig):
        return {"name": item.name, "prob": item.prob, "params": item.params}
    return item if isinstance(item, dict) else None


def _lay_over(target: AugmentationConfig, entry: dict[str, Any]) -> list[str]:
    """Take over the values of one entry, and return what is wrong with them."""
    problems = []
    known = KNOWN[target.name]
    for key, value in entry.items():
        if key == "prob":
            prob, wrong = check_value(float, PROB, value)
            if wrong:
                problems.append(f"{target.name}: prob {wrong}")
            else:
                target.prob = prob
        elif key == "params":
            if value is None:
                continue
            if not isinstance(value, dict):
                problems.append(f"{target.name}: params {show(value)} is not a map")
                continue
            for param, number in value.items():
                problems += _set_param(target, known, str(param), number)
        elif key in known.params:
            problems.append(f"{target.name}: {key} belongs under params")
        elif key != "name":
            problems.append(f"{target.name}: unknown key {show(key)}{suggest(str(key), ('name', 'prob', 'params'))}")
    return problems


def _set_param(target: AugmentationConfig, known: Known, param: str, value: Any) -> list[str]:
    if param not in known.params:
        owner = next((name for name, other in KNOWN.items() if param in other.params), None)
        hint = f"; it belongs to {owner}" if owner else suggest(param, known.params)
        return [f'{target.name}: unknown parameter "{param}"{hint}']
    kind, _, meta = known.params[param]
    checked, wrong = check_value(kind, meta, value)
    if wrong:
        return [f"{target.name}: {param} {wrong}"]
    target.params[param] = checked
    return []
