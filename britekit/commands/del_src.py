"""Remove a source and its recordings.

All its recordings go too, with their segments and spectrograms.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it outlives
the next rebuild.

    britekit del-src --name "Xeno-Canto"
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `del-src`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="source to remove")


def del_src(db_path: Optional[str] = None, name: str = "") -> None:
    """Remove a source and its recordings; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.deletion import delete_source, require_named
    from britekit.database.schema import Source
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    with edit_by_hand(database, check=lambda s: require_named(s, Source, "source", name)) as edits:
        removed = delete_source(edits.session, name)
        edits.record(about_name("del-src", name))
    for line in removed.lines():
        print(line)
