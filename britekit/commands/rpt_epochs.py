"""Score each checkpoint of a training run on the test recordings.

Each checkpoint of the directory whose name ends in -e<number> scores the annotated recordings. Writes
training_scores.csv (epoch, PR-AUC, ROC-AUC; micro averages over all trained classes) and
training_scores.jpeg, and prints the best epochs. Recordings are searched for beside the annotations.

    britekit rpt-epochs -i logs/version_3/checkpoints -a data/test/annotations.csv -o results/epochs
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, SegmentAnnotations, opt


def rpt_epochs(
    cfg_path: ConfigPath = None,
    input_path: Annotated[
        Optional[str], opt("-i", "--input", required=True, metavar="DIR", help="directory of checkpoints")
    ] = None,
    annotations_path: SegmentAnnotations = None,
    output_path: Annotated[
        Optional[str], opt("-o", "--output", required=True, metavar="DIR", help="output directory")
    ] = None,
) -> dict[int, tuple[float, float]]:
    """Score the checkpoints; return PR-AUC and ROC-AUC by epoch."""
    from britekit.errors import InputError
    from britekit.evaluation import epochs
    from britekit.evaluation.exclusions import root_of
    from britekit.inference.backend import backend_of_run
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models
    from britekit.inference.score_tables import score_all

    if input_path is None or annotations_path is None or output_path is None:
        raise InputError("checkpoints, annotations and output directory are all needed")
    checkpoints = epochs.find_epochs(input_path)
    paths = epochs.annotated_recordings(annotations_path)
    root = root_of(annotations_path)
    scores = []
    for epoch, path in checkpoints:
        cfg, members = resolve_for_models(cfg_path, None, str(path))
        table = score_all(load_ensemble(cfg, members, backend_of_run(cfg, members)), paths, root)
        scores.append(epochs.score_epoch(epoch, path, annotations_path, table, cfg))
        print(f"{path.name}: PR-AUC {scores[-1].pr_auc:.4f}, ROC-AUC {scores[-1].roc_auc:.4f}")
    epochs.write_epochs(output_path, scores)
    for figure, name in (("pr_auc", "PR-AUC"), ("roc_auc", "ROC-AUC")):
        best = epochs.best_epoch(scores, figure)
        print(f"best epoch by {name} = {best.epoch}")
        print(f"best {name} = {getattr(best, figure):.4f}")
    return {score.epoch: (score.pr_auc, score.roc_auc) for score in scores}
