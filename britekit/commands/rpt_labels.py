"""Sum the time covered by detections, per class and recording.

Reads the output of analyze, or labels of other programs, and writes summary.csv (class, seconds), classes.csv
(the same, longest first), recordings.csv (recording, detected classes) and details.csv (a row per recording,
a column per class). Time covered by several labels of a class counts once. misc.map_codes renames classes.

    britekit rpt-labels -l results/labels -o results/detected --min-score 0.7
"""

from typing import Annotated, Optional

from britekit.options import TablesDir, opt


def rpt_labels(
    label_dir: Annotated[
        Optional[str], opt("-l", "--labels", required=True, metavar="DIR", help="output of analyze")
    ] = None,
    output_path: TablesDir = None,
    min_score: Annotated[
        Optional[float],
        opt("-m", "--min-score", metavar="SCORE", help="lowest score of a label (default: infer.min_score)"),
    ] = None,
) -> None:
    """Write how many seconds of each class were detected."""
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation.seconds_per_class import labeled_seconds, write_labeled

    if label_dir is None or output_path is None:
        raise InputError("labels and output directory are both needed")
    cfg = resolve(None, {"infer.min_score": min_score})
    found = labeled_seconds(label_dir, cfg.infer.min_score, cfg.misc.map_codes)
    write_labeled(output_path, found)
    print(f"recordings = {len(found.recordings)}")
    print(f"classes = {len(found.classes)}")
    print(f"seconds = {found.seconds_RC.sum():.1f}")
