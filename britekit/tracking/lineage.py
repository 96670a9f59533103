"""Describe the files of a stage as W&B artifacts that refer to DVC's copies, so that stages form one graph.

An artifact holds no data, only a reference ``dvc://files/md5/ab/cdef...``: the place of the file or folder below a DVC
remote. Its name follows from the path and its version from the hash, so what one stage writes and what another reads
are the same version of the same artifact.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from britekit.tracking.facts import project_root, provenance

RECORDINGS, DATABASE, PICKLE, MEMBER, LABELS = "recordings", "database", "pickle", "member", "labels"
CALIBRATION, BENTO, PSEUDO_LABELS, TABLE = "calibration", "bento", "pseudo-labels", "table"
"""Types of artifacts."""

_LONGEST_NAME = 128


def artifact_name(path: str | Path) -> str:
    """Return the name of a path's artifact: ``data-training.db`` for ``data/training.db`` in the project."""
    root, full = project_root(), Path(path).resolve()
    place = full.relative_to(root).as_posix() if full.is_relative_to(root) else full.name
    return re.sub(r"[^\w.-]+", "-", place, flags=re.ASCII).strip("-.")[-_LONGEST_NAME:] or "project"


def reference(md5: str) -> str:
    """Return the place of a hash below a DVC remote; the hash of a folder ends with ``.dir``."""
    return f"dvc://files/md5/{md5[:2]}/{md5[2:]}"


def build_artifact(wandb: Any, path: str | Path, kind: str, md5: str) -> Any:
    """Return the artifact of a file or folder with that hash."""
    root, full = project_root(), Path(path).resolve()
    place = full.relative_to(root).as_posix() if full.is_relative_to(root) else full.name
    facts: dict[str, Any] = {"path": place, "md5": md5, **provenance()}
    if full.is_file():
        facts["bytes"] = full.stat().st_size
    artifact = wandb.Artifact(artifact_name(path), type=kind, metadata=facts)
    artifact.add_reference(reference(md5), name=full.name, checksum=False)
    return artifact
