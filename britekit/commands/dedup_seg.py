"""Find near-identical segments of one class, and remove the second of each pair if asked.

Segments are compared by their embeddings (see embed). Writes duplicates.csv and a picture of both members of
each pair.

    britekit dedup-seg --name Ovenbird -o results/duplicates --threshold 0.98
"""

from typing import Annotated

from britekit.options import ClassName, ConfigPath, DbPath, SpecGroup, opt


def dedup_seg(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    output_path: Annotated[
        str, opt("-o", "--output", required=True, metavar="DIR", help="directory of the results")
    ] = "",
    class_name: ClassName = "",
    delete: Annotated[bool, opt("--del", help="remove the second of each pair from the class")] = False,
    spec_group: SpecGroup = "default",
    threshold: Annotated[
        float, opt("--threshold", metavar="COSINE", help="smallest cosine of a pair (default: 0.99)")
    ] = 0.99,
    no_plot: Annotated[bool, opt("--noplot", help="draw no pictures")] = False,
) -> int:
    """Find near-identical segments of one class; return the number of pairs."""
    from britekit.commands._pictures import checked_output
    from britekit.config import resolve
    from britekit.database.classes import require_class
    from britekit.database.embeddings import read_embeddings
    from britekit.database.session import open_database
    from britekit.database.spectrograms import require_group
    from britekit.datasets.duplicate_removal import remove_segments
    from britekit.datasets.duplicate_report import compare_sounds, draw_pairs, write_pairs
    from britekit.datasets.duplicates import find_duplicate_segments
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.errors import DatabaseError, InputError

    if not 0 < threshold <= 1:
        raise InputError(f"--threshold is {threshold:g}; expected a cosine above 0 and at most 1")
    output = checked_output(output_path)
    cfg = resolve(cfg_path)
    target = db_path or cfg.train.train_db
    with open_database(target) as session:
        class_id = require_class(session, class_name).id
        group_id = require_group(session, spec_group)
        segments = read_embeddings(session, group_id, class_id)
        if not len(segments.vectors):
            raise DatabaseError(
                f'class "{class_name}" has no embeddings in group "{spec_group}"; run embed --name "{class_name}"'
            )
        sounds = compare_sounds(session, group_id, cfg.audio)
        pairs = find_duplicate_segments(segments, threshold, sounds)
        if not no_plot:
            draw_pairs(session, output, pairs, segments, group_id, cfg.audio)
        write_pairs(output / "duplicates.csv", pairs, segments)
    if delete and pairs:
        with edit_by_hand(target) as edits:
            remove_segments(edits, segments, class_id, class_name, [pair.second for pair in pairs])
        print(f"removed = {len(pairs)}")
    print(f"pairs = {len(pairs)}")
    missing = sum(row.segments - row.embedded for row in segments.recordings.values())
    if missing:
        raise InputError(
            f'{missing} segments of class "{class_name}" have no embeddings in group "{spec_group}" and were '
            f'not compared; run embed --name "{class_name}"'
        )
    return len(pairs)
