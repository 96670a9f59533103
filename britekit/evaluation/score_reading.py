"""Read the output of ``analyze`` as scores: from ``scores.npz`` if present, else from label files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import LABEL_FIELDS, ClassInfo, map_name, read_classes
from britekit.annotations.label_table import LabelTable, read_label_table
from britekit.annotations.scores import ScoreTable
from britekit.config.yaml_reader import load_plain
from britekit.errors import InputError, suggest
from britekit.evaluation.analyzed_scores import AnalyzedScores, Windows, scored_to_end, source_of_table, stated_step
from britekit.evaluation.applied_scaling import applied_scaling, scaling_of_classes
from britekit.evaluation.grid import ROUNDED_S, Grid, find_step, place_labels
from britekit.inference.score_steps import scored_with
from britekit.inference.screening import left_out_as_0

TABLE_NAME = "scores.npz"
_LABELS_AT_ONCE = 1 << 20

log = logging.getLogger(__name__)


def find_label_dir(labels: str | Path, recordings_dir: str | Path) -> Path:
    """Return the label directory of that name in the recordings directory, else the path as given."""
    inside = Path(recordings_dir) / labels
    return inside if inside.is_dir() else Path(labels)


def read_scores(
    directory: str | Path,
    label_field: str,
    map_codes: Mapping[str, str] | None,
    classes_path: str | Path | None = None,
    screened: bool = False,
) -> AnalyzedScores:
    """Read the scores of a directory.

    Raises `InputError` if there are no scores, they are screened, or labels differ in length.

    Parameters
    ----------
    directory
        Output of ``analyze``, or label files of another program.
    classes_path
        Class list, if it exists; maps names in labels of other programs to classes.
    screened
        Accept scores of a screen (``infer.test_screened``); what it left out counts as 0.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError(f"label directory {folder} does not exist; expected the output directory of analyze")
    manifest = read_manifest(folder)
    inference = manifest.get("inference") or {}
    chosen = inference.get("label_field", label_field)
    if chosen not in LABEL_FIELDS:
        raise InputError(f'{folder / "manifest.yaml"}: inference.label_field is "{chosen}"; run analyze again')
    if (manifest.get("audio") or {}).get("channels") == "each":
        raise InputError(
            f"{folder}: audio.channels was each, but a test scores recordings; run analyze with best, mean or a number"
        )
    if manifest.get("screen") and not screened:
        raise InputError(
            f"{folder} was made with a screen, so most windows have no score; run analyze without infer.screen, or set "
            "infer.test_screened to test the detections that are left"
        )
    if (folder / TABLE_NAME).is_file():
        path = folder / TABLE_NAME
        table = ScoreTable.load(path)
        if manifest.get("screen"):
            table.scores = left_out_as_0(table.scores, str(path))
        source = source_of_table(table, path, chosen, map_codes)
        return replace(source, scored_with=scored_with(inference) if manifest else None)
    if manifest.get("screen"):
        log.warning("%s was made with a screen: what was not computed counts as 0", folder)
    return _from_labels(folder, manifest, chosen, map_codes, classes_path)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read ``manifest.yaml`` of an output directory; empty if there is none."""
    path = folder / "manifest.yaml"
    try:
        manifest = load_plain(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); run analyze again") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("inference") or {}, dict):
        raise InputError(f"{path} is not a manifest as analyze writes it; run analyze again")
    return manifest


def _from_labels(
    folder: Path,
    manifest: dict[str, Any],
    label_field: str,
    map_codes: Mapping[str, str] | None,
    classes_path: str | Path | None,
) -> AnalyzedScores:
    found = read_label_table(folder)
    if not len(found):
        raise InputError(f"{folder} contains no label, so their length is unknown; run analyze with --min-score 0")
    inference = manifest.get("inference") or {}
    if manifest.get("sed_fps") and inference.get("segment_len") is None and inference.get("min_score"):
        # They may all have one length by chance, such as that of the recordings.
        raise InputError(
            f"{folder}: labels have variable length, so they cannot be scored per segment; run analyze with --seg "
            "to get labels of one length, or with --min-score 0"
        )
    length_s = _common_length(folder, found, _stated_length(manifest))
    classes, labels = trained_classes(folder, manifest, label_field, map_codes, found, classes_path)
    column = {label: k for k, label in enumerate(labels)}
    column_of = np.array([column[map_name(name, map_codes)] for name in found.names], dtype=np.int32)

    def place_of(recordings: list[str]) -> NDArray[np.int32]:
        order = {name: k for k, name in enumerate(recordings)}
        return np.array([order.get(name, -1) for name in found.recordings], dtype=np.int32)

    def lay(grid: Grid, recordings: list[str]) -> NDArray[np.float32]:
        scores = np.zeros((grid.rows, len(labels)), dtype=np.float32)
        where = place_of(recordings)
        # In parts: the indexes of all labels would take more memory than the labels.
        for first in range(0, len(found), _LABELS_AT_ONCE):
            part = slice(first, first + _LABELS_AT_ONCE)
            place = where[found.recording_M[part]]
            used = place >= 0
            place_labels(
                grid, place[used], column_of[found.name_M[part][used]], found.start_M[part][used],
                found.score_M[part][used], scores,
            )  # fmt: skip
        return scores

    def windows(recordings: list[str]) -> Windows:
        place = place_of(recordings)[found.recording_M]
        used = np.flatnonzero(place >= 0)
        # Starts of labels of one window differ by rounding at most.
        key = np.stack([place[used], np.rint(found.start_M[used] * 1000)], axis=1).astype(np.int64)
        distinct, first, which = np.unique(key, axis=0, return_index=True, return_inverse=True)
        scores = np.full((len(distinct), len(labels)), -1, dtype=np.float32)
        cells = which.reshape(-1) * len(labels) + column_of[found.name_M[used]]
        np.maximum.at(scores.reshape(-1), cells, found.score_M[used])
        return Windows(distinct[:, 0], found.start_M[used][first].astype(np.float64), scores)

    scaling, calibrated = applied_scaling(manifest)
    segments = manifest.get("segments")
    segments = segments if isinstance(segments, dict) else {}
    return AnalyzedScores(
        path=folder,
        unrounded=False,
        classes=classes,
        labels=labels,
        seconds={},
        length_s=length_s,
        step_s=stated_step(folder, segments) or find_step(found.recording_M, found.start_M, length_s),
        scored=scored_to_end(segments),
        lay=lay,
        windows=windows,
        recordings=set(found.recordings),
        scaling=scaling,
        calibrated=calibrated,
        own_scaling=scaling_of_classes(manifest, classes),
        backend=manifest.get("backend"),
        members=model_members(manifest),
        scored_with=scored_with(inference) if manifest else None,
    )


def _stated_length(manifest: dict[str, Any]) -> float | None:
    """Return the length in seconds of a label that ends before its recording; None without a manifest of analyze."""
    fps, inference = manifest.get("sed_fps"), manifest.get("inference") or {}
    duration = (manifest.get("audio") or {}).get("spec_duration")
    if not isinstance(duration, (int, float)):
        return None
    if not fps:
        return float(duration)
    return float(max(1, round(fps * (inference.get("segment_len") or duration))) / fps)


def _common_length(folder: Path, labels: LabelTable, stated_s: float | None) -> float:
    """Return the common length of labels; those that end with their recording may be shorter."""
    parts = [slice(k, k + _LABELS_AT_ONCE) for k in range(0, len(labels), _LABELS_AT_ONCE)]
    start_M, end_M = labels.start_M, labels.end_M
    last_R = np.zeros(len(labels.recordings))
    np.maximum.at(last_R, labels.recording_M, end_M)
    usual = stated_s
    if usual is None:
        # The median of the first part: if lengths differ at all, any reference length reveals it.
        some = parts[0]
        ends_earlier = end_M[some] < last_R[labels.recording_M[some]] - ROUNDED_S
        lengths = end_M[some].astype(np.float64) - start_M[some]
        usual = float(np.median(lengths[ends_earlier] if ends_earlier.any() else lengths))
    for part in parts:
        lengths = end_M[part].astype(np.float64) - start_M[part]
        # Both ends of both labels may be rounded.
        ends_earlier = end_M[part] < last_R[labels.recording_M[part]] - ROUNDED_S
        other = np.flatnonzero((np.abs(lengths - usual) > 2 * ROUNDED_S) & ((lengths > usual) | ends_earlier))
        if len(other):
            place = part.start + int(other[0])
            name = labels.recordings[labels.recording_M[place]]
            raise InputError(
                f'{folder}: labels differ in length (recording "{name}": {lengths[other[0]]:g} s at '
                f"{start_M[place]:g} s, others {usual:g} s); run analyze with --seg to get labels of one length"
            )
    if usual <= 0:
        raise InputError(f"{folder}: labels have no duration; expected an end after each start")
    return usual


def _as_listed(labels: list[str], classes_path: str | Path | None) -> list[ClassInfo]:
    """Return the listed class of each label; a label without one becomes a class of that name."""
    known: dict[str, ClassInfo] = {}
    if classes_path is not None and Path(classes_path).is_file():
        for info in read_classes(classes_path):
            for text in (info.name, info.code, info.alt_name, info.alt_code):
                known.setdefault(text, info)
    classes: list[ClassInfo] = []
    for label in labels:
        info = known.get(label, ClassInfo(label))
        # Two labels of one class stay separate: which one is meant is unknown.
        classes.append(ClassInfo(label) if info in classes else info)
    return classes


def trained_classes(
    folder: Path,
    manifest: dict[str, Any],
    label_field: str,
    map_codes: Mapping[str, str] | None,
    found: LabelTable,
    classes_path: str | Path | None = None,
) -> tuple[list[ClassInfo], list[str]]:
    """Return the classes of the manifest, else the classes of the labels according to the class list."""
    used = sorted({map_name(name, map_codes) for name in found.names})
    listed = manifest.get("classes")
    if not listed or label_field not in ("names", "codes"):  # a manifest contains no alternates
        if not listed:
            log.warning(
                "%s has no manifest, so the %d classes in its labels count as the trained classes", folder, len(used)
            )
        return _as_listed(used, classes_path), used
    try:
        classes = [ClassInfo(str(item["name"]), str(item.get("code") or "")) for item in listed]
    except (TypeError, KeyError, AttributeError):
        raise InputError(
            f"{folder / 'manifest.yaml'}: classes is not a list of name and code; run analyze again"
        ) from None
    labels = [map_name(info.label(label_field), map_codes) for info in classes]
    for place, name in enumerate(map_name(name, map_codes) for name in found.names):
        if name not in labels:
            first = int(np.argmax(found.name_M == place))
            where = f'recording "{found.recordings[found.recording_M[first]]}" at {found.start_M[first]:g} s'
            raise InputError(
                f'{folder}: label "{name}" ({where}) is not a class in manifest.yaml, so labels and manifest '
                f"come from different runs{suggest(name, labels)}"
            )
    return classes, labels


def model_members(manifest: dict[str, Any]) -> list[Any]:
    """Return the members listed in a manifest, in the form of a score table."""
    models = (manifest[key] for key in manifest if str(key).startswith("model "))
    return [{"name": m.get("file"), "sha256": m.get("sha256")} for m in models if isinstance(m, dict)]
