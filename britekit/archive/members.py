"""A probe becomes a member of an ensemble: a checkpoint with its backbone, or a file with the embedder in it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from britekit.annotations.classes import ClassInfo
from britekit.archive.classifiers import Classifier
from britekit.archive.store import Archive
from britekit.errors import InputError, ModelError
from britekit.files import sha256_of
from britekit.inference.backend import CHECKPOINT, PROBE
from britekit.inference.probe_file import write_probe


def check_member_path(archive: Archive, output: Path) -> None:
    """Refuse a name that the member of an archive's probe cannot have; raises `InputError`."""
    foreign = "embedder" in archive.facts["identity"]
    wanted = PROBE if foreign else CHECKPOINT
    if output.suffix != wanted:
        model = "a file of another project" if foreign else "a checkpoint"
        raise InputError(
            f"{output}: the archive was made with {model}, so its probe needs a name that ends in {wanted}"
        )


def write_member(
    archive: Archive, model: Path, classifier: Classifier, classes: list[ClassInfo], windows: int, output: Path
) -> list[Path]:
    """Write a probe as a member; return the files.

    Raises `ModelError` if the archive was made with an export whose checkpoint is not there.

    Parameters
    ----------
    windows
        How many windows it was fitted on.
    """
    if "embedder" in archive.facts["identity"]:
        write_probe(output, model, classifier.weights_CF, classifier.bias_C, classifier.center_F, classes)
        return [output]
    checkpoint = model.with_suffix(CHECKPOINT)
    if not checkpoint.is_file() or sha256_of(checkpoint) != archive.facts["identity"]["model"]:
        raise ModelError(
            f"{checkpoint}, the checkpoint of the model of {archive.folder}, is not there; a probe needs its backbone: "
            "name it with --model"
        )
    return _write_checkpoint(checkpoint, classifier, classes, windows, output)


def _write_checkpoint(
    source: Path, classifier: Classifier, classes: list[ClassInfo], windows: int, output: Path
) -> list[Path]:
    from dataclasses import replace

    import torch

    from britekit.inference.export import export_onnx
    from britekit.models.checkpoint import hyper_parameters, load_checkpoint, save_checkpoint
    from britekit.models.recognizer import build

    stored = load_checkpoint(source)
    blueprint = replace(
        stored.recognizer.blueprint, head_type=classifier.head, num_classes=len(classes), drop_rate=None
    )
    network = build(blueprint)
    weights: dict[str, Any] = {
        name: value for name, value in stored.recognizer.state_dict().items() if name in network.state_dict()
    }
    weights["head.linear.weight"] = torch.from_numpy(classifier.weights_CF).float()
    weights["head.linear.bias"] = torch.from_numpy(classifier.bias_C).float()
    if classifier.center_F is not None:
        weights["head.centre"] = torch.from_numpy(classifier.center_F).float()
    network.load_state_dict(weights)
    settings = copy.deepcopy(stored.training_cfg)
    settings.setdefault("train", {})["head_type"] = classifier.head
    hyper = hyper_parameters(blueprint, classes, windows, multi_label=True)
    save_checkpoint(output, network.eval(), hyper, settings, epoch=0, published=True)
    export = output.with_suffix(".onnx")
    export_onnx(load_checkpoint(output), export)
    return [output, export]
