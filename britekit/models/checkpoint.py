"""Checkpoints: weights and plain values, nothing executable.

The archive's inner name and the order of its entries do not depend on path, time or machine, and a published
checkpoint's identifier is derived from its weights, so the same training gives the same bytes.
"""

import datetime
import hashlib
import io
import pickle
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from britekit import __version__
from britekit.annotations.classes import ClassInfo
from britekit.errors import ModelError, some
from britekit.files import atomic_path, refuse_expanding, require_file
from britekit.models.options import Blueprint
from britekit.models.public_checkpoints import as_ours, is_public
from britekit.models.recognizer import Recognizer, build, frame_count

# Namespace of identifiers that are derived from weights.
_NAMESPACE = uuid.UUID("5b0e6a4c-6d0c-5f5e-9a55-3a4a8b1f7c11")

_REQUIRED = ("state_dict", "hyper_parameters", "training_cfg", "identifier")
# What a checkpoint needs to be run and to say what it is; all else is the state of training.
LASTING = (*_REQUIRED, "training_date", "britekit_version", "epoch", "averaged_from", "frozen")


@dataclass
class StoredModel:
    """A checkpoint in memory."""

    recognizer: Recognizer
    """The network, in evaluation mode."""
    classes: list[ClassInfo]
    """Position = class index."""
    training_cfg: dict[str, Any]
    """The whole configuration of the run, nested plain values."""
    multi_label: bool
    """False: exactly one class per segment, scores are a softmax."""
    identifier: str
    """Upper-case UUID."""
    training_date: str | None
    """YYYY-MM-DD, or None if the file has none (published ones)."""
    epoch: int
    hyper_parameters: dict[str, Any]
    sha256: str
    """Of the file's bytes."""
    path: Path
    """Where it was read from."""


def hyper_parameters(
    blueprint: Blueprint, classes: Sequence[ClassInfo], num_train_specs: int, multi_label: bool
) -> dict[str, Any]:
    """Plain values from which the network is rebuilt, as stored in a checkpoint."""
    values = asdict(blueprint)
    values.pop("num_classes")
    values.pop("pretrained")  # a checkpoint brings its weights along
    for name in ("as_public", "front"):
        if not values[name]:
            del values[name]
    return {
        **values,
        "train_class_names": [c.name for c in classes],
        "train_class_codes": [c.code for c in classes],
        "train_class_alt_names": [c.alt_name for c in classes],
        "train_class_alt_codes": [c.alt_code for c in classes],
        "num_train_specs": int(num_train_specs),
        "multi_label": bool(multi_label),
    }


def weights_identifier(weights: Mapping[str, torch.Tensor]) -> str:
    """Upper-case UUID5 of the weights' names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return str(uuid.uuid5(_NAMESPACE, digest.hexdigest())).upper()


def save_checkpoint(
    path: str | Path,
    recognizer: Recognizer,
    hyper: Mapping[str, Any],
    training_cfg: Mapping[str, Any],
    *,
    epoch: int,
    published: bool = False,
    training_state: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    epoch
        Zero-based epoch the weights are from.
    published
        Identifier from the weights and no date, so that equal training gives equal bytes.
    training_state
        Optimizer and scheduler state; None for a frozen checkpoint.
    """
    weights = {
        name: value.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
        for name, value in recognizer.state_dict().items()
    }
    content: dict[str, Any] = {
        "state_dict": weights,
        "hyper_parameters": dict(hyper),
        "training_cfg": dict(training_cfg),
        "identifier": weights_identifier(weights) if published else str(uuid.uuid4()).upper(),
        "training_date": None if published else datetime.date.today().isoformat(),
        "britekit_version": __version__,
        "epoch": int(epoch),
    }
    if training_state is not None:
        content.update(training_state)
    write_archive(path, content)


def write_archive(path: str | Path, content: Mapping[str, Any]) -> None:
    """``torch.save`` whose bytes do not depend on the file's name, written whole or not at all."""
    buffer = io.BytesIO()  # torch.save would store a path's name in the archive
    torch.save(dict(content), buffer)
    with atomic_path(path) as partial:
        partial.write_bytes(buffer.getbuffer())


def read_archive(path: str | Path) -> tuple[dict[str, Any], str]:
    """Content and SHA-256 of a torch archive, read weights-only; one of public britekit as if it were ours.

    Raises
    ------
    ModelError
        Missing, damaged, or holding more than weights and plain values.
    """
    path = Path(path)
    try:
        data = require_file(path).read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"checkpoint {path} does not exist") from error
    except OSError as error:
        raise ModelError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            archive = zipfile.ZipFile(io.BytesIO(data))
            refuse_expanding(archive, len(data))
            # PyTorch does not look at checksums: weights with wrong bits would give wrong scores in silence.
            if archive.testzip() is not None:
                raise ModelError(_damaged(path))
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ModelError(_damaged(path)) from error
        raise ModelError(
            f"checkpoint {path} holds more than weights and plain values, so loading it could run code; "
            "convert it with the program that wrote it"
        ) from error
    except ModelError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise ModelError(_damaged(path)) from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ModelError(f"{path} is not a checkpoint: it holds a {kind}, not a table of entries")
    if is_public(content):
        content = as_ours(content, path)
    return content, hashlib.sha256(data).hexdigest()


