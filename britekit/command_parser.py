"""Argument parsers made from the options of command functions, and the shell completion made from those."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import argparse_dataclass

from britekit.errors import suggest


class CommandParser(argparse_dataclass.ArgumentParser):
    """A parser that takes `_` for `-` in option names and answers mistakes in one line.

    Parameters
    ----------
    options
        What `britekit.options.options_of` returns.
    """

    def __init__(self, options: type, **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", _Help)
        super().__init__(options, **settings)

    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> Any:
        """Return an instance of the options dataclass; wrong usage ends with exit code 2."""
        given = [self._respell(argument) for argument in (sys.argv[1:] if args is None else args)]
        # Before argparse looks what is missing: that is often what was misspelled.
        for argument in given[: given.index("--")] if "--" in given else given:
            name = argument.partition("=")[0]
            if name.startswith("--") and " " not in name and name not in self._option_string_actions:
                self._unknown(name)
        return super().parse_args(given)

    def error(self, message: str) -> NoReturn:
        """Print one line about a mistake, with the option that was probably meant."""
        if message.startswith("unrecognized arguments: "):
            unknown = message.partition(": ")[2].split()
            self._unknown(unknown[0].partition("=")[0])
        self._end(message)

    def _unknown(self, name: str) -> NoReturn:
        message = f'unknown {"option" if name.startswith("-") else "argument"} "{name}"'
        if name.startswith("-"):
            message += suggest(name, [flag for flag in self._option_string_actions if flag.startswith("--")])
        self._end(message)

    def _end(self, message: str) -> NoReturn:
        print(f"Error: {message} ({self.prog} --help)", file=sys.stderr, flush=True)
        raise SystemExit(2)

    def _respell(self, argument: str) -> str:
        if not argument.startswith("--") or argument == "--":
            return argument
        name, equals, value = argument.partition("=")
        if name not in self._option_string_actions:
            name = name.replace("_", "-")
        return name + equals + value


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help whose sentences fill the terminal; examples and lists keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        width = min(width, 110)
        parts = []
        for part in textwrap.dedent(text).strip().split("\n\n"):
            is_prose = not any(line.startswith((" ", "- ")) for line in part.splitlines())
            parts.append(textwrap.fill(part, width, break_on_hyphens=False) if is_prose else part)
        return "\n\n".join(parts)


def completion_script(shell: str, summaries: dict[str, str], build: Callable[..., argparse.ArgumentParser]) -> str:
    """Return the text that a shell evaluates to complete commands, options and files.

    Parameters
    ----------
    shell
        ``bash``, ``zsh``, ``fish`` or ``tcsh``.
    """
    import shtab

    root = argparse.ArgumentParser(prog="britekit")
    root.add_argument("--version", action="store_true", help="print the version")
    root.add_argument(
        "--print-completion", choices=["bash", "zsh", "fish", "tcsh"], help="print completion for a shell"
    )
    make: Any = lambda command, **settings: build(command, **settings)  # noqa: E731 - argparse wants a class
    commands = root.add_subparsers(parser_class=make)
    for name, summary in summaries.items():
        parser = commands.add_parser(name.replace("_", "-"), command=name, help=summary.replace("%", "%%"))
        parser.add_argument("--debug", action="store_true", help="add the trace to an error")
        for action in parser._actions:
            if action.metavar in ("FILE", "PATH", "DB"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar == "DIR":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return str(shtab.complete(root, shell))
