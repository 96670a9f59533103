"""Read the output of ``analyze`` as scores: from ``scores.npz`` if present, else from label files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import LABEL_FIELDS, ClassInfo, map_name, read_classes
from britekit.annotations.label_table import LabelTable, read_label_table
from britekit.annotations.scores import ScoreTable
from britekit.audio.files import composed
from britekit.config.yaml_reader import load_plain
from britekit.errors import InputError, suggest
from britekit.evaluation.applied_scaling import applied_scaling, scaling_of_classes
from britekit.evaluation.grid import ROUNDED_S, Grid, Scored, find_step, place_labels, place_windows

TABLE_NAME = "scores.npz"
_LABELS_AT_ONCE = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Windows:
    """Scores of windows, ordered by recording and start. W: windows, C: classes."""

    recording_W: NDArray[np.int64]
    start_W: NDArray[np.float64]
    """(W,) seconds."""
    scores_WC: NDArray[np.float32]
    """(W, C); -1 where there is no label."""


def _gone(*_: object) -> Any:
    raise RuntimeError("the scores were released after they were laid on a grid; read them again")


@dataclass(frozen=True)
class AnalyzedScores:
    """Scores of recordings, before they are laid on a grid."""

    path: Path
    """File or directory that holds them."""
    unrounded: bool
    """True for ``scores.npz``: every cell has its exact score."""
    classes: list[ClassInfo]
    """The trained classes."""
    labels: list[str]
    """How annotations call each class."""
    seconds: dict[str, float]
    """Seconds of each recording whose length is known."""
    length_s: float
    step_s: float
    scored: Scored
    """What was scored up to the end of each recording, if known."""
    lay: Callable[[Grid, list[str]], NDArray[np.float32]]
    """Return the scores of the given recordings on a grid: (N, C) float32."""
    windows: Callable[[list[str]], Windows]
    """Return the scores of the given recordings by window."""
    recordings: set[str]
    """Recordings with scores."""
    scaling: tuple[float, float] | None = None
    """Platt coefficient and intercept already applied to the scores, unless they are 1 and 0."""
    calibrated: bool = False
    """Whether a calibration file was applied to the scores."""
    own_scaling: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Platt values applied to single classes, by column."""
    backend: str | None = None
    members: list[Any] = field(default_factory=list)

    @property
    def sha256s(self) -> frozenset[str]:
        """SHA-256 of the checkpoints that produced the scores, if known."""
        return frozenset(str(x["sha256"]) for x in self.members if isinstance(x, dict) and x.get("sha256"))

    def facts_alone(self) -> AnalyzedScores:
        """Return a copy without the scores, which may take more memory than the rest of a test."""
        return replace(self, lay=_gone, windows=_gone)


def find_label_dir(labels: str | Path, recordings_dir: str | Path) -> Path:
    """Return the label directory of that name in the recordings directory, else the path as given."""
    inside = Path(recordings_dir) / labels
    return inside if inside.is_dir() else Path(labels)


