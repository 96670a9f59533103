"""The model folder: everything a service needs to know, as a Bento carries it.

``exports/*.onnx``, ``settings.yaml`` (sections infer, misc and pipeline, audio where overridden),
``calibration.yaml``, ``ignore.txt``, ``occurrence.*``, ``screen/`` and a recording in ``sample/`` if there are any,
``classes.csv`` for people, ``card.md``: the model card, ``facts.json``: hashes of the members in their order; date,
revision and data of their training; figures of the test.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import britekit
from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, resolve
from britekit.config.audio import with_channels
from britekit.config.yaml_reader import dump_plain
from britekit.errors import InputError, ModelError
from britekit.files import csv_text, sha256_of, write_json, write_text
from britekit.inference.platt import project_calibration, read_calibration
from britekit.tracking.facts import locked_hashes, project_root
from britekit.tracking.metrics_file import read_metrics, run_figures

logger = logging.getLogger(__name__)

# OpenVINO brings a package that counts users: it makes a folder in the home and may send. Without it OpenVINO
# uses a stub, so it is hidden before OpenVINO is imported, which happens when a model is read.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

SETTINGS, CALIBRATION, IGNORE, CLASSES, FACTS, CARD = (
    "settings.yaml", "calibration.yaml", "ignore.txt", "classes.csv", "facts.json", "card.md")  # fmt: skip
EXPORTS, SAMPLE, SCREEN = "exports", "sample", "screen"
OCCURRENCE = "occurrence"  # and the suffix of the file that was copied
BACKEND = "openvino"  # what runs them


@dataclass(frozen=True)
class Contents:
    """A model folder that has been read."""

    folder: Path
    exports: list[Path]
    """The ensemble's members, in order."""
    cfg: BaseConfig
    """Settings in force; the paths in it point into the folder."""
    facts: dict[str, Any]
    """The content of ``facts.json``."""
    sample: Path | None = None
    """A recording for people to try."""


def find_exports(cfg: BaseConfig, members: Sequence[Path]) -> list[Path]:
    """Return the exports of an ensemble, in the order of its members.

    Raises `ModelError` if a member has no export that was made from exactly that checkpoint.
    """
    from britekit.inference.backend import choose_backend

    return choose_backend(cfg, members, exports_needed_for="the package").exports


def write_contents(cfg: BaseConfig, members: Sequence[Path], folder: Path) -> Contents:
    """Gather an ensemble into an empty folder; the same ensemble and settings give the same bytes.

    Parameters
    ----------
    cfg, members
        From ``britekit.inference.model_files.resolve_for_models``.
    folder
        Where to; made if missing.

    Raises
    ------
    ModelError
        As ``find_exports``; members with different classes.
    InputError
        The calibration or a configured ignore file is missing, or belongs to other models.
    """
    from britekit.inference.ensemble import mapped_classes
    from britekit.inference.exported import copy_export, read_export_facts

    exports = find_exports(cfg, members)
    (folder / EXPORTS).mkdir(parents=True, exist_ok=True)
    for path in exports:
        copy_export(path, folder / EXPORTS / path.name)
    facts = [read_export_facts(path) for path in exports]
    for path, other in zip(exports, facts, strict=True):
        if {info.name for info in other.classes} != {info.name for info in facts[0].classes}:
            raise ModelError(f"{path} knows other classes than {exports[0]}; members of an ensemble must agree")

    settings = _plain_settings(cfg, facts[0].training_cfg)
    settings["misc"]["ckpt_folder"] = EXPORTS
    hashes = {path.name: sha256_of(folder / EXPORTS / path.name) for path in exports}
    settings["infer"]["calibration"] = _copy_calibration(cfg, folder, {fact.source_sha256 for fact in facts})
    settings["misc"]["ignore_file"] = _copy_ignore(cfg, folder)
    settings["infer"]["screen"] = copy_screen(cfg, {fact.source_sha256 for fact in facts}, folder)
    settings["infer"]["occurrence"] = _copy_occurrence(cfg, mapped_classes(facts[0].classes, cfg), folder)
    write_text(folder / SETTINGS, dump_plain(settings))
    write_text(folder / CLASSES, _class_table(mapped_classes(facts[0].classes, cfg)))
    _copy_sample(cfg, folder)
    tested = settings["infer"]["calibration"] is not None
    origin = _origin(exports, facts, tested)
    licences = sorted({fact.licence for fact in facts if fact.licence})
    card = _card(cfg, facts[0], origin["training"], folder, tested)
    if licences:
        card += f"\n## Licence of the embedder\n\nMade with a model under {', '.join(licences)}; keep to its terms.\n"
    write_text(folder / CARD, card)
    terms = {"licences": licences} if licences else {}
    write_json(folder / FACTS, {"version": britekit.__version__, "members": hashes, **origin, **terms})
    return read_contents(folder)


