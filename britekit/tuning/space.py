"""Read the tuning file: the settings to search and their values."""

from __future__ import annotations

import copy
import itertools
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from britekit.config import BaseConfig, from_dict, to_dict
from britekit.config.augmentations import KNOWN
from britekit.config.base import SECTIONS
from britekit.config.fields import declared, show
from britekit.config.layers import unknown_field
from britekit.config.template import yaml_text
from britekit.config.yaml_reader import Node, read_yaml
from britekit.errors import ConfigError, suggest

Kind = Literal["int", "float", "categorical"]

_KEYS = {
    "int": {"name", "type", "bounds", "step"},
    "float": {"name", "type", "bounds", "step"},
    "categorical": {"name", "type", "choices"},
}
_SEARCHED = ("train", "audio", "infer")
_MOST_VALUES = 100_000
# Limit of partner values tried for a value that contradicts the base settings.
_PARTNERS = 200
# Settings that affect speed or locations, but not results.
_WITHOUT_EFFECT = {
    "train.num_workers", "train.train_db", "train.train_pickle", "train.seed", "infer.num_threads",
    "infer.label_field", "train.test_pickle",
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """A setting to search."""

    name: str
    """Name in the tuning file."""
    kind: Kind
    target: tuple[str, ...]
    """``("train", "learning_rate")``, or ``("train", "augmentations", NAME, "prob" or a parameter)``."""
    values: tuple[Any, ...]
    """All possible values, in order."""

    @property
    def keys(self) -> list[Any]:
        """Values as stored in the study: the numbers themselves, or choices as text."""
        return [yaml_text(v) for v in self.values] if self.kind == "categorical" else list(self.values)

    def value_of(self, key: Any) -> Any:
        """Return the value of a key of the study."""
        return self.values[self.keys.index(key)] if self.kind == "categorical" else key


def read_space(path: str | os.PathLike[str], base: BaseConfig, extract: bool, skip_training: bool) -> list[Parameter]:
    """Read and check a tuning file.

    Raises `ConfigError` if the file has problems; all are listed, one per line.
    """
    root, problems = read_yaml(path)
    if not isinstance(root.value, list):
        raise ConfigError(*problems, f"{path}:{root.line}: a list of settings is expected, each with a name")
    return _checked([(f"{path}:{item.line}", item) for item in root.value], problems, base, extract, skip_training)


def space_of(
    entries: Sequence[dict[str, Any]], base: BaseConfig, extract: bool, skip_training: bool
) -> list[Parameter]:
    """Check entries of a tuning file that were created in Python; see `read_space`."""
    nodes = [
        (f"entry {place}", Node({key: Node(_node(value), 0) for key, value in entry.items()}, 0))
        for place, entry in enumerate(entries, start=1)
    ]
    return _checked(nodes, [], base, extract, skip_training)


def with_values(base: BaseConfig, parameters: Sequence[Parameter], values: Sequence[Any]) -> BaseConfig:
    """Return the base settings with these values.

    Raises `ConfigError` if the values contradict each other or the base.
    """
    settings = to_dict(base)
    for parameter, value in zip(parameters, values, strict=True):
        put(settings, parameter.target, copy.deepcopy(value))
    return from_dict(settings)


def put(settings: dict[str, Any], target: tuple[str, ...], value: Any) -> None:
    """Set one value in nested settings; add an augmentation that is not listed."""
    aliases = SECTIONS[target[0]].ALIASES
    section = _below(settings, target[0], {})
    if len(target) == 2:
        _set(section, next((key for key in section if aliases.get(key, key) == target[1]), target[1]), value)
        return
    entries = _below(section, "augmentations", [])
    entry = next((each for each in entries if each["name"] == target[2]), None)
    if entry is None:
        entry = {"name": target[2]}
        entries.insert(0, entry)
    _set(entry if target[3] == "prob" else _below(entry, "params", {}), target[3], value)


def _below(settings: dict[str, Any], key: str, empty: Any) -> Any:
    """Return a nested map or list; insert an empty one if it is missing."""
    if settings.get(key) is None:
        _set(settings, key, empty)
    return settings[key]


def _set(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set a value; insert a new key first in a map with comments, since comments at its end belong to the next one."""
    if key not in settings and hasattr(settings, "insert"):
        settings.insert(0, key, value)
    else:
        settings[key] = value


def number_of_combinations(parameters: Sequence[Parameter]) -> int:
    """Return the number of combinations of values; 1 without parameters."""
    return math.prod(len(parameter.values) for parameter in parameters)


def _node(value: Any) -> Any:
    return [Node(item, 0) for item in value] if isinstance(value, (list, tuple)) else value


def _checked(
    items: list[tuple[str, Node]], problems: list[str], base: BaseConfig, extract: bool, skip_training: bool
) -> list[Parameter]:
    found: list[Parameter] = []
    where_of: dict[tuple[str, ...], str] = {}
    for where, item in items:
        parameter, wrong = _read_entry(item)
        if parameter is not None:
            if parameter.target in where_of:
                wrong.append(f"{parameter.name} is searched twice, first at {where_of[parameter.target]}")
            where_of.setdefault(parameter.target, where)
            wrong += _not_searchable(parameter, extract, skip_training)
            if not wrong:
                found.append(parameter)
        problems += [f"{where}: {text}" for text in wrong]
    if not items:
        problems.append("the tuning file names no setting; leave it out to repeat the base settings")
    if not problems:
        problems += _impossible(found, where_of, base)
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return found


def _read_entry(item: Node) -> tuple[Parameter | None, list[str]]:
    entry = item.value
    if not isinstance(entry, dict) or "name" not in entry or not isinstance(entry["name"].value, str):
        return None, ["a map with a name and a type is expected"]
    name = entry["name"].value
    target, wrong = _find(name)
    if wrong:
        return None, [wrong]
    kind = entry["type"].plain() if "type" in entry else None
    if kind not in _KEYS:
        return None, [f"{name}: type {show(kind)} is not int, float or categorical"]
    strange = sorted(set(entry) - _KEYS[kind])
    missing = sorted(_KEYS[kind] - set(entry))
    if strange or missing:
        texts = [f"{name}: a setting of type {kind} has no {key}" for key in strange]
        return None, texts + [f"{name}: {key} is missing for the type {kind}" for key in missing]
    if kind == "categorical":
        choices = entry["choices"].plain()
        if not isinstance(choices, list) or not choices:
            return None, [f"{name}: choices {show(choices)} is not a list of at least one value"]
        if len({yaml_text(value) for value in choices}) < len(choices):
            return None, [f"{name}: a choice is named twice"]
        return Parameter(name, kind, target, tuple(choices)), []
    values, wrong = _numbers(kind, entry["bounds"].plain(), entry["step"].plain())
    return (None, [f"{name}: {wrong}"]) if wrong else (Parameter(name, kind, target, values), [])


def _numbers(kind: str, bounds: Any, step: Any) -> tuple[tuple[Any, ...], str]:
    allowed = (int,) if kind == "int" else (int, float)

    def is_number(value: Any) -> bool:
        return isinstance(value, allowed) and not isinstance(value, bool) and math.isfinite(value)

    word = "whole numbers" if kind == "int" else "numbers"
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(map(is_number, bounds)):
        return (), f"bounds {show(bounds)} are not two {word}, [low, high]"
    low, high = bounds
    if low > high:
        return (), f"bounds {show(bounds)}: {low} is above {high}"
    if not is_number(step) or step <= 0:
        return (), f"step {show(step)} is not a {'whole ' if kind == 'int' else ''}number above 0"
    # 0.3 is slightly less than 3 times 0.1.
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > _MOST_VALUES:
        return (), f"step {step} makes {count} values; choose a larger one"
    if kind == "int":
        return tuple(low + n * step for n in range(count)), ""
    return tuple(round(float(low + n * step), 10) for n in range(count)), ""


def _find(name: str) -> tuple[tuple[str, ...], str]:
    """Return the target of a name, or the reason why there is none."""
    section, dot, field = name.partition(".")
    if dot and section in SECTIONS:
        if section not in _SEARCHED:
            return (), f"{name}: only settings of {', '.join(_SEARCHED)} are searched"
        real = SECTIONS[section].ALIASES.get(field, field)
        if real in declared(SECTIONS[section]):
            return (section, real), ""
        return (), unknown_field(section, field)
    for section in _SEARCHED:
        if name in declared(SECTIONS[section]):
            return (section, name), ""
    if name in KNOWN:
        return ("train", "augmentations", name, "prob"), ""
    for owner, known in KNOWN.items():
        if name in known.params:
            return ("train", "augmentations", owner, name), ""
    every = [field for section in _SEARCHED for field in declared(SECTIONS[section])]
    every += [*KNOWN, *(param for known in KNOWN.values() for param in known.params)]
    return (), f"{name}: unknown setting{suggest(name, every)}"


def _not_searchable(parameter: Parameter, extract: bool, skip_training: bool) -> list[str]:
    name, section = parameter.name, parameter.target[0]
    if parameter.target == ("train", "augmentations"):
        return [f"{name}: name one augmentation or one of its parameters"]
    if ".".join(parameter.target) in _WITHOUT_EFFECT:
        return [f"{name}: does not change training or scores, so there is nothing to tune"]
    if skip_training and section != "infer":
        return [f"{name}: cannot be tuned with --notrain, since it only affects training"]
    if section == "audio" and not extract:
        return [f"{name}: needs --extract, since the training data would not change with it"]
    return []


def _impossible(parameters: list[Parameter], where_of: dict[tuple[str, ...], str], base: BaseConfig) -> list[str]:
    """Return values that are invalid for all values of the other parameters."""
    problems = []
    rng = random.Random(0)
    for place, parameter in enumerate(parameters):
        for value in parameter.values:
            reason = _contradiction(base, [parameter], [value])
            if reason and len(parameters) > 1:
                others = [p.values for k, p in enumerate(parameters) if k != place]
                few = math.prod(map(len, others)) <= _PARTNERS
                tries = (
                    itertools.product(*others)
                    if few
                    else ([rng.choice(each) for each in others] for _ in range(_PARTNERS))
                )
                for partners in tries:
                    values = [*partners]
                    values.insert(place, value)
                    if not _contradiction(base, parameters, values):
                        reason = ""
                        break
            if reason:
                problems.append(f"{where_of[parameter.target]}: {parameter.name} {show(value)}: {reason}")
    return problems


def _contradiction(base: BaseConfig, parameters: Sequence[Parameter], values: Sequence[Any]) -> str:
    try:
        with_values(base, parameters, values)
    except ConfigError as error:
        return error.problems[0]
    return ""
