"""The study: trials in a journal on disk, which several processes can share and resume.

The trials of grid and random search are queued when the study is created; each process takes the next one. TPE proposes
one trial at a time from the results so far. A killed process leaves a trial marked as running: the next process notices
that the owner is dead and puts it back in the queue, with its completed runs. A failed trial is retried when the
command runs again. A lock file is held while trials are queued, taken or put back, and while results are written, so
that no process takes a half-taken trial or overwrites newer results.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from britekit.errors import InputError
from britekit.leftovers import create, is_held
from britekit.tuning.space import Parameter, number_of_combinations

Sampler = Literal["grid", "random", "tpe"]

JOURNAL = "study.journal"
_NAME = "britekit-tune"
_FACTS, _QUEUED, _SEED = "facts", "queued", 0

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Study:
    """A search on disk.

    Raises `InputError` if the directory holds a different study, or the journal cannot be used.

    Parameters
    ----------
    folder
        Output directory of `tune`; an existing study is continued.
    sampler
        ``grid``: every combination; ``random``: some of them, all different; ``tpe``: each trial near earlier good ones
        (Bergstra et al., NeurIPS 2011).
    trials
        Total number, including earlier calls; 0 means all combinations.
    facts
        Facts that must be equal to continue a study, such as metric and base settings, as plain values.
    prune
        Whether to prune trials that are worse than half of the others so far.
    """

    def __init__(
        self,
        folder: Path,
        parameters: Sequence[Parameter],
        sampler: Sampler,
        trials: int,
        facts: dict[str, Any],
        prune: bool,
    ) -> None:
        self.parameters, self.sampler = list(parameters), sampler
        every = number_of_combinations(parameters)
        self.wanted = every if sampler == "grid" or trials == 0 else min(trials, every)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / JOURNAL
        try:
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name=_NAME,
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(
                    seed=_SEED if sampler != "tpe" else _SEED + os.getpid(), constant_liar=True
                ),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=4) if prune else optuna.pruners.NopPruner(),
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} cannot be used as a study ({error}); name another directory with -o") from None
        self._worker = create(folder / "worker")  # held until this process ends
        weakref.finalize(self, self._worker.discard)
        self.lock = FileLock(folder / "study.lock")  # Optuna locks study.journal.lock
        with self.lock:
            self._agree(folder, facts)
            if sampler != "tpe":
                self._write_down()
            else:
                for lost in self._dead():
                    self._put_back(lost.params, lost.user_attrs)
            self._try_again()

    def _agree(self, folder: Path, facts: dict[str, Any]) -> None:
        text = json.dumps(facts, sort_keys=True)
        known = self._study.user_attrs.get(_FACTS)
        if known is None:
            self._study.set_user_attr(_FACTS, text)
            return
        before = json.loads(known)
        others = [key for key in sorted({*before, *facts}) if before.get(key) != json.loads(text).get(key)]
        if others:
            raise InputError(
                f"{folder} holds a search with another {', another '.join(others)}; name another directory "
                "with -o, or repeat what was searched there"
            )

    def _write_down(self) -> None:
        """Queue the combinations that are not in the study yet."""
        for lost in self._dead():
            self._put_back(self._fixed(lost), lost.user_attrs)
        known = {self._key(t) for t in self.all() if t.state is not TrialState.FAIL or "error" in t.user_attrs}
        for keys in itertools.islice(self._combinations(), self.wanted):
            fixed = {p.name: key for p, key in zip(self.parameters, keys, strict=True)}
            if _text(fixed) not in known:
                known.add(_text(fixed))
                self._put_back(fixed, {})

    def _try_again(self) -> None:
        """Put failed trials back unless another process is running, since the cause may have been fixed."""
        trials = self.all()
        if not any(t.state is TrialState.RUNNING for t in trials):
            for failed in self._failed(trials):
                self._put_back(self._fixed(failed), {})

    def _failed(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Return the failed trials that were not retried."""
        last = {self._key(t): t.number for t in trials}
        return [
            t
            for t in trials
            if t.state is TrialState.FAIL and "error" in t.user_attrs and last[self._key(t)] == t.number
        ]

    def _put_back(self, fixed: dict[str, Any], attributes: dict[str, Any]) -> None:
        """Queue a trial with its completed runs."""
        kept = {key: value for key, value in attributes.items() if key == "runs"}
        self._study.enqueue_trial(fixed, user_attrs={**kept, _QUEUED: _text(fixed)})

    def _combinations(self) -> Iterator[tuple[Any, ...]]:
        choices = [p.keys for p in self.parameters]
        number = number_of_combinations(self.parameters)
        if self.wanted >= number:
            yield from itertools.product(*choices)
            return
        rng = random.Random(_SEED)
        # A longer list begins with the same trials, so a search can be extended.
        seen: set[tuple[Any, ...]] = set()
        while len(seen) < self.wanted:
            drawn = tuple(rng.choice(each) for each in choices)
            if drawn not in seen:
                seen.add(drawn)
                yield drawn

    def _fixed(self, trial: FrozenTrial | Trial) -> dict[str, Any]:
        return dict(json.loads(trial.user_attrs.get(_QUEUED, "null")) or trial.params)

    def _key(self, trial: FrozenTrial) -> str:
        return _text(self._fixed(trial))

    def _dead(self) -> list[FrozenTrial]:
        """Mark running trials of dead processes on this machine as failed, and return them."""
        lost = []
        for trial in self.all():
            if trial.state is not TrialState.RUNNING:
                continue
            worker = trial.user_attrs.get("worker")  # missing if killed while taking the trial, under the lock
            if worker is not None and is_held(self._worker.path.with_name(worker)):
                continue
            self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            lost.append(trial)
        return lost

    def all(self) -> list[FrozenTrial]:
        """Return every trial of the study, of all processes."""
        return self._study.get_trials(deepcopy=False)

    def done(self) -> list[FrozenTrial]:
        """Return the finished trials by number, without those of killed processes.

        Only the last try of a retried trial counts.
        """
        trials = self.all()
        over = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        return sorted([*over, *self._failed(trials)], key=lambda t: t.number)

    def best(self) -> FrozenTrial | None:
        """Return the trial with the highest score (the first if equal), or None if none is complete."""
        complete = [t for t in self.all() if t.state is TrialState.COMPLETE]
        return max(complete, key=lambda t: (t.value, -t.number)) if complete else None

    @contextmanager
    def next(self) -> Iterator[Trial | None]:
        """Yield the next trial, or None if all are taken; put it back if an interrupt or error leaves the block."""
        trial = self._take()
        try:
            yield trial
        except BaseException:
            if trial is not None:
                with self.lock:
                    self._study.tell(trial, state=TrialState.FAIL)
                    self._put_back(self._fixed(trial), trial.user_attrs)
            raise

    def _take(self) -> Trial | None:
        with self.lock:
            trials = self.all()
            if self.sampler == "tpe":
                going = [t for t in trials if t.state is TrialState.RUNNING]
                if len(self.done()) + len(going) >= self.wanted:
                    return None
            elif not any(t.state is TrialState.WAITING for t in trials):
                return None
            trial = self._study.ask()
            trial.set_user_attr("worker", self._worker.path.name)
            return trial

    def suggest(self, trial: Trial) -> list[Any]:
        """Return the value of each parameter in a trial."""
        return [p.value_of(_suggest(trial, p)) for p in self.parameters]

    def values_of(self, trial: FrozenTrial) -> list[Any]:
        """Return the values of a past trial; None if it failed before it had any."""
        fixed = self._fixed(trial)
        return [p.value_of(fixed[p.name]) if p.name in fixed else None for p in self.parameters]

    def tell(self, trial: Trial, score: float) -> None:
        """Record the score of a trial."""
        self._study.tell(trial, score)

    def tell_pruned(self, trial: Trial) -> None:
        """Record that a trial was pruned."""
        self._study.tell(trial, state=TrialState.PRUNED)

    def tell_failed(self, trial: Trial, error: str) -> None:
        """Record that a trial failed."""
        trial.set_user_attr("error", error)
        self._study.tell(trial, state=TrialState.FAIL)

    def importances(self) -> dict[str, float]:
        """Return the importance of each parameter; empty if it cannot be computed."""
        varied = [p for p in self.parameters if len(p.values) > 1]
        complete = [t for t in self.all() if t.state is TrialState.COMPLETE]
        if not varied or len(complete) < 4 or len({t.value for t in complete}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
        return dict(
            optuna.importance.get_param_importances(self._study, evaluator=evaluator, params=[p.name for p in varied])
        )


def _suggest(trial: Trial, parameter: Parameter) -> Any:
    values, name = parameter.values, parameter.name
    if parameter.kind == "categorical" or len(values) == 1:
        return trial.suggest_categorical(name, parameter.keys)
    if parameter.kind == "int":
        return trial.suggest_int(name, values[0], values[-1], step=values[1] - values[0])
    found = trial.suggest_float(name, values[0], values[-1], step=round(values[1] - values[0], 10))
    return round(found, 10)


def _text(fixed: dict[str, Any]) -> str:
    return json.dumps(fixed, sort_keys=True)