def read_contents(folder: Path) -> Contents:
    """Read a model folder.

    Raises
    ------
    ModelError
        It is incomplete.
    ConfigError
        Its settings cannot be used by this version.
    """
    from britekit.inference.exported import read_export_facts

    folder = folder.resolve()
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8")) if (folder / FACTS).is_file() else {}
    # In the order they were packed in: a mean of floats depends on it in the last digit.
    exports = [folder / EXPORTS / name for name in facts.get("members", {})]
    for path in exports:
        if not path.is_file():
            raise ModelError(f"{path} is missing from the model folder; package the ensemble again")
    if not exports or not (folder / SETTINGS).is_file():
        raise ModelError(f'{folder} is not the model folder of a service; make one with "britekit package"')
    stored = read_export_facts(exports[0]).training_cfg
    cfg = resolve(folder / SETTINGS, None, stored, f"checkpoint {exports[0]}")
    cfg.misc.ckpt_folder = str(folder / EXPORTS)
    if cfg.infer.calibration is not None:
        cfg.infer.calibration = str(folder / cfg.infer.calibration)
    if cfg.misc.ignore_file is not None:
        cfg.misc.ignore_file = str(folder / cfg.misc.ignore_file)
    if cfg.infer.occurrence is not None:
        cfg.infer.occurrence = str(folder / cfg.infer.occurrence)
    if cfg.infer.screen is not None:
        cfg.infer.screen = str(folder / cfg.infer.screen)
    sample = next(iter((folder / SAMPLE).glob("*")), None)
    return Contents(folder, exports, cfg, facts, sample)


def _origin(exports: Sequence[Path], facts: Sequence[Any], tested: bool) -> dict[str, Any]:
    """Return where an ensemble comes from: all of it belongs to the training, nothing to the packaging.

    The test's figures are these members' only if the calibration, fitted on the same scores, is theirs.
    """
    root, training = project_root(), {}
    for path, fact in zip(exports, facts, strict=True):
        noted = run_figures(root, path.name)
        training[path.name] = {
            "date": fact.training_date or noted.get("date"),
            **{key: noted.get(key) for key in ("version", "revision", "epochs", "spectrograms")},
        }
    data = {name: value for name, value in locked_hashes(root).items() if name.startswith("data/")}
    figures = read_metrics(root / "metrics/test.json") if tested else {}
    plain = {k: v for k, v in figures.items() if not isinstance(v, (dict, list))}
    return {"training": training, "data": data, "test": plain or None}


def _card(cfg: BaseConfig, facts: Any, training: dict[str, Any], folder: Path, tested: bool) -> str:
    """Return the model card, with the audio settings in force."""
    from britekit.inference.ensemble import mapped_classes
    from britekit.service.card import card_text

    calibration = read_calibration(str(folder / CALIBRATION)) if tested else None
    return card_text(cfg, mapped_classes(facts.classes, cfg), training, calibration, project_root(), tested)


def _copy_sample(cfg: BaseConfig, folder: Path) -> None:
    """Copy the recording that people can try."""
    if cfg.pipeline.sample is None:
        return
    source = Path(cfg.pipeline.sample)
    if not source.is_file():
        logger.warning("sample recording %s (pipeline.sample) does not exist; the page offers none", source)
        return
    (folder / SAMPLE).mkdir()
    shutil.copyfile(source, folder / SAMPLE / source.name)


