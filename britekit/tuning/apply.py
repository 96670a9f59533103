"""Write settings to ``params.yaml``, keeping comments and other sections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

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
    """Write values into the project's settings atomically, keeping comments and other sections.

    Raises `ConfigError` if the file is not YAML, or the result would not be valid settings.

    Parameters
    ----------
    changes
        Pairs of a target (`Parameter.target`) and a value. A missing file is created with every setting.
    """
    place = Path(path)
    if not place.is_file():
        wanted: dict[str, Any] = {}
        for target, value in changes:
            put(wanted, target, value)
        write_text(place, template_text(wanted))
        return
    read_yaml(place)  # its errors are clearer than those of the editor below
    text = place.read_text(encoding="utf-8-sig")
    editor = YAML()
    editor.preserve_quotes, editor.width = True, 1 << 20
    editor.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    found = re.search(r"^( *)[^\s#-][^\n]*:[^\n]*\n\1( *)- ", text, re.MULTILINE)  # a list on the lines after its key
    offset = len(found[2]) if found else 2
    editor.indent(mapping=2, sequence=offset + 2, offset=offset)
    content = editor.load(text) or CommentedMap()
    for target, value in changes:
        if not isinstance(content.get(target[0]) or {}, dict):
            raise ConfigError(f"{place}: {target[0]} is not a map of settings; correct or remove it")
        put(content, target, editor.load(yaml_text(value)))
    with atomic_path(place) as partial:
        with open(partial, "w", encoding="utf-8", newline="\n") as file:
            editor.dump(content, file)
        result = read_yaml(partial)[0].plain()
        from_dict({name: body or {} for name, body in result.items() if name in SECTIONS}, str(place))
