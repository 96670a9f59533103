"""Add a category to a training database.

A category groups classes. The database is made if it is missing; a name that exists already is an error.

    britekit add-cat --name birds
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `add-cat`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="category to add")


def add_cat(db_path: Optional[str] = None, name: str = "") -> None:
    """Add a category."""
    from britekit.config import resolve
    from britekit.database.additions import add_category
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    with edit_by_hand(db_path or resolve().train.train_db, "create") as edits:
        add_category(edits.session, name)
        edits.record(about_name("add-cat", name))
    print(f'Added category "{name}"')
