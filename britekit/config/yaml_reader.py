"""YAML as settings need it: every value with its line, duplicate keys refused, numbers as people write them.

Scalars follow YAML 1.2, as DVC reads `params.yaml`: `1e-3` is a number, and `no` or `on` are texts, since
they are class codes too. Nothing but maps, lists and plain values is ever built.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import yaml

from britekit.errors import ConfigError
from britekit.files import require_file

_MAX_BYTES = 1 << 20
_MAX_NODES = 50_000
_MAX_DEPTH = 20
_LONGEST_NUMBER = 40
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True)
class Node:
    """A value of a file and the line it stands on."""

    value: Any
    """A plain scalar, a list of nodes, or a dict of nodes."""
    line: int
    """Counted from 1."""

    def plain(self) -> Any:
        """Return the value without lines."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[Any]] = {}


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would read as something other than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(path: str | os.PathLike[str]) -> tuple[Node, list[str]]:
    """Read a YAML file.

    Raises `ConfigError` if the file is missing, unreadable, too large, or not YAML.

    Returns
    -------
    The root node (an empty file is an empty map), and the problems that leave the rest readable, each
    beginning with ``file:line``.
    """
    try:
        data = require_file(path).read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: {len(data)} bytes are too many for a file of settings (at most {_MAX_BYTES})")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from None
    try:
        _refuse_deep(path, text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(f"{path}:{line}: not YAML: a control character") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_message(path, text, error)) from None
    if root is None:
        return Node({}, 1), []
    builder = _Builder(str(path))
    node = builder.build(root, 0)
    if node.value is None:
        node = Node({}, node.line)
    return node, builder.problems


def load_plain(text: str) -> Any:
    """Return the value of a YAML text that a program wrote, such as a manifest; `dump_plain` is the inverse.

    Raises `ValueError` if it is not YAML, or has aliases or tags; the message is one line.
    """
    try:
        _refuse_deep("text", text, aliases=False)
        root = yaml.compose(text, Loader=_Loader)
        builder = _Builder("text", limit=len(text))
        value = None if root is None else builder.build(root, 0).plain()
    except (yaml.YAMLError, ConfigError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    if builder.problems:
        raise ValueError(builder.problems[0])
    return value


def dump_plain(value: Any, width: int | None = None) -> str:
    """Return plain values as YAML, in their order, without aliases; a text like ``1e5`` is quoted."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width))


def _refuse_deep(path: str | os.PathLike[str], text: str, aliases: bool = True) -> None:
    """Raise for deep nesting before anything recursive sees it: libyaml's composer overflows the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) and not aliases:
            raise ConfigError(f"{path}: an alias, as no file has that britekit wrote")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ConfigError(f"{path}: nested too deeply")


def _syntax_message(path: str | os.PathLike[str], text: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    lines = text.splitlines()
    line = lines[number - 1] if number <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in (error.problem or ""):
        return f"{path}:{number}: a tab; YAML wants spaces for indentation"
    return f"{path}:{number}: not YAML: {error.problem or error.context}"


class _Builder:
    """Turns PyYAML's nodes into `Node`, with a limit against files that unfold by references."""

    def __init__(self, path: str, limit: int = _MAX_NODES) -> None:
        self.path, self._limit = path, limit
        self.problems: list[str] = []
        self._count = 0

    def build(self, node: Any, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > self._limit or depth > _MAX_DEPTH:
            raise ConfigError(f"{self.path}:{line}: too many values or nested too deeply for a file of settings")
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            self._refuse_tag(node, line)
        if isinstance(node, yaml.MappingNode):
            return Node(self._map(node, depth), line)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.build(item, depth + 1) for item in node.value], line)
        return Node(self._scalar(node, line), line)

    def _map(self, node: Any, depth: int) -> dict[Any, Node]:
        found: dict[Any, Node] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"{self.path}:{line}: a key must be a word, not a list or a map")
                continue
            # Keys are names, also those that look like numbers (codes such as 1234 or ON).
            key = key_node.value
            if key in found:
                self.problems.append(
                    f"{self.path}:{line}: {key} appears twice, first in line {found[key].line}; remove one"
                )
                continue
            built = self.build(value_node, depth + 1)
            found[key] = Node(built.value, line)
        return found

    def _scalar(self, node: Any, line: int) -> Any:
        kind = node.tag.rpartition(":")[2]
        text = node.value
        if kind == "str" or (node.style and kind in ("null", "bool", "int", "float")):
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.casefold() == "true"
        try:
            if kind in ("int", "float") and len(text) > _LONGEST_NUMBER:
                raise ValueError
            if kind == "int":
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            if kind == "float":
                return float(text.casefold().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self.problems.append(f"{self.path}:{line}: {text[:40]} cannot be read as a number")
            return None
        self._refuse_tag(node, line)
        return None

    def _refuse_tag(self, node: Any, line: int) -> None:
        self.problems.append(f"{self.path}:{line}: the tag {node.tag} is not allowed; write a plain value")
