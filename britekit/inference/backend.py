"""Choose whether PyTorch or the exports run the models, the same for all of them."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from britekit.config import BaseConfig
from britekit.errors import ModelError
from britekit.files import sha256_of

log = logging.getLogger(__name__)

# The last is a classifier on an embedder of another project.
CHECKPOINT, EXPORT, PROBE = ".ckpt", ".onnx", ".probe"


@dataclass(frozen=True)
class BackendChoice:
    """The backend that runs the models."""

    name: str
    """``torch`` or ``openvino``."""
    exports: list[Path] = field(default_factory=list)
    """With ``openvino``, the export of each member."""
    reason: str = ""
    """Why ``auto`` rejected the exports; empty if it took them or did not have to choose."""


def choose_backend(cfg: BaseConfig, paths: Sequence[Path], *, exports_needed_for: str = "") -> BackendChoice:
    """Choose by ``infer.backend``, the device and the exports beside the checkpoints.

    ``auto`` takes PyTorch if there is a GPU. On a CPU it takes the exports if every member has one made from exactly
    that checkpoint, otherwise PyTorch. ``exports_needed_for`` names a user that requires exports, which overrides the
    setting.

    Raises `ModelError` if the chosen backend is not installed, or exports are missing.
    """
    wanted = "openvino" if exports_needed_for else cfg.infer.backend
    if paths and all(path.suffix in (EXPORT, PROBE) for path in paths):
        if wanted == "torch":
            raise ModelError(
                f'infer.backend is "torch", but {paths[0]} is an export; name its checkpoint ({CHECKPOINT})'
            )
        return BackendChoice("openvino", list(paths))
    if wanted == "torch":
        _need_torch("infer.backend")
        return BackendChoice("torch")
    if wanted == "auto" and not cfg.misc.force_cpu and has_gpu():
        return BackendChoice("torch")
    exports = [path.with_suffix(EXPORT) for path in paths]
    reason = next(filter(None, map(_why_not, paths, exports)), "")
    if not reason and importlib.util.find_spec("openvino") is None:
        reason = "openvino is not installed"
    if not reason:
        return BackendChoice("openvino", exports)
    if wanted == "openvino":
        asked = f"{exports_needed_for} needs exports" if exports_needed_for else 'infer.backend is "openvino"'
        raise ModelError(f'{asked}, but {reason}; run "britekit ckpt-onnx" on the checkpoints')
    _need_torch(reason)
    return BackendChoice("torch", reason=reason)


def backend_of_run(cfg: BaseConfig, paths: Sequence[Path]) -> BackendChoice:
    """Choose for checkpoints of a training run, which usually have no exports: PyTorch is expected, not reported."""
    return dataclasses.replace(choose_backend(cfg, paths), reason="")


@functools.cache
def has_gpu() -> bool:
    """Return whether PyTorch would find a GPU; import torch, which takes seconds, only if that is possible."""
    if importlib.util.find_spec("torch") is None:
        return False
    if platform.system() == "Linux":
        possible = any(os.path.exists(node) for node in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))
    elif platform.system() == "Darwin":
        possible = platform.machine() == "arm64"
    else:
        possible = True
    if not possible:
        return False
    from britekit.training.devices import choose_device

    return choose_device(force_cpu=False).type != "cpu"


def _why_not(checkpoint: Path, export: Path) -> str:
    """Return why an export cannot replace a checkpoint; empty if it can."""
    from britekit.inference.exported import read_export_facts

    if checkpoint.suffix == EXPORT:
        return f"{checkpoint.name} is an export among checkpoints"
    if not export.is_file():
        return f"{checkpoint.name} has no export"
    if importlib.util.find_spec("openvino") is None:
        return "openvino is not installed"
    try:
        source = read_export_facts(export).source_sha256
    except ModelError as error:
        return str(error)
    stat = checkpoint.stat()
    if source != _hash_once(checkpoint, stat.st_size, stat.st_mtime_ns):
        return f"{export.name} was made from another checkpoint than the {checkpoint.name} beside it"
    return ""


@functools.lru_cache(maxsize=64)
def _hash_once(path: Path, size: int, mtime_ns: int) -> str:
    """Hash a version of a checkpoint once, since resolving settings and loading models both choose a backend."""
    return sha256_of(path)


def _need_torch(why: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise ModelError(f"the models need PyTorch ({why}), which is not installed; install it or make exports")
