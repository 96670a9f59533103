"""The model folder: everything a service needs to know, as a Bento carries it.

``exports/*.onnx``, ``settings.yaml`` (sections infer and misc, audio where it was overridden), ``calibration.yaml``
and ``ignore.txt`` where there are any, ``classes.csv`` for people, ``facts.json`` (version, revision, file hashes).
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, resolve
from britekit.errors import InputError, ModelError
from britekit.files import sha256_of, write_json, write_text
from britekit.tracking.facts import is_dvc_stage, provenance

SETTINGS, CALIBRATION, IGNORE, CLASSES, FACTS = (
    "settings.yaml", "calibration.yaml", "ignore.txt", "classes.csv", "facts.json")  # fmt: skip
EXPORTS = "exports"
EXPORT_SUFFIX = ".onnx"


@dataclass(frozen=True)
class Contents:
    """A model folder that has been read.

    Attributes
    ----------
    exports
        The ensemble's members, in order.
    cfg
        Settings in force; the paths in it point into the folder.
    facts
        What ``facts.json`` says.
    """

    folder: Path
    exports: list[Path]
    cfg: BaseConfig
    facts: dict[str, Any]


def find_exports(cfg: BaseConfig) -> list[Path]:
    """Return the exports of the current ensemble: those of ``pipeline.seeds`` if they are there, else all.

    In a DVC stage only the seeds count, so that the result does not depend on what else lies in the folder.

    Raises
    ------
    ModelError
        There are none, one is missing, or one was made from another checkpoint than the one beside it.
    """
    from britekit.inference.exported import read_export_facts

    folder = Path(cfg.misc.ckpt_folder)
    advice = 'run "britekit train" or "britekit ckpt-onnx" first'
    of_seeds = [folder / f"seed-{seed}{EXPORT_SUFFIX}" for seed in cfg.pipeline.seeds]
    found = sorted(folder.glob(f"*{EXPORT_SUFFIX}"))
    if is_dvc_stage() or all(path.is_file() for path in of_seeds):
        missing = [path for path in of_seeds if not path.is_file()]
        if missing:
            raise ModelError(f"{missing[0]}: the export of this member of the ensemble is missing; {advice}")
        found = of_seeds
    if not found:
        raise ModelError(f"{folder} (misc.ckpt_folder) holds no exported model (*{EXPORT_SUFFIX}); {advice}")
    checkpoints = {path.stem: path for path in sorted(folder.glob("*.ckpt"))}
    alone = [stem for stem in checkpoints if stem not in {path.stem for path in found}]
    if alone and found is not of_seeds:
        raise ModelError(f'{checkpoints[alone[0]]} has no export beside it; run "britekit ckpt-onnx" first')
    for path in found:
        checkpoint = checkpoints.get(path.stem)
        source = read_export_facts(path).source_sha256
        if checkpoint is not None and source and source != sha256_of(checkpoint):
            raise ModelError(f'{path} was made from another checkpoint than {checkpoint}; run "britekit ckpt-onnx"')
    return found


def write_contents(cfg: BaseConfig, folder: Path) -> Contents:
    """Gather the current ensemble into an empty folder; the same ensemble and settings give the same bytes.

    Raises
    ------
    ModelError
        As ``find_exports``; members with different classes.
    InputError
        The calibration or a configured ignore file is missing.
    """
    from britekit.inference.exported import read_export_facts

    exports = find_exports(cfg)
    (folder / EXPORTS).mkdir(parents=True, exist_ok=True)
    for path in exports:
        shutil.copyfile(path, folder / EXPORTS / path.name)
    facts = [read_export_facts(path) for path in exports]
    for path, other in zip(exports, facts, strict=True):
        if list(other.classes) != list(facts[0].classes):
            raise ModelError(f"{path} knows other classes than {exports[0]}; members of an ensemble must agree")

    settings = _plain_settings(cfg, facts[0].training_cfg)
    settings["misc"]["ckpt_folder"] = EXPORTS
    settings["infer"]["calibration"] = _copy_calibration(cfg, folder)
    settings["misc"]["ignore_file"] = _copy_ignore(cfg, folder)
    write_text(folder / SETTINGS, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    write_text(folder / CLASSES, _class_table(facts[0].classes))
    hashes = {path.name: sha256_of(path) for path in exports}
    write_json(folder / FACTS, {**provenance(), "members": hashes})
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
    cfg = resolve(cfg_path=folder / SETTINGS, stored=read_export_facts(exports[0]).training_cfg)
    cfg.misc.ckpt_folder = str(folder / EXPORTS)
    if cfg.infer.calibration is not None:
        cfg.infer.calibration = str(folder / cfg.infer.calibration)
    if cfg.misc.ignore_file is not None:
        cfg.misc.ignore_file = str(folder / cfg.misc.ignore_file)
    return Contents(folder, exports, cfg, facts)


def _plain_settings(cfg: BaseConfig, stored: dict[str, Any]) -> dict[str, dict[str, Any]]:
    from britekit.config import to_dict

    everything = to_dict(cfg)
    audio = {k: v for k, v in everything["audio"].items() if (stored.get("audio") or {}).get(k, v) != v}
    settings = {
        "infer": {**everything["infer"], "backend": "openvino"},
        "misc": {"ckpt_folder": "", "ignore_file": None},
    }
    return {**({"audio": audio} if audio else {}), **settings}


def _copy_calibration(cfg: BaseConfig, folder: Path) -> str | None:
    if cfg.infer.calibration is None:
        return None
    if not Path(cfg.infer.calibration).is_file():
        raise InputError(
            f'calibration file {cfg.infer.calibration} (infer.calibration) does not exist; run "britekit calibrate" '
            "first, or set it to null"
        )
    shutil.copyfile(cfg.infer.calibration, folder / CALIBRATION)
    return CALIBRATION


def _copy_ignore(cfg: BaseConfig, folder: Path) -> str | None:
    from britekit.config import MiscConfig

    source = cfg.misc.ignore_file
    if source is None:
        return None
    if not Path(source).is_file():
        if source == MiscConfig().ignore_file:
            return None  # the default file may be missing: nothing is left out
        raise InputError(f"ignore file {source} (misc.ignore_file) does not exist; set it to null or make it")
    shutil.copyfile(source, folder / IGNORE)
    return IGNORE


def _class_table(classes: list[ClassInfo]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["Name", "Code", "AltName", "AltCode"])
    writer.writerows([x.name, x.code, x.alt_name, x.alt_code] for x in classes)
    return out.getvalue()
