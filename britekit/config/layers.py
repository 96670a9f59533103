"""Laying settings over each other: defaults, `params.yaml`, Python, checkpoint, the file of `-c`, options.

Everything that is wrong is collected first and reported together, each with the file and line it stands on.
"""

from __future__ import annotations

import copy
import logging
import os
from typing import Any

from britekit.config.audio import with_channels
from britekit.config.augmentations import merge_augmentations
from britekit.config.base import SECTIONS, BaseConfig, find_field, to_dict
from britekit.config.elsewhere import NOT_HERE, WITHOUT_EFFECT
from britekit.config.fields import Problem, declared, show
from britekit.config.yaml_reader import Node, read_yaml
from britekit.errors import ConfigError, closest, suggest

log = logging.getLogger(__name__)

PARAMS_FILE = "params.yaml"

# What decides the shape of a network's input: a checkpoint's own values cannot be overridden.
SHAPE_FIELDS = ("spec_height", "spec_width", "spec_duration")

_OLD_NAMES = {"min_frequency": "min_freq", "max_frequency": "max_freq"}


class _Stack:
    """A configuration that grows layer by layer, and where each value came from."""

    def __init__(self, cfg: BaseConfig) -> None:
        self.cfg = cfg
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []

    def put(self, section: str, name: str, value: Any, origin: str) -> None:
        """Set one field; a wrong value is noted and left out."""
        target = getattr(self.cfg, section)
        full = f"{section}.{name}"
        if full == "train.augmentations":
            value, wrongs = merge_augmentations(target.augmentations, value)
        else:
            value, wrong = target.check(name, value)
            wrongs = [wrong] if wrong else []
        self.problems += [_at(origin, f"{full}: {wrong}") for wrong in wrongs]
        if not wrongs:
            object.__setattr__(target, name, value)
            self.origins[full] = origin

    def put_file(self, path: str | os.PathLike[str], foreign_allowed: bool) -> None:
        """Lay a YAML file over what is there."""
        root, problems = read_yaml(path)
        self.problems += problems
        if not isinstance(root.value, dict):
            self.problems.append(f"{path}:{root.line}: {show(root.plain())} is not a map of sections")
            return
        for section, body in root.value.items():
            if section in SECTIONS:
                self._put_section(str(path), section, body)
            elif foreign_allowed:
                self._leave_alone(str(path), section, body)
            else:
                self.problems.append(_unknown_section(str(path), section, body))

    def _put_section(self, path: str, section: str, body: Node) -> None:
        if body.value is None:
            return
        if not isinstance(body.value, dict):
            self.problems.append(f"{path}:{body.line}: {section}: {show(body.plain())} is not a map of fields")
            return
        for key, node in body.value.items():
            origin = f"{path}:{node.line}"
            name = SECTIONS[section].ALIASES.get(key, key)
            if name in declared(SECTIONS[section]):
                self.put(section, name, node.plain(), origin)
            elif why := WITHOUT_EFFECT.get(section, {}).get(key):
                log.warning("%s: %s.%s of public britekit has no effect here: %s", origin, section, key, why)
            else:
                self.problems.append(_at(origin, unknown_field(section, key)))

    def _leave_alone(self, path: str, section: str, body: Node) -> None:
        hint = suggest(section, SECTIONS)
        log.warning("%s:%d: section %s is not ours and left alone%s", path, body.line, section, hint)

    def check(self) -> None:
        """Raise for everything noted and for what contradicts itself in the merged result."""
        self.problems += [self._locate(problem) for problem in self.cfg.problems()]
        if self.problems:
            raise ConfigError(*dict.fromkeys(self.problems))
        for problem in self.cfg.advice():
            log.warning("%s", self._locate(problem))

    def _locate(self, problem: Problem) -> str:
        origin = next((self.origins[name] for name in problem.fields if name in self.origins), "")
        return _at(origin, str(problem))