def check_entries(content: Mapping[str, Any], path: str | Path) -> None:
    """Raise `ModelError` for an archive that is not a checkpoint of britekit, naming the entry."""
    for key in _REQUIRED:
        if key not in content:
            raise ModelError(f'checkpoint {path} has no entry "{key}"; it was not written by britekit')
    weights = content["state_dict"]
    if not isinstance(weights, Mapping) or not all(map(_is_whole, weights.values())):
        raise ModelError(f'checkpoint {path}: entry "state_dict" holds more than weights')


def _is_whole(value: Any) -> bool:
    """Whether it is a tensor whose every number is in the file; a view could repeat one millions of times."""
    return isinstance(value, torch.Tensor) and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _damaged(path: Path) -> str:
    return f"{path} is not a checkpoint or is damaged; restore it from a copy (dvc checkout) or train again"


def load_checkpoint(
    path: str | Path, device: torch.device | str = "cpu", *, without_classes: bool = False
) -> StoredModel:
    """Read a checkpoint and rebuild its network from the file alone.

    Parameters
    ----------
    without_classes
        Also accept a pre-trained backbone, which has no classes and no head.

    Raises
    ------
    ModelError
        Missing, damaged, executable content, an entry that is absent, weights that do not fit the network.
    """
    path = Path(path)
    content, sha256 = read_archive(path)
    check_entries(content, path)
    hyper, settings = content["hyper_parameters"], content["training_cfg"]
    try:
        classes = stored_classes(hyper)
        blueprint = _blueprint(hyper, settings, len(classes))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ModelError(f"checkpoint {path}: hyper_parameters or training_cfg lack {error}") from error
    if not classes and not without_classes:
        raise ModelError(
            f"checkpoint {path} is a pre-trained backbone without classes; train with train.load_ckpt_path set to it"
        )
    try:
        recognizer = build(blueprint)
    except ModelError as error:
        raise ModelError(f"checkpoint {path}: {error}") from error
    load_weights(recognizer, content["state_dict"], str(path))
    recognizer.to(device).eval()
    if content.get("frozen"):
        recognizer.requires_grad_(False)
    return StoredModel(
        recognizer=recognizer,
        classes=classes,
        training_cfg=settings,
        multi_label=bool(hyper.get("multi_label", True)),
        identifier=str(content["identifier"]),
        training_date=content.get("training_date"),
        epoch=int(content.get("epoch", 0)),
        hyper_parameters=hyper,
        sha256=sha256,
        path=path,
    )


def load_weights(recognizer: torch.nn.Module, weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Put weights into a network of exactly that structure.

    Raises
    ------
    ModelError
        Missing or unexpected weights, by name; other shapes; numbers that are not finite.
    """
    own = recognizer.state_dict()
    problems = []
    missing = sorted(set(own) - set(weights))
    extra = sorted(set(weights) - set(own))
    shapes = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", shapes)):
        if names:
            problems.append(f"{what}: {some(names, 4)}")
    if problems:
        raise ModelError(f"{source}: weights do not fit the network it names; {'; '.join(problems)}")
    unusable = [name for name, values in weights.items() if not torch.isfinite(values).all()]
    if unusable:
        raise ModelError(
            f"{source}: weights that are not finite numbers ({unusable[0]}) score nothing; restore it from a "
            "copy, or train again"
        )
    recognizer.load_state_dict(dict(weights))


def stored_classes(hyper: Mapping[str, Any]) -> list[ClassInfo]:
    """Return the classes in the hyper-parameters of a checkpoint."""
    names = hyper["train_class_names"]
    if not isinstance(names, (list, tuple)):
        raise TypeError("a list of class names")
    empty = [""] * len(names)
    codes = hyper.get("train_class_codes") or empty
    alt_names = hyper.get("train_class_alt_names") or empty
    alt_codes = hyper.get("train_class_alt_codes") or empty
    lengths = {len(names), len(codes), len(alt_names), len(alt_codes)}
    if len(lengths) > 1:
        raise ValueError(f"as many codes as class names ({len(names)})")
    return [
        ClassInfo(str(n), str(c or ""), str(an or ""), str(ac or ""))
        for n, c, an, ac in zip(names, codes, alt_names, alt_codes, strict=True)
    ]


def _blueprint(hyper: Mapping[str, Any], settings: Mapping[str, Any], num_classes: int) -> Blueprint:
    audio, train = settings["audio"], settings["train"]
    blueprint = Blueprint(
        model_type=hyper["model_type"],
        head_type=hyper["head_type"],
        num_classes=num_classes,
        height=audio["spec_height"],
        width=audio["spec_width"],
        frames=frame_count(train.get("sed_fps", 4), audio["spec_duration"]),
        hidden_channels=hyper.get("hidden_channels", 256),
    )
    optional = ("frames", "drop_rate", "drop_path_rate", "lse_temp", "two_way", "as_public", "front")
    return replace(blueprint, **{key: hyper[key] for key in optional if key in hyper})
