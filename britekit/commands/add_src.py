"""Add a source to a training database.

A source is where recordings come from. The database is made if it is missing; a name that exists already is
an error.

    britekit add-src --name "Xeno-Canto"
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `add-src`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="source to add")


def add_src(db_path: Optional[str] = None, name: str = "") -> None:
    """Add a source."""
    from britekit.config import resolve
    from britekit.database.additions import add_source
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    with edit_by_hand(db_path or resolve().train.train_db, "create") as edits:
        add_source(edits.session, name)
        edits.record(about_name("add-src", name))
    print(f'Added source "{name}"')
