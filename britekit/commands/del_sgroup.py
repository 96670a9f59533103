"""Remove a spectrogram group and its spectrograms.

Its spectrograms go too; segments stay.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it outlives
the next rebuild.

    britekit del-sgroup --name default
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `del-sgroup`."""

    db_path: Optional[str] = db_option()
    name: str = option("--name", required=True, metavar="NAME", help="spectrogram group to remove")


def del_sgroup(db_path: Optional[str] = None, name: str = "") -> None:
    """Remove a spectrogram group and its spectrograms; rows removed are printed per table."""
    from britekit.config import resolve
    from britekit.database.deletion import delete_group, require_named
    from britekit.database.schema import SpecGroup
    from britekit.datasets.curation_rows import about_name
    from britekit.datasets.hand_edits import edit_by_hand

    database = db_path or resolve().train.train_db
    what = "spectrogram group"
    with edit_by_hand(database, check=lambda s: require_named(s, SpecGroup, what, name)) as edits:
        removed = delete_group(edits.session, name)
        edits.record(about_name("del-sgroup", name))
    for line in removed.lines():
        print(line)
