"""Remove a class and its recordings.

Every recording that has a segment of the class goes too, with its segments and spectrograms. One that is
shared with another class loses only what belongs to this one.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it outlives
the next rebuild.

    britekit del-class --name "American Crow"
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `del-class`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="class to remove")


def del_class(db_path: Optional[str] = None, name: str = "") -> None:
    """Remove a class and its recordings; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.classes import require_class
    from britekit.database.deletion import delete_class
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_class(s, name)) as edits:
        removed = delete_class(edits.session, name)
        edits.record(about_name("del-class", name))
    for line in removed.lines():
        print(line)
