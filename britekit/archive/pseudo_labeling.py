"""A teacher scores unlabeled recordings; chosen windows with its scores become training data of a student.

Noisy student: Xie et al., CVPR 2020. The scores are kept in a journal beside the output, so that a killed run is
continued; the spectrograms of the chosen windows are computed at the end.

Legend: N windows of a recording, M chosen windows, C classes, T frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import logging
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

import britekit
from britekit.annotations.classes import ClassInfo
from britekit.archive.teacher_scores import TeacherScores, facts_of, score_into
from britekit.audio.files import shown
from britekit.audio.windows import Windows
from britekit.collect.admission import admit
from britekit.collect.test_recordings import TestRecordings
from britekit.config import BaseConfig
from britekit.database.spectrograms import encode
from britekit.datasets.pseudo_labels import PseudoLabels, write_pseudo_labels
from britekit.errors import BriteKitError, InputError, ModelError
from britekit.files import unwritable, writing
from britekit.inference.cluster import RayScorer
from britekit.inference.ensemble import Ensemble
from britekit.inference.journal import Journal
from britekit.inference.members import columns_of
from britekit.inference.recording_names import identity_of, recording_name
from britekit.inference.scoring import raise_failed
from britekit.progress import Meter

log = logging.getLogger(__name__)

# A window without any call is drawn a tenth as often as one in which the teacher is sure: silence must be learned too.
NO_CALL = 0.1


@dataclass(frozen=True)
class Recipe:
    """How scores become labels."""

    power: float = 1.5
    """Exponent on the scores; above 1 it lowers uncertain ones most."""
    most: int = 20_000
    """Most windows that are kept."""
    seed: int = 1
    """Seed of the choice of windows."""


@dataclass
class Outcome:
    """Result of a run."""

    recordings: int = 0
    continued: int = 0
    """How many of them an interrupted run had scored."""
    windows: int = 0
    kept: int = 0
    no_call: int = 0
    """Kept windows in which no class is more likely than not."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Reason to recordings that may not be used."""
    failed: dict[Path, str] = field(default_factory=dict)
    damaged: int = 0
    per_class: dict[str, float] = field(default_factory=dict)
    """Sum of the soft labels of each class in kept windows."""

    def raise_for_failures(self) -> None:
        """Raise `InferenceError` if recordings failed; the others are written."""
        raise_failed(self.failed, self.recordings + len(self.failed))


def check_teacher(ensemble: Ensemble, classes: Sequence[ClassInfo], where: str) -> np.ndarray:
    """Return the teacher's column of each class.

    Raises `ModelError` if the teacher knows other classes; names them.
    """
    advice = "a teacher must know the classes of its student: train it again, or name another with --ckpt"
    return columns_of(ensemble.members[0].path, ensemble.classes, where, classes, advice)


def pseudo_label(
    cfg: BaseConfig,
    ensemble: Ensemble,
    classes: Sequence[ClassInfo],
    classes_from: str,
    paths: Sequence[Path],
    root: Path,
    test: TestRecordings,
    output: Path,
    recipe: Recipe = Recipe(),
    cluster: RayScorer | None = None,
) -> Outcome:
    """Score unlabeled recordings and write the chosen windows.

    A recording that fails is named and left out. A run that was killed is repeated with equal settings: what it had
    scored counts, and the file gets the bytes of an uninterrupted run.

    Parameters
    ----------
    cfg
        Settings of the student; its spectrograms are stored.
    classes, classes_from
        Classes of the student in their order, and where they come from.
    root
        Folder that names of recordings are relative to.
    cluster
        Scores the recordings; None for this machine. Spectrograms are computed here.

    Raises
    ------
    InputError
        No recording or window is left, or the output cannot be written.
    ModelError
        The teacher has other classes, or windows of another length.
    """
    outcome = Outcome()
    order = check_teacher(ensemble, classes, classes_from)
    if ensemble.duration != cfg.audio.spec_duration:
        raise ModelError(
            f"{ensemble.members[0].path} scores windows of {ensemble.duration:g} s, but audio.spec_duration is "
            f"{cfg.audio.spec_duration:g} s; a teacher must hear what its student hears"
        )
    admission = admit(paths, test)
    outcome.refused, outcome.failed = admission.refused, admission.failed
    named = {recording_name(path, root): path for path in admission.allowed}
    if not named:
        raise InputError(
            f"{root} holds no unlabeled recording that may be used: {admission.why_none(len(paths))}; add recordings "
            "of other places to data/sources.csv with the split unlabelled"
        )
    work = output.with_name(f".{output.name}.partial")
    with writing(work):
        work.mkdir(parents=True, exist_ok=True)
    journal = Journal(work, facts_of(ensemble))
    try:
        scored = TeacherScores(journal, len(ensemble.classes), order, ensemble.sed_fps, ensemble.duration, recipe.power)
        if journal.set_aside:
            log.warning("the interrupted run is not continued, since %s", journal.set_aside)
        identities = journal.identities()
        todo = {}
        for name, path in named.items():
            if identities.get(name) == identity_of(path):
                outcome.continued += 1
            else:
                todo[name] = path
        score_into(ensemble, todo, journal, outcome.failed, cluster)
        named = {name: path for name, path in named.items() if path not in outcome.failed}
        outcome.recordings = len(named)
        outcome.damaged = sum(entry.damaged_at is not None for name in named if (entry := journal.entry(name)))
        chosen = _choose(scored, sorted(named), recipe, ensemble.multi_label, outcome)
        if not chosen:
            raise InputError(f"{root} gives no window: {admission.why_none(len(paths))}")
        _write(cfg, ensemble, classes, scored, chosen, named, output, work / "values.bin", recipe, outcome)
    except BaseException:
        journal.close(remove=False)
        with contextlib.suppress(OSError):
            (work / "values.bin").unlink(missing_ok=True)
            work.rmdir()  # only if no recording was finished
        raise
    journal.close(remove=True)
    shutil.rmtree(work, ignore_errors=True)
    return outcome


