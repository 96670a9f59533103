"""Find the group of checkpoints that works best together.

Each checkpoint scores the annotated recordings once; candidates average these unrounded scores. The group is
chosen on one half of the recordings and also scored on the other half, which gives an unbiased estimate. All
combinations are compared if there are at most --num-tries, otherwise that many random ones; --greedy starts
with the best checkpoint and repeatedly adds the one that helps most, possibly the same one again. With many
combinations, most are ruled out by bounds and shown with ~; the best is always computed exactly.

    britekit ensemble --ckpt logs/version_3/checkpoints -a data/test/annotations.csv -e 3 -n 2000
"""

from typing import Annotated, Optional

from britekit.options import Annotations, ConfigPath, Recordings, opt


def ensemble(
    cfg_path: ConfigPath = None,
    ckpt_path: Annotated[
        str, opt("--ckpt-path", "--ckpt", required=True, metavar="DIR", help="directory of checkpoints")
    ] = "",
    ensemble_size: Annotated[int, opt("-e", "--ensemble-size", metavar="INT", help="members (default: 3)")] = 3,
    num_tries: Annotated[
        int, opt("-n", "--num-tries", metavar="INT", help="maximum number of combinations to compare (default: 100)")
    ] = 100,
    metric: Annotated[
        str,
        opt(
            "-m",
            "--metric",
            choices=("macro_pr", "micro_pr", "macro_roc", "micro_roc"),
            help="metric to maximize over annotated classes: macro_pr, micro_pr, macro_roc, micro_roc (default)",
        ),
    ] = "micro_roc",
    annotations_path: Annotations = "",
    recordings_path: Recordings = None,
    save_dir: Annotated[
        Optional[str],
        opt(
            "--save",
            metavar="DIR",
            help="copy the chosen checkpoints and their exports to this directory (misc.ckpt_folder to package them)",
        ),
    ] = None,
    greedy: Annotated[bool, opt("--greedy", help="choose greedily, with replacement")] = False,
    scores_dir: Annotated[
        Optional[str],
        opt("--scores", metavar="DIR", help="store each checkpoint's scores in this directory, and reuse stored ones"),
    ] = None,
    no_holdout: Annotated[
        bool, opt("--no-holdout", help="choose on all recordings; the score is then too optimistic")
    ] = False,
    seed: Annotated[
        int, opt("--seed", metavar="INT", help="seed of the halves and random combinations (default: 0)")
    ] = 0,
) -> tuple[float, list[str]]:
    """Find the best ensemble; return its score on the held-out half and the names of its checkpoints."""
    from britekit.errors import InputError
    from britekit.tuning.ensembles import find_ensemble
    from britekit.tuning.winners import save_winners

    if not ckpt_path or not annotations_path:
        raise InputError("a directory of checkpoints (--ckpt) and annotations (-a) are both needed")
    found = find_ensemble(
        cfg_path,
        ckpt_path,
        annotations_path,
        size=ensemble_size,
        tries=num_tries,
        metric=metric,
        recordings_dir=recordings_path,
        greedy=greedy,
        scores_dir=scores_dir,
        hold_out=not no_holdout,
        seed=seed,
        on_member=lambda path, is_there: print(f"{path.name}: {'scores were there' if is_there else 'scored'}"),
    )
    for each in found.choice.rated:
        mark = "" if each.is_exact else "~"
        print(f"{', '.join(found.names_of(each.combination))}: {mark}{each.score:.4f}")
    print(f"combinations = {len(found.choice.rated)} ({found.choice.how})")
    where = "held_out_score" if found.held_out else "score"
    print(f"best_single_{where} = {found.best_single:.4f} ({found.best_single_name})")
    print(f"all_members_{where} = {found.everyone:.4f}")
    print(f"best_score_where_chosen = {found.choice.best.score:.4f}")
    print(f"best_score = {found.score:.4f}{'' if found.held_out else ' (nothing held out: flattered)'}")
    print(f"best_names = {', '.join(found.names)}")
    if save_dir is not None:
        for path in save_winners(found.paths, save_dir):
            print(f"saved = {path}")
    return found.score, found.names
