"""Find the models of the ensemble, and their stored settings."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from britekit.config import BaseConfig, MiscConfig, resolve
from britekit.config.yaml_reader import read_yaml
from britekit.errors import ModelError, some
from britekit.inference.backend import CHECKPOINT, EXPORT, PROBE, choose_backend
from britekit.tracking.facts import is_dvc_stage

log = logging.getLogger(__name__)

# Settings that select models; all others may depend on the settings stored in the models.
_CHOOSING = {"misc": ("ckpt_folder", "force_cpu"), "infer": ("backend", "max_models"), "pipeline": ("seeds", "rounds")}

ROUNDS_FOLDER = "models/rounds"
"""Folder with one folder of students per round of the pipeline."""

_HOW_TO_FILL = '"dvc repro" in a project fills it, "britekit train --seed 1 --publish" adds one'


def member_paths(cfg: BaseConfig, ckpt_path: str | os.PathLike[str] | None = None) -> list[Path]:
    """Return the models of the ensemble, in a fixed order.

    Raises `ModelError` if there is no model, or the model of a seed is missing.

    Parameters
    ----------
    cfg
        Settings; uses ``misc.ckpt_folder``, ``infer.max_models`` and, in a DVC stage, ``pipeline.seeds``.
    ckpt_path
        A model or a folder of models instead of ``misc.ckpt_folder``.

    Returns
    -------
    list of Path
        Checkpoints; exports, or probes, if there are no checkpoints. One checkpoint among exports of other names
        holds the classes of these, which are the members.
    """
    folder = ensemble_folder(cfg) if ckpt_path is None else Path(ckpt_path)
    where = str(folder)
    if ckpt_path is None:
        where += " (pipeline.rounds)" if str(folder) != cfg.misc.ckpt_folder else " (misc.ckpt_folder)"
    if folder.is_file():
        if folder.suffix not in (CHECKPOINT, EXPORT, PROBE):
            raise ModelError(f"{folder} is not a model; expected a name that ends in {CHECKPOINT}, {EXPORT} or {PROBE}")
        return [folder]
    if not folder.is_dir():
        raise ModelError(f"{where} does not exist, so there are no models; {_HOW_TO_FILL}, or name another folder")
    # Other files in the folder must not change the result of the pipeline.
    if ckpt_path is None and is_dvc_stage():
        found = [folder / f"seed-{seed}{CHECKPOINT}" for seed in cfg.pipeline.seeds]
        for path in found:
            if not path.is_file():
                raise ModelError(
                    f'{path} is missing, but pipeline.seeds lists it as a member; run "dvc repro train@{path.stem[5:]}"'
                )
    else:
        found, probes = _networks(folder), _visible(folder, PROBE)
        if found and probes:
            raise ModelError(
                f"{folder} holds {found[0].name} and {probes[0].name}, which cannot form an ensemble: one takes "
                "spectrograms, the other sound; put them into two folders"
            )
        found = found or probes
    if not found:
        raise ModelError(f"{where} contains no models (*{CHECKPOINT}); {_HOW_TO_FILL}, or name another folder")
    return found[: cfg.infer.max_models]


def ensemble_folder(cfg: BaseConfig) -> Path:
    """Return the folder of the ensemble: ``misc.ckpt_folder``, or that of the last round of students.

    Another ``misc.ckpt_folder`` than the default one names models that the pipeline does not train, and stands.
    """
    rounds = cfg.pipeline.rounds
    if rounds and cfg.misc.ckpt_folder == MiscConfig().ckpt_folder:
        return Path(ROUNDS_FOLDER, str(rounds))
    return Path(cfg.misc.ckpt_folder)


def resolve_for_models(
    cfg_path: str | os.PathLike[str] | None = None,
    overrides: dict[str, Any] | None = None,
    ckpt_path: str | os.PathLike[str] | None = None,
    cfg: BaseConfig | None = None,
) -> tuple[BaseConfig, list[Path]]:
    """Return the effective settings for an ensemble, and its members.

    The audio settings and ``sed_fps`` of the first member apply, unless ``-c`` or options override them. Settings made
    in Python (``cfg``) are copied, with these two from the first member.

    Raises
    ------
    ConfigError
        See `resolve`.
    ModelError
        See `member_paths`; also if a member cannot be read.
    """
    if cfg is not None:
        paths = member_paths(cfg, ckpt_path)
        return _with_stored_settings(cfg, paths), paths
    with _quiet():
        choosing = _choosing_settings(cfg_path)
    paths = member_paths(choosing, ckpt_path)
    stored, place = _stored_settings(choosing, paths)
    return resolve(cfg_path, overrides, stored, f"checkpoint {place}"), paths


def _with_stored_settings(cfg: BaseConfig, paths: list[Path]) -> BaseConfig:
    stored, _ = _stored_settings(cfg, paths)
    cfg = copy.deepcopy(cfg)
    for name, value in stored.get("audio", {}).items():
        if hasattr(cfg.audio, name):
            setattr(cfg.audio, name, value)
    cfg.train.sed_fps = stored.get("train", {}).get("sed_fps", cfg.train.sed_fps)
    return cfg


def _choosing_settings(cfg_path: str | os.PathLike[str] | None) -> BaseConfig:
    """Read the settings that select models; the rest of a -c file may be valid only over a model's settings."""
    cfg = resolve()
    if cfg_path is None:
        return cfg
    root, problems = read_yaml(cfg_path)
    content = root.plain()
    if problems or not isinstance(content, dict):
        return resolve(cfg_path)  # raises with the reason
    for section, names in _CHOOSING.items():
        body = content.get(section)
        for name in names:
            if isinstance(body, dict) and name in body:
                setattr(getattr(cfg, section), name, body[name])
    return cfg


def _stored_settings(cfg: BaseConfig, paths: list[Path]) -> tuple[dict[str, Any], Path]:
    """Return the settings stored in the first member, and its file."""
    choice = choose_backend(cfg, paths)
    if choice.exports:
        from britekit.inference.exported import read_export_facts

        return read_export_facts(choice.exports[0]).training_cfg, choice.exports[0]
    from britekit.models.checkpoint import read_archive

    content, _ = read_archive(paths[0])
    settings = content.get("training_cfg")
    if not isinstance(settings, dict):
        raise ModelError(f'checkpoint {paths[0]} has no entry "training_cfg"; it was not written by britekit')
    return settings, paths[0]


def _networks(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, or its exports if it has none.

    As in public britekit, one checkpoint among exports of other names is one of these, or only holds their classes: the
    exports are the members. Among several checkpoints, an export of another name is left out.
    """
    checkpoints, exports = _visible(folder, CHECKPOINT), _visible(folder, EXPORT)
    names = {path.stem for path in checkpoints}
    alone = [path for path in exports if path.stem not in names]
    if not checkpoints or (len(checkpoints) == 1 and alone):
        return exports
    if alone:
        log.warning("%s: no checkpoint has the name of %s, left out", folder, some([p.name for p in alone], 3))
    return checkpoints


def _visible(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{suffix}") if path.is_file() and not path.name.startswith("."))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings that the second reading of the same settings repeats."""
    log = logging.getLogger("britekit.config")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
