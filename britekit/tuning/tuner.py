"""Run a search: check settings, run trials, write results after each."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import logging
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna

from britekit.annotations.classes import ClassInfo, read_classes
from britekit.config import BaseConfig, to_dict
from britekit.config.yaml_reader import read_yaml
from britekit.errors import BriteKitError, ConfigError, InputError, TrainingError
from britekit.evaluation.epochs import annotated_recordings
from britekit.evaluation.exclusions import root_of
from britekit.files import sha256_of
from britekit.leftovers import temporary_folder
from britekit.metrics.ranking import COMBINED
from britekit.options import is_on_ray
from britekit.tracking.run import StageRun, stage_run
from britekit.tuning.cluster import ClusterError, MakeEvaluator, RayTrials
from britekit.tuning.extracted import ExtractedPickles
from britekit.tuning.results import copy_inputs, write_results
from britekit.tuning.search import Sampler, Study
from britekit.tuning.space import Parameter, read_space, space_of, with_values
from britekit.tuning.stored_scores import StoredScores
from britekit.tuning.trial import FIGURES, Evaluator, TestSet, TrainAndTest

log = logging.getLogger(__name__)

_SEED = 100
_PICTURES_S = 60.0
# Optuna requires increasing steps: epochs of the second run of a trial count from here.
_RUN_STRIDE = 100_000
# Name of the held-out figure of a run that corresponds to each metric.
_HELD_OUT = {
    "macro_roc": "val_roc_macro", "micro_roc": "val_roc", "macro_pr": "val_pr_macro", "micro_pr": "val_pr",
    "micro_roc_trained": "val_roc", "micro_pr_trained": "val_pr",
}  # fmt: skip


class Tuner:
    """Searches settings; the class behind `tune`.

    Parameters
    ----------
    recording_dir
        Recordings of the test; None for the folder of the annotations.
    output_dir
        Folder for tables, pictures and the study; an existing study is continued.
    metric
        Metric to maximize: ``macro_pr``, ``micro_pr``, ``macro_roc``, ``micro_roc`` over the annotated classes;
        ``micro_pr_trained``, ``micro_roc_trained`` over all trained classes; or the mean of macro and trained micro,
        ``combo_pr`` or ``combo_roc``.
    param_space
        The tuning file, or its entries as maps; None for the base settings alone.
    num_trials
        Number of trials; 0 for all combinations.
    num_runs
        Number of runs averaged per trial, with the seeds ``train.seed`` (else 100), + 1, + 2 …, in every trial.
    extract
        Extract spectrograms with the audio settings of each trial.
    skip_training
        Run only inference, with the checkpoints of ``misc.ckpt_folder``.
    classes_path
        Classes to extract.
    sampler
        ``grid``, ``random`` or ``tpe``; None for ``random`` with a number of trials, else ``grid``.
    prune
        Stop trials worse than the median so far: between runs and, if ``train.val_portion`` holds data out, between
        epochs.
    cfg_path
        File of base settings, which is copied to the results and included in the best settings.
    cfg
        Base settings; None for the effective ones with ``cfg_path``.
    engine
        ``local``, or ``ray``: on the nodes of a Ray cluster, several trials at once.
    address
        Address of the Ray cluster; None for a running one, else a local one.

    Raises
    ------
    ConfigError
        The tuning file has problems; all are listed.
    InputError
        Options exclude each other, or annotations or recordings cannot be used.
    """

    def __init__(
        self,
        recording_dir: str | Path | None,
        output_dir: str | Path,
        annotation_path: str | Path,
        train_log_dir: str | Path = "logs",
        metric: str = "macro_roc",
        param_space: str | Path | Sequence[dict[str, Any]] | None = None,
        num_trials: int = 0,
        num_runs: int = 1,
        extract: bool = False,
        skip_training: bool = False,
        classes_path: str | Path | None = None,
        sampler: Sampler | None = None,
        prune: bool = False,
        cfg_path: str | Path | None = None,
        cfg: BaseConfig | None = None,
        engine: str = "local",
        address: str | None = None,
    ) -> None:
        self._on_ray, self._address = is_on_ray(engine, address), address
        _check_options(metric, num_trials, num_runs, extract, skip_training, classes_path, sampler)
        self.output, self.metric, self.runs = Path(output_dir), metric, num_runs
        self._cfg_path = cfg_path
        self._param_path = param_space if isinstance(param_space, (str, Path)) else None
        members: list[Path] = []
        if skip_training:
            from britekit.inference.model_files import resolve_for_models

            cfg, members = resolve_for_models(cfg_path, cfg=cfg)
        elif cfg is None:
            from britekit.config import resolve

            cfg = resolve(cfg_path)
        self.base = copy.deepcopy(cfg)
        self.parameters: list[Parameter] = []
        if self._param_path is not None:
            self.parameters = read_space(self._param_path, self.base, extract, skip_training)
        elif param_space is not None:
            entries: Any = param_space
            self.parameters = space_of(list(entries), self.base, extract, skip_training)
        if skip_training and num_runs > 1:
            log.warning("nothing is random without training, so each trial is run once instead of %d times", num_runs)
            self.runs = 1
        beside = Path(annotation_path)
        root = root_of(annotation_path, recording_dir)
        self._test = TestSet(annotation_path, annotated_recordings(annotation_path, recording_dir), root)
        classes = None if classes_path is None else read_classes(classes_path)
        self._evaluator: MakeEvaluator = functools.partial(
            _train_and_test, self._test, Path(train_log_dir), extract, classes
        )
        if skip_training:
            tuned = {p.target[1] for p in self.parameters}
            self._evaluator = functools.partial(_score_only, self._test, members, self.output / "scores", tuned)
        self._sampler: Sampler = sampler or ("random" if num_trials else "grid")
        self._trials, self._prune = num_trials, prune
        settings = to_dict(self.base)
        for section, name in (("infer", "num_threads"), ("train", "num_workers")):
            settings[section].pop(name)
        self._facts = {
            "metric": metric,
            "list of figures": list(FIGURES),
            "number of runs": self.runs,
            "set of base settings": hashlib.sha256(repr(settings).encode()).hexdigest(),
            "tuning file": [[p.name, p.kind, p.keys] for p in self.parameters],
            "sampler": self._sampler,
            "choice of --extract and --notrain": [extract, skip_training],
            "set of annotations": sha256_of(beside) if beside.is_file() else str(beside),
        }
        self.study: Study | None = None

    def run(self) -> tuple[float, dict[str, Any]]:
        """Run trials until every one is taken; return the best score and its settings by name.

        Raises `TrainingError` if every trial failed.
        """
        study = Study(self.output, self.parameters, self._sampler, self._trials, self._facts, self._prune)
        self.study = study
        copy_inputs(self.output, self._cfg_path, self._param_path)
        base: dict[str, Any] = {}
        if self._cfg_path is not None:
            base = read_yaml(self._cfg_path)[0].plain() or {}
        self._drawn = time.monotonic()
        if self._on_ray:
            with RayTrials(self._evaluator, self.base.misc.force_cpu, self._address) as trials:
                trials.share(lambda: self._take_trials(study, trials, base))
        else:
            with contextlib.ExitStack() as stack:
                self._take_trials(study, self._evaluator(stack), base)
        self._write(study, base)
        best = study.best()
        if best is None:
            errors = [t.user_attrs["error"] for t in study.done() if "error" in t.user_attrs]
            raise TrainingError(
                f"no trial is complete: all {len(errors)} failed, the last one since {errors[-1]}"
                if errors
                else f"no trial is complete; other processes may still work on {self.output}"
            )
        values = study.values_of(best)
        assert best.value is not None
        return best.value, {p.name: v for p, v in zip(self.parameters, values, strict=True)}

    def best_changes(self) -> list[tuple[tuple[str, ...], Any]]:
        """Return the best value of each searched setting, for `apply_settings`."""
        best = self.study.best() if self.study is not None else None
        if self.study is None or best is None:
            raise InputError("there are no best settings before the search has run")
        values = self.study.values_of(best)
        return [(p.target, v) for p, v in zip(self.parameters, values, strict=True)]

    def _write(self, study: Study, base: dict[str, Any], pictures: bool = True) -> None:
        write_results(self.output, study, self.metric, base, pictures)

    def _take_trials(self, study: Study, evaluator: Evaluator, base: dict[str, Any]) -> None:
        """Run trials, one after the other, until every one is taken."""
        while True:
            with study.next() as trial:
                if trial is None:
                    return
                self._work(study, evaluator, trial)
            # Pictures take seconds and are written during pauses and at the end; tables after every trial.
            due = time.monotonic() - self._drawn > _PICTURES_S
            self._write(study, base, due)
            self._drawn = time.monotonic() if due else self._drawn

    def _work(self, study: Study, evaluator: Evaluator, trial: optuna.Trial) -> None:
        number = trial.number + 1
        try:
            values = study.suggest(trial)
            said = ", ".join(f"{p.name}={v}" for p, v in zip(self.parameters, values, strict=True))
            print(f"trial {number}: {said or 'base settings'}")
            cfg = with_values(self.base, self.parameters, values)
            with stage_run("tune", cfg, None, self._group(), f"trial-{number}", continues=True) as run:
                score = self._score(evaluator, trial, cfg, run)
        except optuna.TrialPruned:
            print(f"trial {number}: pruned")
            study.tell_pruned(trial)
            return
        except ClusterError:
            raise  # not the fault of this trial
        except (BriteKitError, RuntimeError, ArithmeticError, ValueError, MemoryError, OSError) as error:
            # The next combination may work; the table shows the reason for this failure.
            text = " ".join(str(error).split()) or type(error).__name__
            log.warning("trial %d failed: %s", number, text)
            log.debug("trial %d", number, exc_info=error)
            study.tell_failed(trial, text)
            return
        study.tell(trial, score)
        print(f"trial {number}: mean {self.metric} {score:.4f}")
        best = study.best()
        if best is not None:
            print(f"best so far = {best.value:.4f} (trial {best.number + 1})")

    def _score(self, evaluator: Evaluator, trial: optuna.Trial, cfg: BaseConfig, run: StageRun) -> float:
        runs: list[dict[str, float]] = list(trial.user_attrs.get("runs", []))
        first = self.base.train.seed if self.base.train.seed is not None else _SEED
        for place in range(len(runs), self.runs):
            began = time.monotonic()

            def on_epoch(row: dict[str, Any], place: int = place) -> None:
                run.log({f"run-{place + 1}/{name}": v for name, v in row.items() if v is not None})
                values = [row.get(_HELD_OUT[name]) for name in COMBINED.get(self.metric, (self.metric,))]
                known = [value for value in values if value is not None]
                if len(known) == len(values):
                    self._report(trial, statistics.fmean(known), place * _RUN_STRIDE + int(row["epoch"]))

            found = evaluator.run(copy.deepcopy(cfg), first + place, on_epoch)
            value = self._value(found)
            if math.isnan(value):
                raise InputError(f"{self.metric} is not defined on this test: no class is both present and absent")
            runs.append(found)
            trial.set_user_attr("runs", runs)
            seconds = time.monotonic() - began
            what = f"trial {trial.number + 1}, run {place + 1}"
            print(f"{what}: {self.metric} {value:.4f} ({seconds:.1f} s)")
            run.log({f"test/{name}": value for name, value in found.items()})
            if cfg.train.val_portion == 0 and place + 1 < self.runs:
                self._report(trial, statistics.fmean(map(self._value, runs)), place)
        means: dict[str, float] = {name: statistics.fmean(each[name] for each in runs) for name in FIGURES}
        run.summary({**means, "trial": trial.number + 1})
        return self._value(means)

    def _value(self, found: dict[str, float]) -> float:
        """Return the value to maximize from the figures."""
        return statistics.fmean(found[name] for name in COMBINED.get(self.metric, (self.metric,)))

    def _report(self, trial: optuna.Trial, value: float, step: int) -> None:
        trial.report(value, step)
        if self._prune and trial.should_prune():
            raise optuna.TrialPruned

    def _group(self) -> str:
        """Return the W&B group shared by all trials of the study, across processes."""
        return f"tune-{self.output.resolve().name}"


def _score_only(
    test: TestSet, members: list[Path], folder: Path, tuned: set[str], _: contextlib.ExitStack
) -> Evaluator:
    return StoredScores(test, members, folder, tuned)


def _train_and_test(
    test: TestSet, log_root: Path, extract: bool, classes: Sequence[ClassInfo] | None, stack: contextlib.ExitStack
) -> Evaluator:
    pickles = ExtractedPickles(stack.enter_context(temporary_folder("tune")), classes) if extract else None
    return TrainAndTest(test, log_root, pickles)


def _check_options(
    metric: str,
    num_trials: int,
    num_runs: int,
    extract: bool,
    skip_training: bool,
    classes_path: Any,
    sampler: str | None,
) -> None:
    problems = []
    if metric not in (known := (*FIGURES, *COMBINED)):
        problems.append(f'--metric "{metric}" is unknown; expected {", ".join(known)}')
    if num_trials < 0:
        problems.append(f"--trials {num_trials} is below 0; 0 means all combinations")
    if num_runs < 1:
        problems.append(f"--runs {num_runs} is below 1")
    if extract and skip_training:
        problems.append("--extract and --notrain exclude each other: new spectrograms are for training")
    if classes_path is not None and not extract:
        problems.append("--classes names what --extract makes; add --extract or leave it out")
    if sampler not in (None, "grid", "random", "tpe"):
        problems.append(f'--sampler "{sampler}" is unknown; expected grid, random or tpe')
    if sampler == "grid" and num_trials:
        problems.append("--sampler grid tries every combination; leave out --trials")
    if sampler in ("random", "tpe") and not num_trials:
        problems.append(f"--sampler {sampler} needs --trials, the number of tries")
    if problems:
        raise ConfigError(*problems)