def _plain_settings(cfg: BaseConfig, stored: dict[str, Any]) -> dict[str, dict[str, Any]]:
    from britekit.config import to_dict

    everything = to_dict(cfg)
    known = with_channels(stored.get("audio") or {})
    audio = {k: v for k, v in everything["audio"].items() if known.get(k, v) != v}
    settings = {
        "infer": {**everything["infer"], "backend": BACKEND},
        "misc": {
            "ckpt_folder": "",
            "ignore_file": None,
            "map_names": cfg.misc.map_names,
            "map_codes": cfg.misc.map_codes,
        },
        "pipeline": {"bento_name": cfg.pipeline.bento_name},
    }
    return {**({"audio": audio} if audio else {}), **settings}


def _copy_calibration(cfg: BaseConfig, folder: Path, members: set[str]) -> str | None:
    """Copy the calibration; one that was fitted on scores of other models would give wrong probabilities."""
    if cfg.infer.calibration is None:
        calibration = project_calibration(members)
        if calibration is None:
            return None
    else:
        calibration = read_calibration(cfg.infer.calibration)
    path = calibration.source
    assert path is not None
    if calibration.members and calibration.members != members:
        raise InputError(
            f"calibration file {path} was fitted on scores of other models than those to be "
            'packaged; run "britekit analyze" and "britekit calibrate" again'
        )
    if calibration.backend not in (None, BACKEND):
        logger.warning(
            "%s was fitted on scores of %s, and the service's %s gives somewhat other ones; with "
            "infer.backend: %s test, calibration and service use the same",
            *(path, calibration.backend, BACKEND, BACKEND),
        )
    shutil.copyfile(path, folder / CALIBRATION)
    return CALIBRATION


def _copy_ignore(cfg: BaseConfig, folder: Path) -> str | None:
    from britekit.config import MiscConfig

    source = cfg.misc.ignore_file
    if source is None:
        return None
    if not Path(source).is_file():
        if source == MiscConfig().ignore_file:
            return None  # the default file may be missing: nothing is left out
        raise InputError(f"ignore file {source} (misc.ignore_file) does not exist; make it (it may be empty)")
    shutil.copyfile(source, folder / IGNORE)
    return IGNORE


def _copy_occurrence(cfg: BaseConfig, classes: list[ClassInfo], folder: Path) -> str | None:
    """Copy the occurrence data, once they are known to fit the classes."""
    from britekit.inference.labeling import ignored_classes
    from britekit.occurrence.prior import load_prior

    if cfg.infer.occurrence is None:
        return None
    ignored = ignored_classes(cfg)
    load_prior(cfg, [info for info in classes if info.name not in ignored], ignored=ignored)
    name = OCCURRENCE + Path(cfg.infer.occurrence).suffix
    shutil.copyfile(cfg.infer.occurrence, folder / name)
    return name


def copy_screen(cfg: BaseConfig, members: set[str], folder: Path) -> str | None:
    """Copy the screen of the settings with its student's export; return its path below the folder."""
    from britekit.inference.exported import copy_export
    from britekit.inference.screen_file import read_screen

    if cfg.infer.screen is None:
        return None
    source = Path(cfg.infer.screen)
    stored = read_screen(source)
    if set(stored.members) != members:
        raise InputError(f'{source} was made for other models than those to be packaged; run "britekit screen" again')
    (export,) = find_exports(cfg, [source.parent / stored.student])
    (folder / SCREEN).mkdir()
    copy_export(export, folder / SCREEN / export.name)
    replace(stored, student=export.name).save(folder / SCREEN / "screen.yaml")
    return f"{SCREEN}/screen.yaml"


def _class_table(classes: list[ClassInfo]) -> str:
    rows = ([x.name, x.code, x.alt_name, x.alt_code] for x in classes)
    return csv_text([["Name", "Code", "AltName", "AltCode"], *rows])
