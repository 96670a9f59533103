"""Settings put into ``params.yaml``: only the values change, all else in the file stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from britekit.config import from_dict
from britekit.config.base import SECTIONS
from britekit.config.layers import PARAMS_FILE
from britekit.config.template import template_text, yaml_text
from britekit.config.yaml_reader import read_yaml
from britekit.errors import ConfigError
from britekit.files import atomic_path, write_text
from britekit.tuning.space import put

Change = tuple[tuple[str, ...], Any]


def apply_settings(changes: Sequence[Change], path: str | Path = PARAMS_FILE) -> None:
    """Write values into the project's settings, whole or not at all; comments and other sections stay.

    Parameters
    ----------
    changes
        Target, as `Parameter.target`, and value. Without a file, one with every setting is written.

    Raises
    ------
    ConfigError
        The file is no YAML, or the result would not be valid settings.
    """
    place = Path(path)
    wanted: dict[str, Any] = {}
    for target, value in changes:
        put(wanted, target, copy.deepcopy(value))
    if not place.is_file():
        write_text(place, template_text(wanted))
        return
    text = place.read_text(encoding="utf-8-sig")
    for target, value in changes:
        text = _with_value(text, target, value)
    with atomic_path(place) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
        root, problems = read_yaml(partial)
        content = root.plain()
        if problems or not isinstance(content, dict):
            raise ConfigError(f"{place} would not be readable with the best settings; nothing was changed")
        ours = {name: body or {} for name, body in content.items() if name in SECTIONS}
        from_dict(ours, str(place))  # says what contradicts itself


def _with_value(text: str, target: tuple[str, ...], value: Any) -> str:
    """Return the text with one value replaced or added."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        root = yaml.MappingNode("tag:yaml.org,2002:map", [])
    section = _child(root, target[0])
    if not isinstance(section, yaml.MappingNode):
        if section is not None:
            raise ConfigError(f"{PARAMS_FILE}: {target[0]} is no map of fields; give it some or remove it")
        return f"{text.rstrip()}\n\n{target[0]}:\n{_block(target, value)}\n".lstrip("\n")
    found = _child(section, SECTIONS[target[0]].ALIASES.get(target[1], target[1]))
    if found is None:
        return _inserted(text, section, _block(target, value))
    if len(target) == 2:
        return _replaced(text, found, yaml_text(value))
    entry = next((e for e in getattr(found, "value", []) if _scalar(_child(e, "name")) == target[2]), None)
    if entry is None:
        lines = _augmentation(target, value, found.start_mark.column if found.value else 4)
        return _inserted(text, found, lines)
    if target[3] == "prob":
        prob = _child(entry, "prob")
        line = f"prob: {yaml_text(value)}"
        return _replaced(text, prob, yaml_text(value)) if prob else _inserted(text, entry, line, True)
    params = _child(entry, "params")
    if params is None:
        return _inserted(text, entry, f"params: {{{target[3]}: {yaml_text(value)}}}", True)
    param = _child(params, target[3])
    if param is None:
        return _inserted(text, params, f"{target[3]}: {yaml_text(value)}", True)
    return _replaced(text, param, yaml_text(value))


def _child(node: Any, key: str) -> Any:
    for name, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if name.value == key:
            return value
    return None


def _scalar(node: Any) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _replaced(text: str, node: Any, value: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        # A block's end is the beginning of what follows.
        end = start + len(text[start:end].rstrip())
    if start == end:  # "key:" without a value
        value = f" {value}"
    return text[:start] + value + text[end:]


def _inserted(text: str, node: Any, lines: str, indent: bool = False) -> str:
    """Put lines at the beginning of a map or list."""
    if node.flow_style:
        raise ConfigError(
            f"{PARAMS_FILE}:{node.start_mark.line + 1}: spread this over lines, so that a value can be added"
        )
    start = node.start_mark.index - node.start_mark.column
    column = node.start_mark.column
    if indent:
        # Behind "- " of a list's entry the first key stands on the same line.
        return text[: node.start_mark.index] + f"{lines}\n{' ' * column}" + text[node.start_mark.index :]
    return text[:start] + lines + "\n" + text[start:]


def _block(target: tuple[str, ...], value: Any) -> str:
    if len(target) == 2:
        return f"  {target[1]}: {yaml_text(value)}"
    return f"  augmentations:\n{_augmentation(target, value, 4)}"


def _augmentation(target: tuple[str, ...], value: Any, column: int) -> str:
    entry = f"prob: {yaml_text(value)}"
    if target[3] != "prob":
        entry = f"params: {{{target[3]}: {yaml_text(value)}}}"
    return f"{' ' * column}- name: {target[2]}\n{' ' * column}  {entry}"
