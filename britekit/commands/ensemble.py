"""Find the group of checkpoints that works best together.

Each checkpoint scores the annotated recordings once; candidates are averages of these unrounded scores. The
choice is made on one half of the recordings, and the winner is scored on the other half as well, which had no
say: that is the score to expect. All combinations are rated if they are no more than --num-tries, else that
many distinct ones at random; --greedy begins with the best checkpoint and adds the one that helps most, again
and again, one that is in already included. Where many are rated, bounds rule most of them out, shown with ~;
the best is always computed exactly.

    britekit ensemble --ckpt logs/version_3/checkpoints -a data/test/annotations.csv -e 3 -n 2000
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, Recordings, opt


def ensemble(
    cfg_path: ConfigPath = None,
    ensemble_size: Annotated[int, opt("-e", "--ensemble-size", metavar="INT", help="members (default: 3)")] = 3,
    num_tries: Annotated[
        int, opt("-n", "--num-tries", metavar="INT", help="most combinations to rate (default: 100)")
    ] = 100,
    metric: Annotated[
        str,
        opt(
            "-m",
            "--metric",
            choices=("macro_pr", "micro_pr", "macro_roc", "micro_roc"),
            help="what is best: macro_pr, micro_pr, macro_roc or micro_roc (default: micro_roc)",
        ),
    ] = "micro_roc",
    annotations_path: Annotated[
        str, opt("-a", "--annotations", required=True, metavar="FILE", help="annotations per segment")
    ] = "",
    recordings_path: Recordings = None,
    save_dir: Annotated[
        Optional[str],
        opt(
            "--save",
            metavar="DIR",
            help="copy the winners and their exports there (misc.ckpt_folder for package)",
        ),
    ] = None,
    greedy: Annotated[bool, opt("--greedy", help="choose greedily, with replacement")] = False,
    ckpt_path: Annotated[
        str, opt("--ckpt-path", "--ckpt", required=True, metavar="DIR", help="directory of checkpoints")
    ] = "",
    scores_dir: Annotated[
        Optional[str],
        opt(
            "--scores",
            metavar="DIR",
            help="keep the scores of each checkpoint there, and use those that are there",
        ),
    ] = None,
    no_holdout: Annotated[
        bool, opt("--no-holdout", help="choose on all recordings; the winner's score is then optimistic")
    ] = False,
    seed: Annotated[int, opt("--seed", metavar="INT", help="of halves and random choices (default: 0)")] = 0,
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
