"""Writes the reference pages from the code: commands, settings, Python, HTTP.

    python docs/make_references.py           # write docs/reference/*.md and britekit/commands/__init__.pyi
    python docs/make_references.py --check   # exit 1 and name the pages that are out of date

`make docs` runs it; tests/docs/test_references.py holds the pages equal to the code.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "reference"
NOTE = "Written by `python docs/make_references.py` from {source}; edit there.\n"


def settings_page() -> str:
    """Every setting with type, default, range, unit and meaning."""
    from britekit.config import reference_text

    return reference_text()


def commands_page() -> str:
    """Every command with what it does, an example and its options."""
    from britekit.cli import GROUPS
    from britekit.commands import command_names

    left = {name.replace("_", "-"): name for name in command_names()}
    lines = ["# Commands", "", NOTE.format(source="`britekit/commands/`")]
    lines += [
        "`britekit COMMAND --help` prints the same. `python -m britekit COMMAND` is the same program.",
        "",
    ]
    for heading, words in (*GROUPS.items(), ("Other", " ".join(left))):
        present = [word for word in words.split() if word in left]
        if present:
            lines += [f"## {heading}", ""]
            for word in present:
                lines += _command(word, left.pop(word))
    return "\n".join(lines).rstrip() + "\n"


def _command(word: str, name: str) -> list[str]:
    from britekit.cli import build_parser

    module = importlib.import_module(f"britekit.commands.{name}")
    lines = [f"### {word}", "", *_text(inspect.cleandoc(module.__doc__ or "")), ""]
    lines += ["| Option | Meaning |", "|---|---|"]
    for action in build_parser(name)._actions:
        if action.dest == "help":
            continue
        value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
        flags = ", ".join(f"`{flag}`" for flag in action.option_strings) or f"`{value}`"
        value = f" `{value}`" if value and action.option_strings else ""
        required = " (required)" if action.required else ""
        lines.append(f"| {flags}{value} | {_cell(action.help or '')}{required} |")
    return [*lines, ""]


def python_page() -> str:
    """The public names of the package with their signatures and docstrings, then the commands."""
    import britekit
    from britekit.commands import command_names

    lines = ["# Python API", "", NOTE.format(source="the docstrings")]
    lines += ["```python", "import britekit as bk", "```", ""]
    lines += ["Each name is loaded on first use. Functions raise a subclass of `BriteKitError` with one sentence;"]
    lines += ["they never end the process.", "", "## Names of the package", ""]
    for name in sorted(britekit._HOMES, key=str.lower):
        lines += _named(f"bk.{name}", getattr(britekit, name))
    lines += ["## Commands as functions", ""]
    lines += ["One function per command, `-` replaced by `_`. The arguments are the options of the"]
    lines += ["[command](commands.md). `cfg_path` applies to that call only.", ""]
    for name in command_names():
        function = getattr(britekit.commands, name)
        lines += [f"### bk.commands.{name}", "", *_signature(name, function)]
        lines += [*_docstring(function), ""]
    return "\n".join(lines).rstrip() + "\n"


def _named(title: str, value: Any) -> list[str]:
    lines = [f"### {title}", ""]
    if inspect.isclass(value) and issubclass(value, Exception):
        return [*lines, *_docstring(value), ""]
    lines += [*_signature(title.removeprefix("bk."), value), *_docstring(value), ""]
    if inspect.isclass(value):
        for name, member in _methods(value):
            lines += [f"#### {title.removeprefix('bk.')}.{name}", ""]
            if isinstance(member, property):
                lines += [*_docstring(member), ""]
            else:
                lines += [*_signature(name, member), *_docstring(member), ""]
    return lines


def _methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield public methods and properties in the order of the source, those of base classes last."""
    seen: set[str] = set()
    for owner in kind.__mro__:
        if not owner.__module__.startswith("britekit"):
            continue
        for name, member in vars(owner).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            member = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
            if inspect.isfunction(member) or isinstance(member, property):
                yield name, member


def _signature(name: str, value: Any) -> list[str]:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return []
    text = re.sub(r"\b(typing|collections\.abc|pathlib\._local|pathlib|numpy|os|datetime)\.(?=[A-Za-z])", "", text)
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text.replace("<factory>", "..."))
    text = re.sub(r"\((self, |self\)|self$)", lambda found: "(" if found[0] != "(self)" else "()", text)
    text = re.sub(r"\bbritekit(\.\w+)+\.(?=[A-Z])", "", text)
    line = f"{name}{text}"
    if len(line) > 90:
        line = _wrapped(line)
    return ["```python", line, "```", ""]


