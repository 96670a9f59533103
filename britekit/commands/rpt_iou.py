"""Measure how well labels match the annotated sounds in time.

For each threshold, touching labels of a class are joined and compared with the annotations that they overlap:
the length of the intersection divided by that of the union, and 0 without any overlap. Writes thresholds.csv
(threshold, iou), recordings.csv (recording, iou_max and those at two thresholds) and summary.txt. Intended
for labels as long as the sounds, from models with frames (analyze without --seg, with a low --min-score).

    britekit rpt-iou -a data/test/annotations.csv -l results/labels -o results/iou
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, SegmentAnnotations, TablesDir, opt


def rpt_iou(
    cfg_path: ConfigPath = None,
    annotations_path: SegmentAnnotations = None,
    label_dir: Annotated[
        Optional[str],
        opt(
            "-l",
            "--labels",
            required=True,
            metavar="DIR",
            help="output of analyze, looked up beside the annotations first",
        ),
    ] = None,
    output_path: TablesDir = None,
    start: Annotated[float, opt("--start", metavar="SCORE", help="first threshold (default: 0)")] = 0.0,
    end: Annotated[float, opt("--end", metavar="SCORE", help="last threshold (default: 1)")] = 1.0,
    incr: Annotated[float, opt("--incr", metavar="STEP", help="between thresholds (default: 0.01)")] = 0.01,
    t1: Annotated[float, opt("--t1", metavar="SCORE", help="threshold to report (default: 0.6)")] = 0.6,
    t2: Annotated[float, opt("--t2", metavar="SCORE", help="another one (default: 0.8)")] = 0.8,
) -> float:
    """Write intersection over union by threshold; return the highest mean."""
    import logging

    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation import iou

    if annotations_path is None or label_dir is None or output_path is None:
        raise InputError("annotations, labels and output directory are all needed")
    iou.make_thresholds(start, end, incr)  # says what is wrong with these before those below
    for name, value in (("--t1", t1), ("--t2", t2)):
        if not start <= value <= end:
            raise InputError(f"{name} is {value:g}; expected a threshold from {start:g} to {end:g}")
    thresholds = iou.make_thresholds(start, end, incr, (t1, t2))
    found = iou.measure_localization(annotations_path, label_dir, resolve(cfg_path), thresholds)
    for sentence in found.cautions:
        logging.getLogger("britekit.evaluation").warning("%s", sentence)
    iou.write_localization(output_path, found, t1, t2)
    best = float(found.iou_T[found.best])
    print(f"iou = {best:.4f}")
    print(f"threshold = {found.thresholds[found.best]:g}")
    print(f"area = {found.area:.4f}")
    for value in (t1, t2):
        print(f"iou at {value:g} = {found.iou_T[iou.nearest(found, value)]:.4f}")
    return best