def resolve(
    cfg_path: str | os.PathLike[str] | None = None,
    overrides: dict[str, Any] | None = None,
    stored: dict[str, dict[str, Any]] | None = None,
    stored_in: str = "checkpoint",
) -> BaseConfig:
    """Merge all layers of settings into a fresh configuration.

    Lowest to highest: defaults, `params.yaml` of the working directory, assignments on the object of
    `get_config()`, a checkpoint's `audio` and `train.sed_fps`, the file of `-c`, options.

    Parameters
    ----------
    cfg_path
        The file of `-c`.
    overrides
        Options by ``section.field``; those that are None were not given and are skipped.
    stored
        Settings found in a checkpoint, for inference.
    stored_in
        What messages about them begin with.

    Raises
    ------
    ConfigError
        With every problem of the files and of the merged result, a line each.
    """
    stack = _Stack(BaseConfig())
    if os.path.lexists(PARAMS_FILE):
        stack.put_file(PARAMS_FILE, foreign_allowed=True)
    _put_assignments(stack)
    if stored:
        _put_stored(stack, stored, stored_in)
    if cfg_path is not None:
        before = copy.deepcopy(stack.cfg.audio)
        stack.put_file(cfg_path, foreign_allowed=False)
        if stored:
            _compare_with_checkpoint(stack, before, stored)
    for name, value in (overrides or {}).items():
        if value is not None:
            section, _, field = name.partition(".")
            if section not in SECTIONS or field not in declared(SECTIONS[section]):
                raise ConfigError(unknown_field(section, field))
            stack.put(section, field, value, "")
    stack.check()
    return stack.cfg


def from_dict(settings: dict[str, Any], what: str = "") -> BaseConfig:
    """Build a configuration from nested plain values, as `to_dict` gives them.

    Parameters
    ----------
    what
        Where the values come from, to begin the messages with.

    Raises
    ------
    ConfigError
        Unknown sections or fields, wrong values, contradictions.
    """
    stack = _Stack(BaseConfig())
    for section, fields in settings.items():
        if section not in SECTIONS:
            stack.problems.append(_at(what, f"{section}: unknown section{suggest(section, SECTIONS)}"))
            continue
        if not isinstance(fields, dict):
            stack.problems.append(_at(what, f"{section}: {show(fields)} is not a map of fields"))
            continue
        for key, value in fields.items():
            name = SECTIONS[section].ALIASES.get(key, key)
            if name in declared(SECTIONS[section]):
                stack.put(section, name, value, what)
            else:
                stack.problems.append(_at(what, unknown_field(section, key)))
    stack.check()
    return stack.cfg


_process_wide: tuple[BaseConfig, dict[str, dict[str, Any]]] | None = None


def get_config(cfg_path: str | os.PathLike[str] | None = None) -> BaseConfig:
    """Return the configuration of this process, for people at a prompt.

    Made on first use from the defaults and `params.yaml`. What is assigned on it counts for all later
    commands of the process. With ``cfg_path``, that file is laid over it.

    Raises `ConfigError` if a file cannot be used; the configuration is then unchanged.
    """
    global _process_wide
    if _process_wide is None:
        stack = _Stack(BaseConfig())
        if os.path.lexists(PARAMS_FILE):
            stack.put_file(PARAMS_FILE, foreign_allowed=True)
        stack.check()
        _forget_assignments(stack.cfg)
        _process_wide = (stack.cfg, copy.deepcopy(to_dict(stack.cfg)))
    cfg = _process_wide[0]
    if cfg_path is not None:
        trial = _Stack(copy.deepcopy(cfg))
        trial.put_file(cfg_path, foreign_allowed=False)
        trial.check()
        for full in trial.origins:
            section, _, name = full.partition(".")
            setattr(getattr(cfg, section), name, getattr(getattr(trial.cfg, section), name))
    return cfg


def forget_config() -> None:
    """Drop the configuration of this process, so that the next `get_config()` starts over."""
    global _process_wide
    _process_wide = None


