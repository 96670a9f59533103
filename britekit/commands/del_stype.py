"""Remove a sound type.

Segments that named it stay, without a sound type.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it outlives
the next rebuild.

    britekit del-stype --name song
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `del-stype`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="sound type to remove")


def del_stype(db_path: Optional[str] = None, name: str = "") -> None:
    """Remove a sound type; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.deletion import delete_soundtype, require_named
    from britekit.database.schema import SoundType
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_named(s, SoundType, "sound type", name)) as edits:
        removed = delete_soundtype(edits.session, name)
        edits.record(about_name("del-stype", name))
    for line in removed.lines():
        print(line)
