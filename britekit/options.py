"""How command files declare their options: dataclass fields that argparse-dataclass reads.

A long flag is declared once and accepted with ``_`` and with ``-`` between its words; the command line sees
to that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any


def option(
    *flags: str,
    default: Any = None,
    help: str = "",
    type: Callable[[str], Any] | None = None,
    choices: Iterable[Any] | None = None,
    required: bool = False,
    metavar: str | None = None,
    nargs: str | int | None = None,
) -> Any:
    """Return a dataclass field for one option of a command.

    Parameters
    ----------
    *flags
        ``--name``, ``-n``; none = ``--field-name``. A word without dashes, equal to the field's name, makes a
        positional argument (optional with ``nargs="?"``).
    default
        Value when the option is absent; a bool field with default True is switched off by its flag.
    help
        One line; the default is spelled in it.
    type
        Converter from text; default: the field's annotation.
    choices
        The only values accepted.
    required
        Whether the option must be given.
    metavar
        Name of the value in the help.
    nargs
        As in argparse; with `nargs` a `type` is needed.
    """
    # argparse formats help texts with %: a plain per cent sign would make --help crash.
    metadata: dict[str, Any] = {"help": help.replace("%", "%%")}
    if flags:
        metadata["args"] = list(flags)
    given = {"type": type, "metavar": metavar, "nargs": nargs}
    metadata |= {key: value for key, value in given.items() if value is not None}
    if choices is not None:
        metadata["choices"] = list(choices)
    if required:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, (list, dict, set)):
        return dataclasses.field(default_factory=lambda: default.copy(), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def config_option() -> Any:
    """Return the option ``-c``, ``--cfg``, ``--config``: a YAML file of overrides."""
    return option("-c", "--cfg", "--config", metavar="FILE", help="YAML file of settings to override")


def db_option(required: bool = False) -> Any:
    """Return the option ``-d``, ``--db``: a training database, by path or URL."""
    return option(
        "-d",
        "--db",
        metavar="DB",
        required=required,
        help="training database: a path or a URL (default: train.train_db of the settings)",
    )
