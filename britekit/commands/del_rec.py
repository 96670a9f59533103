"""Remove a recording by its name.

Its segments and spectrograms go too. If several sources have a recording of that file name, all are removed.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it
applies to the next build.

    britekit del-rec --name XC123456.mp3
"""

from typing import Annotated

from britekit.options import DbPath, opt


def del_rec(
    db_path: DbPath = None,
    file_name: Annotated[
        str, opt("--name", required=True, metavar="NAME", help="file name of the recording, or without extension")
    ] = "",
) -> None:
    """Remove a recording by its name; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.deletion import delete_named_recordings, require_filename
    from britekit.datasets.curation_rows import drop
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_filename(s, file_name)) as edits:
        filename = require_filename(edits.session, file_name)
        removed = delete_named_recordings(edits.session, filename)
        edits.record(drop(filename))
    for line in removed.lines():
        print(line)
