"""What ``analyze`` leaves: label files, scores.csv, scores.npz and manifest.yaml (formats page, section 5).

Each recording's labels go to disk when it is complete: its label file, and its rows of ``scores.csv`` in a
hidden folder from which the table is put together at the end. So memory does not grow with the number of
recordings. What an earlier run left is replaced at the end only, so that a run that fails leaves it whole.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import britekit
from britekit.annotations.classes import ClassInfo
from britekit.annotations.labels import Label, write_label_csv, write_label_text
from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.files import atomic_path, sha256_of, together, unwritable, write_text
from britekit.inference.ensemble import Ensemble
from britekit.inference.platt import Calibration

LABEL_TEXT, LABEL_TABLE, SCORES, MANIFEST = "_scores.txt", "scores.csv", "scores.npz", "manifest.yaml"
RTYPES = ("audacity", "csv", "both")
_MANIFEST_HEAD = "# Written by britekit analyze: what the labels in this folder were made with.\n"


class OutputFolder:
    """The output directory of one run; a context manager that removes what is only needed during it.

    Parameters
    ----------
    folder
        Made if it is missing.
    rtype
        ``audacity``: label files; ``csv``: scores.csv; ``both``.
    keep_scores
        Also write scores.npz.

    Raises
    ------
    InputError
        The directory cannot be written.
    """

    def __init__(self, folder: Path, rtype: str, keep_scores: bool) -> None:
        self.folder = folder
        self._texts = rtype in ("audacity", "both")
        self._table = rtype in ("csv", "both")
        self._keep_scores = keep_scores
        self._parts: dict[str, Path] = {}
        self._replacing: dict[Path, Path] = {}
        self._obsolete: list[Path] = []
        self._scores: dict[str, tuple[float, np.ndarray, np.ndarray]] = {}
        # Made before the first recording is scored: an hour's work must not end at a read-only disk.
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._work = Path(tempfile.mkdtemp(prefix=".analyze-", dir=folder))
        except OSError as error:
            raise unwritable(folder, error) from error

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def add(
        self, recording: str, labels: list[Label], seconds: float, starts_N: np.ndarray, scores_NC: np.ndarray
    ) -> None:
        """Write one recording's labels and keep its scores.

        Parameters
        ----------
        recording
            Its name: the stem, with the folders below the input where those are searched too.
        starts_N, scores_NC
            For scores.npz: what the labels were made from, not calibrated.
        """
        if self._texts:
            target = self.folder / f"{recording}{LABEL_TEXT}"
            if target.exists():
                self._replacing[target] = self._work / f"{len(self._replacing)}{LABEL_TEXT}"
            write_label_text(self._replacing.get(target, target), labels)
        if self._table:
            part = self._work / f"{len(self._parts)}.csv"
            write_label_csv(part, labels)
            self._parts[recording] = part
        if self._keep_scores:
            self._scores[recording] = (seconds, starts_N, scores_NC)

    def discard(self, recording: str) -> None:
        """Note that a recording failed: the label file that an earlier run left of it is to go."""
        if self._texts:
            self._obsolete.append(self.folder / f"{recording}{LABEL_TEXT}")

    def finish(self, manifest: str, classes: list[ClassInfo], duration: float, meta: dict[str, str]) -> None:
        """Write the files about all recordings, the manifest last."""
        old = [*self._obsolete, *self._old_tables()]
        write_label_csv(self._work / "empty.csv", [])
        with together():
            if self._table:
                self._join_parts()
            if self._keep_scores:
                self._write_scores(classes, duration, meta)
            write_text(self.folder / MANIFEST, manifest)
            for path in old:
                path.unlink(missing_ok=True)
            for target, written in self._replacing.items():
                os.replace(written, target)

    def _old_tables(self) -> list[Path]:
        """Return tables of an earlier run that are not replaced: readers prefer them to label files."""
        manifest = self.folder / MANIFEST
        try:
            with open(manifest, encoding="utf-8") as file:
                ours = file.readline() == _MANIFEST_HEAD
        except (OSError, UnicodeDecodeError):
            return []
        tables = ((LABEL_TABLE, self._table), (SCORES, self._keep_scores))
        return [self.folder / name for name, replaced in tables if ours and not replaced]

    def _join_parts(self) -> None:
        with atomic_path(self.folder / LABEL_TABLE) as partial, open(partial, "wb") as table:
            table.write((self._work / "empty.csv").read_bytes())
            for recording in sorted(self._parts):
                with open(self._parts[recording], "rb") as part:
                    part.readline()
                    shutil.copyfileobj(part, table)

    def _write_scores(self, classes: list[ClassInfo], duration: float, meta: dict[str, str]) -> None:
        recordings = sorted(self._scores)
        rows = [self._scores[recording] for recording in recordings]
        counts = [len(starts) for _, starts, _ in rows]
        ScoreTable(
            recordings=recordings,
            seconds=np.array([seconds for seconds, _, _ in rows], np.float64),
            row_recording=np.repeat(np.arange(len(rows), dtype=np.int32), counts),
            starts=np.concatenate([np.empty(0), *(starts for _, starts, _ in rows)]),
            duration=duration,
            classes=classes,
            scores=np.concatenate(
                [np.empty((0, len(classes)), np.float32), *(scores for _, _, scores in rows)]
            ),
            meta=meta,
        ).save(self.folder / SCORES)


def recording_name(path: Path, root: Path) -> str:
    """Return what a recording is called in the output: its path below ``root`` without extension."""
    below = path.relative_to(root) if path.is_relative_to(root) and path != root else Path(path.name)
    return below.with_suffix("").as_posix() if below.suffix else below.as_posix()


def manifest_text(
    cfg: BaseConfig, ensemble: Ensemble, classes: list[ClassInfo], calibration: Calibration
) -> str:
    """Return the manifest: what is needed to repeat the labels; it bears no date and no path."""
    inference = dataclasses.asdict(cfg.infer)
    del inference["num_threads"]  # decides about time only: the same labels have the same manifest
    content: dict[str, Any] = {
        "britekit_version": britekit.__version__,
        "backend": ensemble.backend,
        "device": ensemble.device,
        "classes": [{"name": info.name, "code": info.code} for info in classes],
        "audio": dataclasses.asdict(cfg.audio),
        "sed_fps": ensemble.sed_fps,
        "inference": inference,
    }
    if calibration.source is None:
        inference["calibration"] = None  # named in the settings, but not applied in a test run
    else:
        content["calibration"] = {
            "coefficient": calibration.coefficient,
            "intercept": calibration.intercept,
            "classes": {
                name: {"coefficient": a, "intercept": b} for name, (a, b) in calibration.per_class.items()
            },
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
        }
    return _MANIFEST_HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def score_facts(ensemble: Ensemble) -> dict[str, str]:
    """Return what scores.npz says about where its numbers come from."""
    members = [{"name": member.path.name, "sha256": member.sha256} for member in ensemble.members]
    return {
        "backend": ensemble.backend,
        "members": json.dumps(members),
        "britekit_version": britekit.__version__,
    }


def check_rtype(rtype: str) -> str:
    """Return the output type a person asked for; an unambiguous beginning will do."""
    found = [known for known in RTYPES if rtype and known.startswith(rtype.lower())]
    if len(found) != 1:
        raise InputError(f'--rtype "{rtype}" is not one of {", ".join(RTYPES)}')
    return found[0]
