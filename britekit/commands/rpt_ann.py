"""Sum the annotated time, per class and recording.

Reads annotations per segment (a CSV with recording, class, start_time, end_time, Audacity labels or Raven
tables) and writes test_summary.csv (class, seconds) and test_details.csv (recording, class, seconds). Time
covered by several annotations of a class counts once. misc.map_codes renames classes.

    britekit rpt-ann -a data/test/annotations.csv -o results/annotations
"""

from britekit.options import SegmentAnnotations, TablesDir


def rpt_ann(annotations_path: SegmentAnnotations = None, output_path: TablesDir = None) -> None:
    """Write how many seconds of each class are annotated."""
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation.seconds_per_class import annotated_seconds, write_annotated

    if annotations_path is None or output_path is None:
        raise InputError("annotations and output directory are both needed")
    found = annotated_seconds(annotations_path, resolve().misc.map_codes)
    write_annotated(output_path, found)
    print(f"recordings = {len(found.recordings)}")
    print(f"classes = {len(found.classes)}")
    print(f"seconds = {found.seconds_RC.sum():.1f}")
