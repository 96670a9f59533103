"""`params.yaml` and the reference page of the settings, both written from the fields of the dataclasses."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any, Literal

from britekit.config.augmentations import KNOWN, AugmentationConfig
from britekit.config.base import SECTIONS, BaseConfig
from britekit.config.fields import Setting, declared
from britekit.config.layers import from_dict

_HEADER = """\
# Settings of this project. Commands and stages read this file; command-line options and a file given with -c
# override it. Unknown names are errors.
"""
_COLUMN = 34

# Fields before which a heading divides the long section.
_GROUPS = {
    "train.model_type": "model",
    "train.deterministic": "run",
    "train.pos_label_smoothing": "labels and loss",
    "train.augment": "augmentation",
}


def template_text(settings: dict[str, dict[str, Any]] | None = None) -> str:
    """Return the text of `params.yaml`: every field with its value and a comment.

    Parameters
    ----------
    settings
        Values that differ from the defaults, as a file of overrides gives them.

    Raises
    ------
    ConfigError
        Unknown fields, or values that cannot be used.
    """
    values = from_dict(settings) if settings else None
    return _HEADER + "".join(_template_lines(values))


def _template_lines(values: BaseConfig | None) -> Iterator[str]:
    for key, section in SECTIONS.items():
        yield f"\n{key}:\n"
        for name, (field, hint) in declared(section).items():
            if f"{key}.{name}" in _GROUPS:
                yield f"  # {_GROUPS[f'{key}.{name}']}\n"
            comment = _comment(field.metadata["setting"], hint)
            value = _default(field) if values is None else getattr(getattr(values, key), name)
            if name == "augmentations":
                yield f"  {name}:  # {comment}\n"
                yield from _augmentation_lines(value)
            elif isinstance(value, list) and value and isinstance(value[0], list):
                yield f"  {name}:  # {comment}\n"
                yield from (f"    - {yaml_text(item)}\n" for item in value)
            else:
                yield _line(f"  {name}: {yaml_text(value)}", comment)


def _line(code: str, comment: str) -> str:
    return f"{code:<{_COLUMN}}  # {comment}\n"


def _augmentation_lines(entries: list[AugmentationConfig]) -> Iterator[str]:
    for entry in entries:
        known = KNOWN[entry.name]
        yield _line(f"    - name: {entry.name}", known.doc)
        yield f"      prob: {yaml_text(entry.prob)}\n"
        if known.params:
            yield "      params:\n"
            for param, (_, default, meta) in known.params.items():
                value = entry.params.get(param, default)
                yield _line(f"        {param}: {yaml_text(value)}", _limits(meta.doc, meta))


def _comment(meta: Setting, hint: Any) -> str:
    choices = _choices(hint)
    return _limits(meta.doc + (f": {', '.join(choices)}" if choices else ""), meta)


def _limits(text: str, meta: Setting) -> str:
    inside = ", ".join(part for part in (meta.unit, meta.range_text()) if part)
    return f"{text} [{inside}]" if inside else text


def _choices(hint: Any) -> list[str]:
    """Return the texts of a Literal, with null if that is allowed."""
    parts = typing.get_args(hint) if typing.get_origin(hint) is not Literal else (hint,)
    found = [str(choice) for part in parts if typing.get_origin(part) is Literal for choice in typing.get_args(part)]
    return [*found, "null"] if found and type(None) in parts else found


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def yaml_text(value: Any) -> str:
    """Return a plain value in one line of YAML that YAML 1.1 and 1.2 read alike."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # 1e-06 without a point is a text in YAML 1.1.
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    if isinstance(value, list):
        return f"[{', '.join(yaml_text(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_text(key)}: {yaml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value)
        reserved = value.casefold() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
        return value if plain and not reserved else "'" + value.replace("'", "''") + "'"
    return str(value)


def reference_text() -> str:
    """Return the reference page of all settings in Markdown."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m britekit.config reference` from `britekit/config/`; edit the fields there.",
        "",
        "A number may be written `.002`, `1e-3` or `2`; quoted numbers are text and therefore rejected.",
    ]
    for key, section in SECTIONS.items():
        lines += ["", f"## {key}", "", (section.__doc__ or "").strip().partition("\n")[0], ""]
        lines += ["| Field | Type | Default | Range | Unit | Meaning |", "|---|---|---|---|---|---|"]
        lines += [_row(name, field, hint) for name, (field, hint) in declared(section).items()]
        if key == "train":
            lines += [
                "",
                "### train.augmentations",
                "",
                "Applied in this order; a file may name only the ones it ",
            ]
            lines[-1] += "changes, and of an entry only the parameters it changes. A `prob` of 0 switches one off."
            lines += ["", "| Name | prob | Parameters | Effect |", "|---|---|---|---|"]
            lines += [
                f"| {name} | {known.prob:g} | {_params_text(known.params)} | {known.doc} |"
                for name, known in KNOWN.items()
            ]
    return "\n".join(lines) + "\n"


def _row(name: str, field: dataclasses.Field[Any], hint: Any) -> str:
    meta: Setting = field.metadata["setting"]
    value = _default(field)
    default = (
        "below"
        if name == "augmentations"
        else "<br>".join(
            f"`{yaml_text(item)}`"
            for item in (value if isinstance(value, list) and name == "source_regexes" else [value])
        )
    )
    cells = [
        f"`{name}`",
        _type_text(hint),
        default,
        ", ".join(_choices(hint)) or meta.range_text(),
        meta.unit,
        meta.doc,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type_text(hint: Any) -> str:
    parts = (hint,) if _is_single(hint) else typing.get_args(hint)
    kind = next(part for part in parts if part is not type(None))
    origin = typing.get_origin(kind)
    word = "str" if origin is Literal else {list: "list", dict: "map"}.get(origin, getattr(kind, "__name__", str(kind)))
    return word + ("?" if type(None) in parts else "")


def _is_single(hint: Any) -> bool:
    return typing.get_origin(hint) in (None, list, dict, Literal)


def _params_text(params: dict[str, tuple[Any, Any, Setting]]) -> str:
    return ", ".join(f"`{name}` {yaml_text(default)}" for name, (_, default, _) in params.items())
