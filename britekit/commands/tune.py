"""Search for the settings with the best test result.

The tuning file lists settings and their possible values. Each trial trains with one combination (--runs
times, with the same seeds in every trial) and scores the test recordings. All combinations are tried, or
--trials random ones, or, with --sampler tpe, combinations near the good ones. Audio settings need --extract:
spectrograms are then computed for each trial in a temporary database. With --notrain, only inference settings
are searched, using the checkpoints in misc.ckpt_folder.

The search is stored in the output directory: run the same command again to continue it, or several times at
once to share the work, or with --engine ray on a cluster. Writes metrics-summary.csv,
metrics-details.csv, best.yaml (for -c) and pictures; --apply writes the best settings to params.yaml,
so that dvc repro uses them.

    britekit tune -p yaml/samples/tune_dropout.yaml -o results/tune -a data/test/annotations.csv --runs 3
"""

from typing import Annotated, Any, Optional

from britekit.options import Address, Annotations, ConfigPath, Engine, Recordings, opt


def tune(
    cfg_path: ConfigPath = None,
    param_path: Annotated[
        Optional[str], opt("-p", "--param", metavar="FILE", help="tuning file (default: only repeat the base settings)")
    ] = None,
    output_path: Annotated[
        str, opt("-o", "--output", required=True, metavar="DIR", help="directory of the search")
    ] = "",
    annotations_path: Annotations = "",
    metric: Annotated[
        str,
        opt(
            "-m",
            "--metric",
            choices=(
                *("macro_pr", "micro_pr", "macro_roc", "micro_roc"),
                *("micro_pr_trained", "micro_roc_trained", "combo_pr", "combo_roc"),
            ),
            help="metric to maximize: macro_pr, micro_pr, macro_roc, micro_roc (over annotated classes), "
            "micro_pr_trained, micro_roc_trained (over all trained classes), or the mean of macro and trained micro, "
            "combo_pr or combo_roc (default: macro_roc)",
        ),
    ] = "macro_roc",
    recordings_path: Recordings = None,
    train_log_path: Annotated[str, opt("--log", metavar="DIR", help="training logs (default: logs)")] = "logs",
    num_trials: Annotated[
        int, opt("--trials", "--tries", metavar="INT", help="number of trials; 0 = all combinations (default: 0)")
    ] = 0,
    num_runs: Annotated[int, opt("--runs", metavar="INT", help="runs averaged per trial (default: 1)")] = 1,
    extract: Annotated[bool, opt("--extract", help="compute spectrograms for each trial")] = False,
    skip_training: Annotated[bool, opt("--notrain", help="only inference, with existing checkpoints")] = False,
    classes_path: Annotated[
        Optional[str], opt("--classes", metavar="FILE", help="classes to extract (with --extract; default: all)")
    ] = None,
    sampler: Annotated[
        Any,
        opt(
            "--sampler",
            choices=("grid", "random", "tpe"),
            help="grid, random or tpe (default: random with --trials, else grid)",
            type=str,
        ),
    ] = None,
    prune: Annotated[
        bool,
        opt(
            "--prune", help="stop trials worse than the median after each run, with train.val_portion after each epoch"
        ),
    ] = False,
    apply: Annotated[bool, opt("--apply", help="write the best settings into params.yaml")] = False,
    engine: Engine = "local",
    address: Address = None,
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
        engine=engine,
        address=address,
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
