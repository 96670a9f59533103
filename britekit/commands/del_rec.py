"""Remove a recording by its file name.

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
        str, opt("--name", required=True, metavar="NAME", help="file name of the recording, with extension")
    ] = "",
) -> None:
    """Remove a recording by its file name; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.deletion import delete_named_recordings, require_recordings
    from britekit.datasets.curation_rows import drop
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_recordings(s, file_name)) as edits:
        removed = delete_named_recordings(edits.session, file_name)
        edits.record(drop(file_name))
    for line in removed.lines():
        print(line)