def unknown_field(section: str, name: str) -> str:
    """Return the sentence about a field that does not exist, with the one that was probably meant."""
    full = f"{section}.{name}" if section else name
    if section not in SECTIONS:
        return f"{full}: unknown section{suggest(section, SECTIONS)}"
    if why := (NOT_HERE.get(section, {}) | WITHOUT_EFFECT.get(section, {})).get(name):
        return f"{full}: a setting of public britekit that does not exist here: {why}; remove the line"
    renamed = _OLD_NAMES.get(name, name)
    if found := find_field(renamed, section):
        if found[0] == section:
            return f'{full}: unknown field; it is called "{found[1]}"'
        return f"{full}: unknown field; it belongs in {found[0]}" + (
            f' and is called "{found[1]}"' if found[1] != name else ""
        )
    if near := closest(name, declared(SECTIONS[section])):
        return f'{full}: unknown field; did you mean "{near}"?'
    for other, kind in SECTIONS.items():
        if near := closest(name, declared(kind)):
            return f'{full}: unknown field; did you mean "{near}" in {other}?'
    return f"{full}: unknown field"


def _unknown_section(path: str, section: str, body: Node) -> str:
    origin = f"{path}:{body.line}"
    if found := find_field(_OLD_NAMES.get(section, section), ""):
        return _at(origin, f"{section}: unknown section; it is a field of {found[0]} and belongs below it")
    hint = suggest(section, SECTIONS) or f"; sections are {', '.join(SECTIONS)}"
    return _at(origin, f"{section}: unknown section{hint}")


def _put_assignments(stack: _Stack) -> None:
    """Lay over what was assigned on the process-wide configuration, in-place changes of lists included."""
    if _process_wide is None:
        return
    cfg, initial = _process_wide
    for section in SECTIONS:
        part = getattr(cfg, section)
        now = to_dict(cfg)[section]
        for name in declared(SECTIONS[section]):
            if name in part.__dict__["_assigned"] or now[name] != initial[section][name]:
                value = copy.deepcopy(getattr(part, name))
                checked, wrong = part.check(name, value)
                if wrong:  # a list changed in place was not checked when it was changed
                    stack.problems.append(f"{section}.{name}: {wrong}")
                    continue
                object.__setattr__(getattr(stack.cfg, section), name, checked)
                stack.origins[f"{section}.{name}"] = ""


def _put_stored(stack: _Stack, stored: dict[str, dict[str, Any]], origin: str) -> None:
    """Lay over what a checkpoint knows about its spectrograms; its other settings concern training only."""
    for section in ("audio", "train"):
        if not isinstance(stored.get(section) or {}, dict):
            raise ConfigError(_at(origin, f"{section}: {show(stored[section])} is not a map of fields"))
    for name, value in with_channels(stored.get("audio") or {}).items():
        if name in declared(SECTIONS["audio"]):
            stack.put("audio", name, value, origin)
    sed_fps = (stored.get("train") or {}).get("sed_fps")
    if sed_fps is not None:
        stack.put("train", "sed_fps", sed_fps, origin)


def _compare_with_checkpoint(stack: _Stack, before: Any, stored: dict[str, dict[str, Any]]) -> None:
    for name in with_channels(stored.get("audio") or {}):
        if name not in declared(SECTIONS["audio"]):
            continue
        old, new = getattr(before, name), getattr(stack.cfg.audio, name)
        if old == new:
            continue
        origin = stack.origins.get(f"audio.{name}", "")
        if name in SHAPE_FIELDS:
            stack.problems.append(
                _at(origin, f"audio.{name}: {show(new)} disagrees with the checkpoint, which needs {show(old)}")
            )
        else:
            log.warning("%s", _at(origin, f"audio.{name}: {show(new)} is used instead of the checkpoint's {show(old)}"))


def _forget_assignments(cfg: BaseConfig) -> None:
    for section in cfg.sections():
        section.__dict__["_assigned"] = set()


def _at(origin: str, text: str) -> str:
    return f"{origin}: {text}" if origin else text