def _wrapped(line: str) -> str:
    """Put every argument on a line of its own."""
    depth, start = 0, line.index("(")
    pieces: list[str] = []
    begin = start + 1
    for place in range(start, len(line)):
        depth += (line[place] in "([{") - (line[place] in ")]}")
        if depth == 1 and line[place] == ",":
            pieces.append(line[begin:place].strip())
            begin = place + 1
        if depth == 0:
            pieces.append(line[begin:place].strip())
            arguments = "".join(f"    {piece},\n" for piece in pieces if piece)
            return f"{line[:start]}(\n{arguments}{line[place:]}"
    return line


def _docstring(value: Any) -> list[str]:
    own = value.__doc__ if not inspect.isclass(value) else vars(value).get("__doc__")
    # A dataclass without a docstring gets its signature for one.
    if not own or (inspect.isclass(value) and own.startswith(f"{value.__name__}(")):
        return []
    return _text(inspect.cleandoc(own))


def _text(doc: str) -> list[str]:
    """A NumPy docstring as Markdown: sections in bold, entries as lists, indented examples as code."""
    lines = doc.splitlines()
    out: list[str] = []
    place, section = 0, ""
    while place < len(lines):
        line = lines[place]
        if place + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[place + 1]) and line.strip():
            section = line.strip()
            out += ["", f"**{section}**", ""]
            place += 2
        elif section in ("Parameters", "Returns", "Raises", "Attributes", "Yields") and line.strip():
            description, end = _indented(lines, place + 1)
            if description:
                out.append(f"- `{line.strip()}`: {description}")
            elif section == "Returns" or " " in line.strip():
                out.append(line.strip())
            else:
                out.append(f"- `{line.strip()}`")
            place = end
        elif not section and line.startswith("    "):
            block = []
            while place < len(lines) and (lines[place].startswith("    ") or not lines[place].strip()):
                block.append(lines[place].removeprefix("    ").rstrip())
                place += 1
            while block and not block[-1]:
                block.pop()
            out += ["```text", *block, "```", ""]
        else:
            out.append(_plain(line))
            place += 1
    while out and not out[-1]:
        out.pop()
    return [line for place, line in enumerate(out) if line or (place and out[place - 1])]


def _indented(lines: list[str], place: int) -> tuple[str, int]:
    words: list[str] = []
    while place < len(lines) and (lines[place].startswith("    ") or not lines[place].strip()):
        following = next((text for text in lines[place:] if text.strip()), "")
        if not lines[place].strip() and not following.startswith("    "):
            break
        words += lines[place].split()
        place += 1
    return _plain(" ".join(words)), place


def _plain(text: str) -> str:
    """RST's double backquotes as Markdown's single ones; angle brackets as text."""
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(
        part.replace("``", "`") if part.startswith("`") else part.replace("<", "&lt;").replace("*", r"\*")
        for part in parts
    )


def _cell(text: str) -> str:
    return _plain(" ".join(text.replace("%%", "%").split())).replace("|", r"\|")


def http_page() -> str:
    """The service's own OpenAPI description as a page."""
    from britekit.service.openapi import describe

    document = describe()
    schemas = document.get("components", {}).get("schemas", {})
    lines = ["# HTTP API", "", NOTE.format(source="the service's OpenAPI")]
    lines += ["A running service shows the same at `/docs`, where every request can be tried, and as JSON at"]
    lines += ['`/docs.json`. Errors are JSON with one sentence: `{"error": "..."}`.', ""]
    for path, item in sorted(document["paths"].items()):
        for method, call in item.items():
            lines += [f"## {method.upper()} {path}", ""]
            if call.get("description") or call.get("summary"):
                told = re.sub(r"<[^>]+>", "", str(call.get("description") or call["summary"]))
                lines += [_plain(" ".join(told.split())), ""]
            if call.get("x-curl"):
                lines += ["```sh", call["x-curl"], "```", ""]
            lines += _request(call.get("requestBody", {}), schemas)
            lines += ["| Status | Meaning | Content |", "|---|---|---|"]
            for status, answer in sorted(call.get("responses", {}).items(), key=lambda pair: str(pair[0])):
                content = answer.get("content", {})
                kinds = ", ".join(f"`{kind}`" for kind in content)
                lines.append(f"| {status} | {_cell(answer.get('description', ''))} | {kinds} |")
            lines.append("")
            lines += _answer(call.get("responses", {}), schemas)
    return "\n".join(lines).rstrip() + "\n"


