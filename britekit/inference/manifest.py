"""Describe in ``manifest.yaml`` how labels were made, and what must be equal to continue a run."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import britekit
from britekit.config import BaseConfig
from britekit.config.yaml_reader import dump_plain
from britekit.files import sha256_of
from britekit.inference.ensemble import Ensemble
from britekit.inference.exported import load_openvino
from britekit.inference.labeling import Labeler
from britekit.inference.platt import PROJECT_CALIBRATION
from britekit.inference.runtimes import runtime_versions

MANIFEST_HEAD = "# Written by britekit analyze: what the labels in this folder were made with.\n"


def manifest_content(
    cfg: BaseConfig, ensemble: Ensemble, labeler: Labeler, start_seconds: float = 0.0
) -> dict[str, Any]:
    """Return everything needed to reproduce the labels, without dates and paths."""
    inference = dataclasses.asdict(cfg.infer)
    del inference["num_threads"]  # affects only speed: equal labels have equal manifests
    content: dict[str, Any] = {
        "britekit_version": britekit.__version__,
        "backend": ensemble.backend,
        "device": ensemble.device,
        "classes": [{"name": info.name, "code": info.code} for info in labeler.classes],
        "audio": dataclasses.asdict(cfg.audio),
        "sed_fps": ensemble.sed_fps,
        "segments": segment_facts(ensemble, labeler),
        "inference": inference,
    }
    if start_seconds:
        content["start_seconds"] = start_seconds
    if labeler.prior is not None:
        content["occurrence"] = labeler.prior.facts()
    if ensemble.screen is not None:
        content["screen"] = ensemble.screen.facts
    calibration = labeler.calibration
    content["calibrated"] = not calibration.is_identity
    if calibration.source is not None:
        inference["calibration"] = cfg.infer.calibration or PROJECT_CALIBRATION
        inference["scaling_coefficient"], inference["scaling_intercept"] = 1.0, 0.0
    else:  # the configured calibration may not have been applied
        inference["calibration"] = None
        inference["scaling_coefficient"] = calibration.coefficient
        inference["scaling_intercept"] = calibration.intercept
    if labeler.thresholds is not None:
        content["thresholds"] = {
            info.name: value for info, value in zip(labeler.classes, labeler.thresholds, strict=True)
        }
    if calibration.source is not None:
        content["calibration"] = {
            "coefficient": calibration.coefficient,
            "intercept": calibration.intercept,
            "classes": {name: {"coefficient": a, "intercept": b} for name, (a, b) in calibration.per_class.items()},
            "sha256": sha256_of(calibration.source),
        }
    for number, member in enumerate(ensemble.members, start=1):
        content[f"model {number}"] = {
            "file": member.path.name,
            "identifier": member.identifier,
            "training_date": member.training_date,
            "sha256": member.sha256,
            "audio": member.training_cfg.get("audio"),
            "train": member.training_cfg.get("train"),
            **({"licence": member.licence} if member.licence else {}),
        }
    return content


def manifest_text(content: dict[str, Any]) -> str:
    """Return the result of `manifest_content` as the text of the file."""
    return MANIFEST_HEAD + dump_plain(content, width=110)


def run_facts(content: dict[str, Any], labeler: Labeler, kinds: list[str], named_by: str) -> dict[str, Any]:
    """Return the facts that an interrupted run must share with the one that continues it.

    Parameters
    ----------
    content
        Result of `manifest_content`.
    """
    return {
        "manifest": content,
        "labels": [info.label(labeler.label_field) for info in labeler.classes],
        "runtime": runtime_version(content["backend"]),
        "rtype": kinds,
        "recordings": named_by,
    }


def score_facts(ensemble: Ensemble, labeler: Labeler) -> dict[str, str]:
    """Return the facts in scores.npz about the origin of its scores."""
    members = [{"name": member.path.name, "sha256": member.sha256} for member in ensemble.members]
    return {
        "backend": ensemble.backend,
        "members": json.dumps(members),
        "britekit_version": britekit.__version__,
        **({} if ensemble.screen is None else ensemble.screen.facts),
        **{key: str(value) for key, value in segment_facts(ensemble, labeler).items()},
    }


def segment_facts(ensemble: Ensemble, labeler: Labeler) -> dict[str, Any]:
    """Return the step between labels of fixed length and what was scored; empty for variable length.

    A test per segment derives its rows from these, see `britekit.evaluation.grid`.
    """
    if ensemble.sed_fps is None:
        return {"step_s": ensemble.step_s, "scored": "windows"}
    if labeler.rules.segment_frames is None:
        return {}
    return {"step_s": labeler.unit_s, "scored": "frames"}


def runtime_version(backend: str) -> str:
    """Return the version of the backend, since another one may round differently."""
    if backend == "openvino":
        return f"{backend} {load_openvino().__version__}"
    if backend in ("litert", "onnxruntime"):
        return f"{backend} {runtime_versions(backend)}"
    import torch

    return f"{backend} {torch.__version__}"
