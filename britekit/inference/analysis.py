"""Analyze a batch of recordings from end to end: score, calibrate, label, write."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from britekit import formats
from britekit.annotations.classes import ClassInfo
from britekit.annotations.deployments import DEFAULT_PATH, read_deployments
from britekit.annotations.recording_info import RecordingInfos
from britekit.annotations.scores import ScoreTable
from britekit.audio.files import same_named, shown
from britekit.audio.windows import Windows
from britekit.config import BaseConfig
from britekit.errors import InputError, counted
from britekit.inference.drift_log import configured_drift_log
from britekit.inference.engine import Engine
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.manifest import manifest_content, manifest_text, run_facts, score_facts
from britekit.inference.occurrence_notes import OccurrenceTotals
from britekit.inference.output import OutputFolder
from britekit.inference.platt import Calibration
from britekit.inference.recording_names import identity_of, recording_name, refuse_each, tracks_of
from britekit.inference.score_steps import steps_taken
from britekit.inference.score_tables import score_all
from britekit.inference.scoring import LocalScorer, Scored, Scorer, raise_failed, reason_of, run_metered
from britekit.inference.screening import open_screen
from britekit.occurrence.prior import Where

log = logging.getLogger(__name__)

MakeScorer = Callable[[Ensemble, Labeler], contextlib.AbstractContextManager[Scorer[Scored]]]


@dataclass
class AnalysisSummary:
    """Result of a batch."""

    done: int = 0
    """Number of completed recordings."""
    continued: int = 0
    """How many of them an interrupted run had completed."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Reason of failure by recording."""
    damaged: int = 0
    """How many of the completed ones were damaged, and scored up to the damage."""
    labels: int = 0
    """Number of labels written."""
    audio_seconds: float = 0.0
    """Total length of the recordings scored in this run."""
    elapsed_s: float = 0.0
    calibrated: str = "not calibrated"
    """Description of the calibration of labels."""
    occurrence: OccurrenceTotals | None = None
    """Changes by occurrence data; None without such data."""
    screened: str | None = None
    """How many windows of this run were not computed; None without a screen."""

    def raise_for_failures(self) -> None:
        """Raise `InferenceError` if recordings failed; the others are written."""
        raise_failed(self.failed, self.done + len(self.failed))