def _request(body: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    for kind, content in body.get("content", {}).items():
        schema = _resolved(content.get("schema", {}), schemas)
        if schema.get("properties"):
            return [f"Send as `{kind}`:", "", *_fields(schema, schemas, "Field"), ""]
    return []


def _answer(responses: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    answer = {str(status): body for status, body in responses.items()}.get("200", {})
    content = answer.get("content", {})
    schema = _resolved(content.get("application/json", {}).get("schema", {}), schemas)
    lines = [*_fields(schema, schemas, "Answer"), ""] if schema.get("properties") else []
    for value in schema.get("properties", {}).values():
        inner = _resolved(value.get("items", {}), schemas)
        if inner.get("properties"):
            lines += [*_fields(inner, schemas, f"Each of `{schema_name(value)}`"), ""]
    return lines


def schema_name(value: dict[str, Any]) -> str:
    """Last part of what an array's items refer to."""
    return str(value.get("items", {}).get("$ref", "")).rpartition("/")[2].rpartition("__")[2]


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return dict(schemas.get(name, {})) if name else schema


def _fields(schema: dict[str, Any], schemas: dict[str, Any], heading: str) -> list[str]:
    lines = [f"| {heading} | Type | Meaning |", "|---|---|---|"]
    required = set(schema.get("required", ()))
    for name, value in schema.get("properties", {}).items():
        meaning = str(value.get("description", ""))
        if value.get("default") is not None:
            meaning += f" Default: `{value['default']}`."
        elif heading == "Field" and name in required:
            meaning += " Required."
        lines.append(f"| `{name}` | {_type(value, schemas)} | {_cell(meaning)} |")
    return lines


def _type(value: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "anyOf" in value:
        return " or ".join(_type(choice, schemas) for choice in value["anyOf"] if choice.get("type") != "null")
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}), schemas)}"
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2].rpartition("__")[2]
    if value.get("format") in ("binary", "file"):
        return "file"
    limits = [f"{name} {value[key]:g}" for key, name in (("minimum", "from"), ("maximum", "to")) if key in value]
    return " ".join([str(value.get("type", "any")), *limits])


def commands_stub() -> str:
    """The commands for type checkers and editors, which cannot look into the folder."""
    from britekit.commands import command_names

    lines = ["# Written by `python docs/make_references.py` from the folder.", ""]
    lines += [f"from britekit.commands.{name} import {name} as {name}" for name in command_names()]
    return "\n".join([*lines, "", "def command_names() -> list[str]: ...", ""])


def formats_page() -> str:
    """Return the page on file formats, its tables of label formats written again."""
    from britekit import formats

    lines = []
    for form in map(formats.get, formats.names()):
        where = f"`{form.table}`, all recordings" if form.table else f"`NAME{form.ending}`, per recording"
        uses = [f"written as {where}"] if form.writer is not None else []
        uses += ["read as annotations"] if form.read is not None else []
        uses += ["read as labels"] if form.name in ("audacity", "birdnet", "csv") else []
        lines += [
            f"#### `{form.name}`: {form.title}",
            "",
            f"Version {form.version}, {_plain('; '.join(uses))}.",
            "",
        ]
        lines += ["| Column | Content |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(meaning)} |" for name, meaning in form.columns.items()]
        lines += [
            f"| {_cell(name)}, where such labels are kept | {_cell(meaning)} |" for name, meaning in form.marked.items()
        ] + [""]
    text = (FOLDER / "formats.md").read_text(encoding="utf-8")
    head, mark, rest = text.partition("from britekit/formats/ -->\n")
    return head + mark + "\n" + "\n".join(lines) + "\n" + rest[rest.index("<!-- /formats -->") :]


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "python.md": python_page,
    "http.md": http_page,
    "../../britekit/commands/__init__.pyi": commands_stub,
    "formats.md": formats_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which are out of date."""
    old = []
    for name, page in PAGES.items():
        path, text = FOLDER / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            old.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    for name in old:
        page = (FOLDER / name).resolve().relative_to(FOLDER.parents[1])
        print(f"{page}: {'out of date' if '--check' in arguments else 'written'}")
    return 1 if old and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
