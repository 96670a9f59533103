"""Add a sound type to a training database.

A sound type is a kind of vocalisation. The database is made if it is missing; a name that exists already is
an error.

    britekit add-stype --name song
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `add-stype`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="sound type to add")


def add_stype(db_path: Optional[str] = None, name: str = "") -> None:
    """Add a sound type."""
    from britekit.config import resolve
    from britekit.database.additions import add_soundtype
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    with edit_by_hand(db_path or resolve().train.train_db, "create") as edits:
        add_soundtype(edits.session, name)
        edits.record(about_name("add-stype", name))
    print(f'Added sound type "{name}"')