def sharpen(scores: np.ndarray, power: float, exclusive: bool = False, axis: int = 1) -> np.ndarray:
    """Return scores raised to a power; if classes exclude each other, with the sum 1 again."""
    sharp = np.power(scores.astype(np.float64), power)
    if exclusive:
        sharp /= np.maximum(sharp.sum(axis=axis, keepdims=True), 1e-12)
    return np.clip(sharp, 0.0, 1.0).astype(np.float32)


def confidence(labels_NC: np.ndarray) -> np.ndarray:
    """Return the relative chance of each window (N,): its highest label, and a share for windows without a call."""
    return (NO_CALL + (1.0 - NO_CALL) * labels_NC.max(axis=1)).astype(np.float32)


def _choose(
    scored: TeacherScores, names: Sequence[str], recipe: Recipe, multi_label: bool, outcome: Outcome
) -> dict[str, list[int]]:
    """Return the windows to keep of each recording: all, or a random choice in which confidence counts.

    The choice is that of Efraimidis and Spirakis (2006): the windows with the highest u ** (1 / weight).
    """
    best: list[tuple[float, int, int]] = []
    for number, name in enumerate(names):
        labels = sharpen(scored.scores(name), recipe.power, not multi_label)
        outcome.windows += len(labels)
        draws = np.random.default_rng((recipe.seed, number)).random(len(labels))
        keys = np.log(np.maximum(draws, 1e-300)) / confidence(labels) if len(labels) else draws
        for row, key in enumerate(keys.tolist()):
            if len(best) < recipe.most:
                heapq.heappush(best, (key, number, row))
            else:
                heapq.heappushpop(best, (key, number, row))
    chosen: dict[str, list[int]] = defaultdict(list)
    for _, number, row in sorted(best, key=lambda item: item[1:]):
        chosen[names[number]].append(row)
    outcome.kept = len(best)
    return dict(chosen)


def _write(
    cfg: BaseConfig,
    ensemble: Ensemble,
    classes: Sequence[ClassInfo],
    scored: TeacherScores,
    chosen: dict[str, list[int]],
    named: Mapping[str, Path],
    output: Path,
    values: Path,
    recipe: Recipe,
    outcome: Outcome,
) -> None:
    """Compute the spectrograms of the chosen windows, and write all."""
    exclusive = not ensemble.multi_label
    sizes: list[int] = []
    recordings: list[str] = []
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    meter = Meter(sum(map(len, chosen.values())), "spectrograms")
    try:
        with open(values, "wb") as file:
            for name, rows in chosen.items():
                try:
                    found = _spectrograms(cfg, named[name], scored.starts(name)[rows], file)
                except (BriteKitError, OSError) as error:
                    outcome.failed[named[name]] = f"was scored, but cannot be read any more ({error})"
                    log.warning("%s is left out: it %s", shown(named[name]), outcome.failed[named[name]])
                    continue
                sizes += found
                meter.advance(len(rows))
                labels = sharpen(scored.scores(name)[rows], recipe.power, exclusive)
                columns["row"].append(np.full(len(rows), len(recordings), np.int32))
                columns["starts"].append(scored.starts(name)[rows])
                columns["confidence"].append(confidence(labels))
                columns["labels"].append(labels)
                frames = scored.frames(name)
                if frames is not None:
                    columns["frames"].append(sharpen(frames[rows], recipe.power, exclusive).astype(np.float16))
                recordings.append(name)
        meter.finish()
    except OSError as error:
        raise unwritable(values, error) from error
    finally:
        meter.close()
    if not recordings:
        path, reason = next(iter(outcome.failed.items()))
        raise InputError(f"no recording is left ({shown(path)} {reason}); restore them and repeat the command")
    together = {key: np.concatenate(parts) for key, parts in columns.items()}
    labels = together["labels"]
    outcome.recordings -= len(chosen) - len(recordings)
    outcome.kept, outcome.no_call = len(labels), int((labels.max(axis=1) < 0.5).sum())
    outcome.per_class = {info.name: float(x) for info, x in zip(classes, labels.sum(axis=0), strict=True)}
    meta = {
        "audio": dataclasses.asdict(cfg.audio),
        "teachers": [{"name": member.path.name, "sha256": member.sha256} for member in ensemble.members],
        "licences": sorted({member.licence for member in ensemble.members if member.licence}),
        "power": recipe.power,
        "sed_fps": ensemble.sed_fps,
        "britekit_version": britekit.__version__,
    }
    write_pseudo_labels(
        output,
        PseudoLabels(
            list(classes), recordings, together["row"], together["starts"], together["confidence"], labels,
            together.get("frames"), meta,
        ),
        sizes,
        values,
    )  # fmt: skip


def _spectrograms(cfg: BaseConfig, path: Path, starts: np.ndarray, file: BinaryIO) -> list[int]:
    """Append the encoded spectrograms of windows to a file; return their sizes."""
    encoded = []
    for start, image in Windows(path, cfg.audio, starts.tolist(), read_on=False):
        if image is None:
            raise InputError(f"it has changed: there is no window at {start:g} s")
        encoded.append(encode(image))
    if len(encoded) < len(starts):
        raise InputError(f"it has changed: it has {len(encoded)} of {len(starts)} windows")
    for value in encoded:
        file.write(value)
    return [len(value) for value in encoded]