def analyze_recordings(
    cfg: BaseConfig,
    ensemble: Ensemble,
    paths: Sequence[Path],
    output_dir: str | os.PathLike[str],
    *,
    root: Path | None = None,
    rtype: str = "both",
    start_seconds: float = 0.0,
    calibration: Calibration | None = None,
    thresholds: bool = False,
    resume: bool | None = None,
    make_scorer: MakeScorer | None = None,
    on_done: Callable[[Path, int], None] | None = None,
    where: Where | None = None,
) -> AnalysisSummary:
    """Score recordings and write labels, tables and the manifest.

    A recording that fails is listed in ``failed.csv`` and skipped; a damaged one is scored up to the damage and listed
    in ``damaged.csv``. Tables cover the completed recordings. A run that was interrupted, or had failures, is continued
    by one with the same models and settings: finished recordings are not scored again, and the output is equal byte for
    byte.

    Parameters
    ----------
    root
        Directory that names of recordings are relative to; None names them by their stem.
    rtype
        Names of formats separated by commas, see `formats.chosen`.
    calibration
        Calibration for the scores of labels; None takes the configured one.
    thresholds
        Use the thresholds per class of the calibration.
    resume
        True: raise if an interrupted run had other models or settings; False: always start over; None: continue if
        possible.
    make_scorer
        Creates the scorer; None uses the engine in this process.
    on_done
        Called with each scored recording and its number of labels.
    where
        Place and week of all recordings, for ``infer.occurrence``; None: each recording's own.

    Raises
    ------
    InputError
        Two recordings in different folders have the same name without ``root``, the output cannot be written, or the
        calibration or ignore file is unusable.
    InferenceError
        See ``resume``.
    """
    began = time.monotonic()
    labeler = make_labeler(cfg, ensemble, calibration, thresholds)
    labeler.prior = labeler.load_prior(where, _root_of(paths, root))
    kinds = [form.name for form in formats.chosen(rtype)]
    content = manifest_content(cfg, ensemble, labeler, start_seconds)
    facts = run_facts(content, labeler, kinds, "stem" if root is None else "path")
    summary = AnalysisSummary(calibrated=labeler.calibration.describe())
    failed: dict[str, list[tuple[str, str]]] = {}
    unclear = same_named(paths)
    for path, reason in unclear.items():
        _note_failure(recording_name(path, root or path.parent), path, reason, failed, summary)
    paths = [path for path in dict.fromkeys(paths) if path not in unclear]
    names = {recording_name(path, root) if root is not None else path.stem: path for path in paths}
    if len(names) < len(paths):
        raise InputError("two recordings have the same name; name them relative to a common directory (root)")
    each = ensemble.audio.channels == "each"
    names = tracks_of(names) if each else names
    if each and make_scorer is not None:
        refuse_each(ensemble.audio, "--engine ray")
    keep_scores = cfg.infer.min_score == 0
    infos = _infos(cfg, paths, root) if is_timed(kinds) else None
    info_of = infos.of if infos else None
    if make_scorer is not None and ensemble.screen is not None:
        raise InputError("infer.screen works on this machine alone; leave it out, or leave out --engine ray")
    with OutputFolder(
        Path(output_dir), kinds, keep_scores, labeler, facts, resume, info_of, root, each=each
    ) as output:  # fmt: skip
        for name, path in names.items():
            if reason := output.why_not_written(name):
                _note_failure(name, path, reason, failed, summary)
        todo = _left_to_do(output, {k: v for k, v in names.items() if k not in failed}, summary)
        identities: dict[str, tuple[int, int]] = {}

        def on_begin(name: str) -> None:
            identities[name] = identity_of(todo[name])

        if make_scorer is None:
            scoring: contextlib.AbstractContextManager[Scorer[Scored]] = LocalScorer(
                ensemble, labeler, start_seconds, output.folder, len(todo), configured_drift_log(cfg, labeler)
            )
        else:
            if cfg.service.drift_folder is not None:
                log.warning("service.drift_folder has no effect on a cluster: no statistics are kept")
            scoring = make_scorer(ensemble, labeler)
        with scoring as scorer:
            for name, path, scored in run_metered(scorer, todo, on_begin):
                if isinstance(scored, BaseException):
                    _note_failure(name, path, reason_of(scored, path), failed, summary)
                    continue
                labels = output.add(name, path, identities.pop(name), scored)
                summary.done += 1
                summary.labels += labels
                summary.damaged += scored.damaged_at is not None
                summary.audio_seconds += scored.seconds
                if on_done is not None:
                    on_done(path, labels)
        complete = {name: path for name, path in names.items() if name not in failed}
        if labeler.prior is not None:
            summary.occurrence = OccurrenceTotals.of(note for _, note in output.notes(complete))
        in_f32 = None
        if each:
            summary.done = len(set(complete.values()) - summary.failed.keys())
        elif keep_scores and cfg.infer.precision != "f32" and complete:
            in_f32 = _in_f32(ensemble, complete, _root_of(paths, root), start_seconds)
        output.finish(complete, failed, manifest_text(content), score_facts(ensemble, labeler), in_f32)
    if ensemble.screen is not None:
        summary.screened = ensemble.screen.describe()
        if sentence := ensemble.screen.warning():
            log.warning("%s: %s", cfg.infer.screen, sentence)
    for sentence in infos.unused() if infos else ():
        log.warning("%s", sentence)
    summary.elapsed_s = time.monotonic() - began
    return summary


def _in_f32(ensemble: Ensemble, named: dict[str, Path], root: Path, start_seconds: float) -> ScoreTable:
    """Return the scores of recordings in full precision, so that a test can compare."""
    log.info("scoring %s again in f32, for the comparison in rpt-test", counted(len(named), "recording"))
    cfg = copy.deepcopy(ensemble.cfg)
    cfg.infer.precision, cfg.infer.backend = "f32", ensemble.backend  # type: ignore[assignment]
    members = [member.path for member in ensemble.members]
    table = score_all(load_ensemble(cfg, members), list(named.values()), root, start_seconds)
    names = {recording_name(path, root): name for name, path in named.items()}
    table.recordings = [names[name] for name in table.recordings]
    return table


