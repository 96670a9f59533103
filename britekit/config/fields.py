"""One setting: a field with its meaning, unit and range, and the check of a value against them."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from britekit.errors import ConfigError, suggest


class _Short(reprlib.Repr):
    """Cuts a value before it becomes a text: it may be large, or have more digits than Python prints."""

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < 200 else f"a number of {x.bit_length()} bits"


_SHORT = _Short()
_SHORT.maxlevel = 3
_SHORT.maxlist = _SHORT.maxdict = _SHORT.maxtuple = 10
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


@dataclass(frozen=True)
class Setting:
    """Facts about a field besides its type."""

    doc: str
    """One line for the YAML template and the reference page."""
    unit: str = ""
    """``s``, ``Hz``, ``px``, ``samples``, ``dB`` or empty."""
    low: float | None = None
    high: float | None = None
    """Smallest and largest value allowed, themselves included."""
    above: float | None = None
    below: float | None = None
    """The same, themselves excluded."""
    late: bool = False
    """Whether checkpoints omit it while it has its default, as if it did not exist; see `without_defaults`."""

    def range_text(self) -> str:
        """Return the range as ``> 0``, ``0 to 1`` or ``>= 0, < 1``; empty if anything goes."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        bounds = ((">=", self.low), (">", self.above), ("<=", self.high), ("<", self.below))
        return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    def holds(self, number: float) -> bool:
        """Return whether a number lies in the range."""
        return (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )


@dataclass(frozen=True)
class Problem:
    """Something wrong with one or more fields."""

    fields: tuple[str, ...]
    """``section.field`` of the values involved, the one to blame first."""
    text: str
    """Describe what is wrong and what is allowed, to be put after the field's name."""

    def __str__(self) -> str:
        return f"{self.fields[0]}: {self.text}"


def setting(default: Any, doc: str, unit: str = "", *, late: bool = False, **bounds: float) -> Any:
    """Return a dataclass field with a default, its meaning, its unit and its range (see `Setting`)."""
    metadata = {"setting": Setting(doc, unit, late=late, **bounds)}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Section:
    """Base of the sections: assignments are checked for existence, type and range, and remembered."""

    SECTION: ClassVar[str] = ""
    ALIASES: ClassVar[dict[str, str]] = {}

    def __post_init__(self) -> None:
        self.__dict__["_assigned"] = set()
        problems = list(self.relations())
        if problems:
            raise ConfigError(*map(str, problems))

    def __setattr__(self, name: str, value: Any) -> None:
        name = self.ALIASES.get(name, name)
        if name not in declared(type(self)):
            raise ConfigError(f"{self.SECTION}.{name}: unknown field{suggest(name, declared(type(self)))}")
        value, wrong = self.check(name, value)
        if wrong:
            raise ConfigError(f"{self.SECTION}.{name}: {wrong}")
        object.__setattr__(self, name, value)
        self.__dict__.setdefault("_assigned", set()).add(name)

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that do not exist.
        if name in type(self).ALIASES:
            return getattr(self, self.ALIASES[name])
        if name.startswith("__"):  # of a protocol such as copying, not a mistyped setting
            raise AttributeError(name)
        raise AttributeError(f"{self.SECTION}.{name}: unknown field{suggest(name, declared(type(self)))}")

    @classmethod
    def check(cls, name: str, value: Any) -> tuple[Any, str]:
        """Return the value in the field's own type, and what is wrong with it (empty = nothing)."""
        field, hint = declared(cls)[name]
        return check_value(hint, field.metadata["setting"], value)

    def relations(self) -> Iterator[Problem]:
        """Yield what is wrong between fields of this section."""
        return iter(())

    def advice(self) -> Iterator[Problem]:
        """Yield what is allowed but probably not meant."""
        return iter(())


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a dataclass field, a new one where a function makes it."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def declared(section: Any) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """Return field and type of each setting of a section class, in order."""
    if section not in _DECLARED:
        hints = typing.get_type_hints(section)
        _DECLARED[section] = {field.name: (field, hints[field.name]) for field in dataclasses.fields(section)}
    return _DECLARED[section]


_DECLARED: dict[Any, dict[str, tuple[dataclasses.Field[Any], Any]]] = {}  # type hints take 0.2 ms a section


def check_value(hint: Any, meta: Setting, value: Any) -> tuple[Any, str]:
    """Check a value against a field's type and range.

    Returns
    -------
    The value, whole numbers turned into float for float fields, and what is wrong with it (empty = nothing).
    """
    options = [part for part in _alternatives(hint) if part is not type(None)]
    if value is None:
        if len(options) < len(_alternatives(hint)):
            return None, ""
        return None, f"null is not allowed; {expected(hint, meta)} is expected"
    kind = options[0]
    origin = typing.get_origin(kind)
    if origin is Literal:
        allowed = typing.get_args(kind)
        if value in allowed and isinstance(value, str):
            return value, ""
        return value, f"{show(value)} is not one of {', '.join(allowed)}{suggest(str(value), allowed)}"
    given = value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            return given, f"{show(given)} is not a finite number"
    if origin is list:
        return _check_list(kind, meta, value)
    if origin is dict:
        return _check_map(meta, value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return value, f"{show(value)} is not {expected(hint, meta)}{_hint(kind, value)}"
    if kind is float and not math.isfinite(value):
        return value, f"{show(value)} is not a finite number"
    if kind in (int, float) and not meta.holds(value):
        return value, f"{show(given)} is out of range; {expected(hint, meta)} is expected"
    if kind is str and not value.strip():
        return value, "the text is empty"
    return value, ""


def expected(hint: Any, meta: Setting) -> str:
    """Return what a field accepts, as ``a number (> 0)`` or ``true or false``."""
    parts = _alternatives(hint)
    kind = next(part for part in parts if part is not type(None))
    origin = typing.get_origin(kind)
    if origin is Literal:
        words = "one of " + ", ".join(typing.get_args(kind))
    else:
        words = {
            float: "a number",
            int: "a whole number",
            bool: "true or false",
            str: "a text",
            list: "a list",
            dict: "a map",
        }[origin or kind]
    limits = meta.range_text()
    return words + (f" ({limits})" if limits else "") + (" or null" if type(None) in parts else "")


def show(value: Any) -> str:
    """Return a value as it would stand in YAML, shortened if it is long."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = f'"{value[:60]}"' if isinstance(value, str) else _SHORT.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _hint(kind: Any, value: Any) -> str:
    """Return advice for common mistakes."""
    if isinstance(value, str) and kind in (int, float):
        try:
            float(value)
        except ValueError:
            return ""
        return "; remove the quotes"
    if kind is bool and isinstance(value, str) and value.casefold() in ("yes", "no", "on", "off", "y", "n"):
        return "; write true or false"
    return ""


def _check_list(kind: Any, meta: Setting, value: Any) -> tuple[Any, str]:
    if not isinstance(value, (list, tuple)):
        return value, f"{show(value)} is not a list"
    (inner,) = typing.get_args(kind)
    items = []
    for place, item in enumerate(value, start=1):
        item, wrong = check_value(inner, meta, item)
        if wrong:
            return value, f"entry {place}: {wrong}"
        items.append(item)
    return items, ""


def _check_map(meta: Setting, value: Any) -> tuple[Any, str]:
    if not isinstance(value, dict):
        return value, f"{show(value)} is not a map (old: new)"
    for key, item in value.items():
        for part in (key, item):
            if not isinstance(part, str) or not part.strip():
                return value, f"{show(part)} in {show(key)}: {show(item)} is not a non-empty text"
    return dict(value), ""