def read_scores(
    directory: str | Path, label_field: str, map_codes: Mapping[str, str] | None, classes_path: str | Path | None = None
) -> AnalyzedScores:
    """Read the scores of a directory.

    Parameters
    ----------
    directory
        Output of ``analyze``, or label files of another program.
    label_field
        Which name of a class annotations use, unless the manifest in the directory says otherwise.
    map_codes
        Old label to new, for the output of old checkpoints.
    classes_path
        Class list, if it exists; maps names in labels of other programs to classes.

    Raises
    ------
    InputError
        There are no scores, or labels differ in length.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError(f"label directory {folder} does not exist; expected the output directory of analyze")
    manifest = read_manifest(folder)
    inference = manifest.get("inference") or {}
    chosen = inference.get("label_field", label_field)
    if chosen not in LABEL_FIELDS:
        raise InputError(f'{folder / "manifest.yaml"}: inference.label_field is "{chosen}"; run analyze again')
    if (folder / TABLE_NAME).is_file():
        path = folder / TABLE_NAME
        return source_of_table(ScoreTable.load(path), path, chosen, map_codes)
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


def source_of_table(
    table: ScoreTable, path: Path, label_field: str, map_codes: Mapping[str, str] | None
) -> AnalyzedScores:
    """Return the scores of a table; ``path`` is used in messages."""
    if not len(table.starts):
        raise InputError(f"{path} holds no scores: no recording was long enough for a window")
    names = [composed(name) for name in table.recordings]
    labels = [map_name(info.label(label_field), map_codes) for info in table.classes]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f'{path}: two classes are called "{label}"; use another infer.label_field or map_codes')

    def chosen(recordings: list[str]) -> Windows:
        order = {name: k for k, name in enumerate(recordings)}
        place = np.array([order.get(name, -1) for name in names], dtype=np.int64)
        where = place[table.row_recording]
        used = where >= 0
        if used.all():
            return Windows(where, table.starts, table.scores)
        return Windows(where[used], table.starts[used], table.scores[used])

    def lay(grid: Grid, recordings: list[str]) -> NDArray[np.float32]:
        found = chosen(recordings)
        return place_windows(grid, found.recording_W, found.start_W, found.scores_WC)

    def windows(recordings: list[str]) -> Windows:
        found = chosen(recordings)
        order = np.lexsort((found.start_W, found.recording_W))
        if np.array_equal(order, np.arange(len(order))):
            return found
        return Windows(found.recording_W[order], found.start_W[order], found.scores_WC[order])

    return AnalyzedScores(
        path=path,
        unrounded=True,
        classes=table.classes,
        labels=labels,
        seconds=dict(zip(names, table.seconds.tolist(), strict=True)),
        length_s=table.duration,
        step_s=_stated_step(path, table.meta) or find_step(table.row_recording, table.starts, table.duration),
        scored=_scored(table.meta),
        lay=lay,
        windows=windows,
        recordings=set(names),
        backend=table.meta.get("backend"),
        members=_members(table.meta.get("members")),
    )


def _from_labels(
    folder: Path,
    manifest: dict[str, Any],
    label_field: str,
    map_codes: Mapping[str, str] | None,
    classes_path: str | Path | None,
) -> AnalyzedScores:
    found = read_label_table(folder)
    if not len(found):
        raise InputError(f"{folder} holds no label, so the length of labels is unknown; run analyze with --min-score 0")
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
        step_s=_stated_step(folder, segments) or find_step(found.recording_M, found.start_M, length_s),
        scored=_scored(segments),
        lay=lay,
        windows=windows,
        recordings=set(found.recordings),
        scaling=scaling,
        calibrated=calibrated,
        own_scaling=scaling_of_classes(manifest, classes),
        backend=manifest.get("backend"),
        members=_models(manifest),
    )


def _stated_step(where: Path, facts: Mapping[str, Any]) -> float | None:
    """Return the step between labels that analyze recorded, if any."""
    if facts.get("step_s") is None:
        return None
    try:
        step_s = float(facts["step_s"])
    except (TypeError, ValueError):
        step_s = 0.0
    if not 0.0 < step_s < np.inf:
        raise InputError(f'{where}: step_s is "{facts["step_s"]}"; expected seconds above 0; run analyze again')
    return step_s


def _scored(facts: Mapping[str, Any]) -> Scored:
    known: dict[Any, Scored] = {"windows": "windows", "frames": "frames"}
    return known.get(facts.get("scored"))


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
    if not listed or label_field not in ("names", "codes"):  # a manifest holds no alternates
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


def _models(manifest: dict[str, Any]) -> list[Any]:
    """Return the members listed in a manifest, in the form of a score table."""
    models = (manifest[key] for key in manifest if str(key).startswith("model "))
    return [{"name": m.get("file"), "sha256": m.get("sha256")} for m in models if isinstance(m, dict)]


def _members(text: str | None) -> list[Any]:
    """Parse the list of members that a score table stores as JSON."""
    try:
        members = json.loads(text) if text else []
    except ValueError:
        return [text]
    if isinstance(members, dict):
        return [{"name": name, "sha256": value} for name, value in members.items()]
    return members if isinstance(members, list) else [members]
