"""Remove a category, its classes and their recordings.

Every recording that has a segment of one of its classes goes too, with its segments and spectrograms. One
that is shared with a class of another category loses only what belongs to this one.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it outlives
the next rebuild.

    britekit del-cat --name birds
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `del-cat`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="category to remove")


def del_cat(db_path: Optional[str] = None, name: str = "") -> None:
    """Remove a category, its classes and their recordings; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.deletion import delete_category, require_named
    from britekit.database.schema import Category
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_named(s, Category, "category", name)) as edits:
        removed = delete_category(edits.session, name)
        edits.record(about_name("del-cat", name))
    for line in removed.lines():
        print(line)