def make_labeler(cfg: BaseConfig, ensemble: Ensemble, calibration: Calibration | None, thresholds: bool) -> Labeler:
    """Return what turns scores into labels, and give the ensemble its screen; warn where a setting has no effect."""
    labeler = Labeler(cfg, ensemble, calibration, thresholds)
    ensemble.screen = open_screen(cfg, ensemble, labeler)
    if cfg.infer.segment_len is not None and ensemble.sed_fps is None:
        log.warning(
            "a segment_len (--seg) of %g s has no effect: not all models have an SED head, so labels are as "
            "long as the windows, %g s",
            cfg.infer.segment_len,
            cfg.audio.spec_duration,
        )
    return labeler


def is_timed(kinds: Sequence[str]) -> bool:
    """Return whether a format shows when and where recordings were made."""
    return any("time_start" in formats.get(kind).columns for kind in kinds)


def _infos(cfg: BaseConfig, paths: Sequence[Path], root: Path | None) -> RecordingInfos:
    """Return the source of times and places of recordings: deployments, metadata and names."""
    return RecordingInfos(_root_of(paths, root), read_deployments(DEFAULT_PATH), cfg.misc.time_regex)


def _root_of(paths: Sequence[Path], root: Path | None) -> Path:
    """Return the folder that holds all recordings."""
    if root is not None:
        return root
    return Path(os.path.commonpath([path.absolute().parent for path in paths])) if paths else Path()


def _note_failure(
    name: str, path: Path, reason: str, failed: dict[str, list[tuple[str, str]]], summary: AnalysisSummary
) -> None:
    failed.setdefault(name, []).append((shown(path), reason))
    if summary.failed.get(path) == reason:
        return  # another channel of it
    summary.failed[path] = reason
    log.warning("%s is left out: %s", shown(path), reason)


def _left_to_do(output: OutputFolder, names: dict[str, Path], summary: AnalysisSummary) -> dict[str, Path]:
    """Return the recordings that the interrupted run did not finish, and count the others."""
    if output.journal.set_aside:
        log.warning(
            "the interrupted run in %s cannot be continued, since %s: all recordings are scored again",
            output.folder,
            output.journal.set_aside,
        )
    todo, continued = {}, set()
    for name, path in names.items():
        entry = output.found_done(name, path)
        if entry is None:
            todo[name] = path
        else:
            summary.done += 1
            continued.add(path)
            summary.labels += entry.labels
            summary.damaged += entry.damaged_at is not None
    summary.continued = len(continued)
    if summary.continued:
        log.info("%d recordings were finished by the interrupted run; %d are left", summary.continued, len(todo))
    return todo


def score_first_window(
    cfg: BaseConfig,
    members: Sequence[Path],
    path: Path,
    start_seconds: float = 0.0,
    raw: bool = False,
    where: Where | None = None,
) -> tuple[float, list[tuple[ClassInfo, float]], str]:
    """Return start, classes and scores of the first window of a recording, and whether they are calibrated.

    Scores are in descending order. Ignored classes are left out, as in labels; ``raw`` scores are not calibrated.

    Raises `InputError` if the recording cannot be read, or too little follows the start.
    """
    ensemble = load_ensemble(cfg, members)
    labeler = Labeler(cfg, ensemble, ensemble.calibration(raw))
    labeler.prior = labeler.load_prior(where)
    if steps_taken(cfg.infer):  # the first window depends on others
        with Engine(ensemble, threads=1) as engine:
            found = engine.score(path, start_seconds)
        starts, rows = found.starts[:1].tolist(), found.scores[:1]
    else:
        windows = Windows(path, ensemble.audio, ensemble.grid(start_seconds))
        batch = next(windows.batches(1, sound=ensemble.takes_sound), None)
        starts = [] if batch is None else batch.starts
        rows = np.empty(0) if batch is None else ensemble.score(batch.spectrograms)[0]
    if not starts:
        raise InputError(f"{shown(path)} is too short for a spectrogram from {start_seconds:g} s on")
    scores = labeler.scores(rows, labeler.prior_of(path))[0]
    ranked = sorted(zip(labeler.classes, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    return starts[0], ranked, labeler.calibration.describe()
