"""Find duplicate recordings of one class, and remove them if asked.

Candidates have the same length within 0.1 s, and first segments with similar embeddings (see embed). They are
duplicates if the stored spectrograms of all their segments also match: re-encoded, quieter or shifted by up
to 0.1 s, but not a different call. The recording with most segments is kept.

    britekit find-dup --name Ovenbird
"""

from typing import Annotated

from britekit.options import ClassName, ConfigPath, DbPath, SpecGroup, opt


def find_dup(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    class_name: ClassName = "",
    delete: Annotated[bool, opt("--del", help="remove the duplicates from the class")] = False,
    spec_group: SpecGroup = "default",
    max_dist: Annotated[
        float,
        opt("--dist", metavar="DISTANCE", help="maximum embedding distance of candidates, 1 - cosine (default: 0.02)"),
    ] = 0.02,
) -> int:
    """Find recordings of one class that are the same; return the number of pairs."""
    from britekit.config import resolve
    from britekit.database.classes import require_class
    from britekit.database.embeddings import read_embeddings
    from britekit.database.session import open_database
    from britekit.database.spectrograms import require_group
    from britekit.datasets.duplicate_removal import remove_recordings
    from britekit.datasets.duplicate_report import compare_sounds
    from britekit.datasets.duplicates import describe_pairs, find_duplicate_recordings
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.errors import InputError, some

    if not 0 <= max_dist <= 2:
        raise InputError(f"--dist is {max_dist:g}; expected a distance from 0 to 2")
    cfg = resolve(cfg_path)
    target = db_path or cfg.train.train_db
    with open_database(target) as session:
        class_id = require_class(session, class_name).id
        group_id = require_group(session, spec_group)
        segments = read_embeddings(session, group_id, class_id)
        found = find_duplicate_recordings(segments, compare_sounds(session, group_id, cfg.audio), max_dist)
    names = {key: row.filename for key, row in segments.recordings.items()}
    if delete and found.groups:
        with edit_by_hand(target) as edits:
            remove_recordings(edits, segments, class_id, class_name, found.removed())
    for line in describe_pairs(found.matches, segments):
        print(line)
    if delete:
        for kept, others in sorted(found.groups.items()):
            for other in others:
                print(f"removed = {names[other]} (like {names[kept]})")
    print(f"pairs = {len(found.matches)}")
    if found.others:
        print(f"near, but of other sound = {len(found.others)}, kept; the most alike:")
        alike = sorted(found.others, key=lambda pair: pair.difference)[:3]
        print("\n".join(describe_pairs(alike, segments)))
    if found.without:
        listed = some([names[key] for key in found.without])
        raise InputError(
            f'{len(found.without)} recordings of class "{class_name}" have segments without embeddings in group '
            f'"{spec_group}" and were not compared: {listed}; run embed --name "{class_name}"'
        )
    return len(found.matches)
