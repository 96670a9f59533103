"""Delete the segments that images or a table name.

Image names have the form that plot-db, search and other commands write. A segment that also has other classes
only loses the given class. Names that cannot be read or found are reported.

If the pipeline builds the database, the decisions are also appended to data/curation.csv, so that they apply
to the next build.

    britekit del-seg --name Ovenbird --dir images/bad
    britekit del-seg --name Ovenbird --csv bad.csv
"""

from typing import Annotated, Optional

from britekit.options import DbPath, opt


def del_seg(
    db_path: DbPath = None,
    class_name: Annotated[str, opt("--name", "--class", required=True, metavar="NAME", help="class name")] = "",
    csv_path: Annotated[
        Optional[str], opt("--csv", metavar="FILE", help="table with the columns recording and offset")
    ] = None,
    dir_path: Annotated[Optional[str], opt("--dir", metavar="DIR", help="directory of spectrogram images")] = None,
) -> int:
    """Take a class from segments; return how many were deleted because they had no other class."""
    from pathlib import Path

    from britekit.config import resolve
    from britekit.database.classes import require_class
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.datasets.segment_removal import remove_segments
    from britekit.errors import InputError, counted

    if (dir_path is None) == (csv_path is None):
        raise InputError("the segments are pointed out either by --dir or by --csv; give exactly one of them")
    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_class(s, class_name)) as edits:
        removal = remove_segments(
            edits, class_name, Path(dir_path) if dir_path else None, Path(csv_path) if csv_path else None
        )
    print(f"Deleted {counted(removal.deleted, 'segment')}")
    if removal.unlinked:
        print(f'Unlinked {counted(removal.unlinked, "segment")} with other classes from "{class_name}"')
    return removal.deleted
