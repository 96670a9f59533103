"""Read the settings of each augmentation from its file without importing it.

An augmentation is one file in `britekit/datasets/augmentations/`. Its literal `SETTINGS` and the keyword-only
arguments of the function of the file's name say everything the template, the reference page and the checks
need. The file itself imports torch, which no settings may load, so it is parsed instead.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from britekit.config.fields import Setting
from britekit.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "datasets" / "augmentations"

_TYPES: dict[str, Any] = {
    "float": float,
    "int": int,
    "bool": bool,
    "str": str,
    "float | None": float | None,
    "int | None": int | None,
}
_SIDES = ("spec_height", "spec_width")
_KEYS = {"place", "prob", "doc", "params", "needs_noise"}
_PARAM_KEYS = {"doc", "unit", "low", "high", "above", "below", "at_most"}
_LAST = 1000


@dataclass(frozen=True)
class Known:
    """One augmentation."""

    prob: float
    """Default chance for a spectrogram."""
    doc: str
    """One line for the template and the reference page."""
    params: dict[str, tuple[Any, Any, Setting]]
    """Type, default and meaning by name."""
    limits: dict[str, str] = field(default_factory=dict)
    """Parameters that may not exceed a side of the spectrogram, with the name of that side."""
    needs_noise: bool = False
    """Whether it needs spectrograms of the noise class, and is off without any."""
    place: int = _LAST
    """Smaller ones stand earlier in the default list."""

    def pairs(self) -> list[tuple[str, str]]:
        """Return the parameters `min_x`, `max_x` that bound one range."""
        lows = [name for name in self.params if name.startswith("min_")]
        return [(low, "max_" + low[4:]) for low in lows if "max_" + low[4:] in self.params]


def read_augmentations(folder: Path = FOLDER) -> dict[str, Known]:
    """Return what the files of a folder say, by name, in the order in which they are applied by default.

    Files without `SETTINGS` are helpers.

    Raises `ConfigError` for a file that says it wrongly, or a parameter name that two files use.
    """
    found: dict[str, Known] = {}
    for path in sorted(folder.glob("*.py")):
        known = _read(path)
        if known is not None:
            found[path.stem] = known
    owners: dict[str, str] = {}
    for name, known in found.items():
        for param in known.params:
            # The tuner addresses parameters by their bare names.
            if param in owners:
                raise ConfigError(
                    f'augmentations {owners[param]} and {name} both have a parameter "{param}"; rename one'
                )
            owners[param] = name
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


def _read(path: Path) -> Known | None:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    value = next((node.value for node in tree.body if _assigns(node, "SETTINGS")), None)  # type: ignore[attr-defined]
    if value is None:
        return None
    try:
        settings = ast.literal_eval(value)
    except ValueError:
        raise _wrong(path, "is not a literal of numbers, texts and maps") from None
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == path.stem), None)
    if function is None:
        raise ConfigError(f'{path.name} has SETTINGS but no function "{path.stem}"; name it like the file')
    unknown = set(settings) - _KEYS
    if unknown or not isinstance(settings.get("doc"), str):
        raise _wrong(path, f"needs a doc and may have {', '.join(sorted(_KEYS))}")
    described = settings.get("params", {})
    params: dict[str, tuple[Any, Any, Setting]] = {}
    limits: dict[str, str] = {}
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    for argument, default in arguments:
        name = argument.arg
        kind = _TYPES.get(ast.unparse(argument.annotation) if argument.annotation else "")
        if kind is None or default is None or name not in described:
            raise ConfigError(
                f"{path.name}: argument {name} needs a type ({', '.join(_TYPES)}), a default, "
                "and an entry in the params of SETTINGS"
            )
        facts = dict(described[name])
        side = facts.pop("at_most", None)
        if set(facts) - _PARAM_KEYS or "doc" not in facts or side not in (None, *_SIDES):
            raise _wrong(path, f"says {name} wrongly; it needs a doc and may have {', '.join(_PARAM_KEYS)}")
        if side is not None:
            limits[name] = side
        params[name] = (kind, ast.literal_eval(default), Setting(**facts))
    strangers = set(described) - set(params)
    if strangers:
        raise _wrong(path, f"describes {', '.join(sorted(strangers))}, which {path.stem} does not take")
    return Known(
        float(settings.get("prob", 0.0)),
        settings["doc"],
        params,
        limits,
        bool(settings.get("needs_noise", False)),
        int(settings.get("place", _LAST)),
    )


def _assigns(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _wrong(path: Path, what: str) -> ConfigError:
    return ConfigError(f"{path.name}: SETTINGS {what}")
