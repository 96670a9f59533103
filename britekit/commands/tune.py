"""Search the settings with which the test comes out best.

The tuning file lists settings with the values they may take. Each trial trains with one combination (--runs
times, with the same seeds in every trial), scores the test recordings and measures. Every combination is
tried, or --trials of them at random, or, with --sampler tpe, each where those before were good. Audio
settings need --extract: spectrograms are then made anew for each trial, in a temporary database. With
--notrain only settings of inference are searched, on the checkpoints of misc.ckpt_folder.

The search is kept in the output directory: the same command goes on after an interruption, and several at the
same time share the work. Leaves metrics-summary.csv, metrics-details.csv, best.yaml (for -c) and pictures;
--apply writes the best settings into params.yaml, so that dvc repro uses them.

    britekit tune -p yaml/samples/tune_dropout.yaml -o results/tune -a data/test/annotations.csv --runs 3
"""

from dataclasses import dataclass
from typing import Any, Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `tune`."""

    cfg_path: Optional[str] = config_option()
    param_path: Optional[str] = option(
        "-p", "--param", metavar="FILE", help="tuning file (default: only repeat the base settings)"
    )
    output_path: str = option("-o", "--output", required=True, metavar="DIR", help="where the search is kept")
    annotations_path: str = option(
        "-a", "--annotations", required=True, metavar="FILE", help="annotations per segment"
    )
    metric: str = option(
        "-m",
        "--metric",
        default="macro_roc",
        choices=("macro_pr", "micro_pr", "macro_roc", "micro_roc"),
        help="what is to be highest: macro_pr, micro_pr, macro_roc or micro_roc (default: macro_roc)",
    )
    recordings_path: Optional[str] = option(
        "-r", "--recordings", metavar="DIR", help="recordings (default: where the annotations are)"
    )
    train_log_path: str = option("--log", default="logs", metavar="DIR", help="training logs (default: logs)")
    num_trials: int = option(
        "--trials",
        "--tries",
        default=0,
        metavar="INT",
        help="tries in all; 0 = every combination (default: 0)",
    )
    num_runs: int = option("--runs", default=1, metavar="INT", help="runs averaged per trial (default: 1)")
    extract: bool = option("--extract", default=False, help="make spectrograms anew for each trial")
    skip_training: bool = option("--notrain", default=False, help="only inference, with existing checkpoints")
    classes_path: Optional[str] = option(
        "--classes", metavar="FILE", help="classes to extract (with --extract; default: all)"
    )
    sampler: Optional[str] = option(
        "--sampler",
        choices=("grid", "random", "tpe"),
        help="grid, random or tpe (default: random with --trials, else grid)",
    )
    prune: bool = option(
        "--prune",
        default=False,
        help="give up trials worse than half of the others: after each run, and with train.val_portion after "
        "each epoch",
    )
    apply: bool = option("--apply", default=False, help="write the best settings into params.yaml")


def tune(
    cfg_path: Optional[str] = None,
    param_path: Optional[str] = None,
    output_path: str = "",
    annotations_path: str = "",
    metric: str = "macro_roc",
    recordings_path: Optional[str] = None,
    train_log_path: str = "logs",
    num_trials: int = 0,
    num_runs: int = 1,
    extract: bool = False,
    skip_training: bool = False,
    classes_path: Optional[str] = None,
    sampler: Any = None,
    prune: bool = False,
    apply: bool = False,
) -> tuple[float, dict[str, Any]]:
    """Search settings; return the best score and the settings by name."""
    from pathlib import Path

    from britekit.errors import InputError

    if not output_path or not annotations_path:
        raise InputError("an output directory (-o) and annotations (-a) are both needed")
    from britekit.tuning.tuner import Tuner

    tuner = Tuner(
        recordings_path,
        output_path,
        annotations_path,
        train_log_path,
        metric,
        param_path,
        num_trials,
        num_runs,
        extract,
        skip_training,
        classes_path,
        sampler,
        prune,
        cfg_path,
    )
    score, settings = tuner.run()
    for name, value in settings.items():
        print(f"best {name} = {value}")
    print(f"best_score = {score:.4f}")
    print(f"best_settings = {Path(output_path) / 'best.yaml'}")
    if apply:
        from britekit.tuning.apply import apply_settings

        apply_settings(tuner.best_changes())
        print("applied = params.yaml")
    return score, settings
