"""Reading W&B's offline files in tests: the package writes them but has no public reader."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as records


@dataclass
class OfflineRun:
    """What one run-*.wandb file holds."""

    path: Path
    group: str = ""
    job_type: str = ""
    name: str = ""
    project: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    made: dict[str, tuple[str, str]] = field(default_factory=dict)
    used: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Type and reference of each artifact without data, by its name."""
    statistics: int = 0
    exit_code: int | None = None

    def curve(self, name: str) -> list[float]:
        """Return the values logged under ``name``, in order."""
        return [row[name] for row in self.history if name in row]


def read_runs(root: Path) -> list[OfflineRun]:
    """Read every offline run below ``root/wandb``, oldest first."""
    return [read_run(path) for path in sorted((root / "wandb").glob("offline-run-*/run-*.wandb"))]


def read_run(path: Path) -> OfflineRun:
    """Read one file record by record."""
    run = OfflineRun(path)
    for data in _payloads(path.read_bytes()):
        record = records.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.group, run.job_type, run.name = (record.run.run_group, record.run.job_type, record.run.display_name)
            run.project, run.tags = record.run.project, list(record.run.tags)
            run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            run.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            run.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "files":
            run.files += [item.path for item in record.files.files]
        elif kind == "artifact":
            run.artifacts.append(record.artifact.name)
            entries = list(record.artifact.manifest.contents)
            if len(entries) == 1 and entries[0].ref:
                part = run.used if record.artifact.use_after_commit else run.made
                part[record.artifact.name] = (record.artifact.type, entries[0].ref)
        elif kind == "stats":
            run.statistics += 1
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _payloads(data: bytes) -> Iterator[bytes]:
    """Walk the LevelDB log format: 32 KiB blocks of records (checksum, length, kind), long ones in pieces."""
    block, position, pieces = 32768, 7, b""
    while position + 7 <= len(data):
        left = block - position % block
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            position += left
            continue
        pieces += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or last piece
            yield pieces
            pieces = b""


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)
