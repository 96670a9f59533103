"""Find recordings of one class that are the same; another name of find-dup.

Candidates are equally long, within 0.1 s, and their first segments are near each other by their embeddings
(see embed). They are the same if the stored spectrograms of all their segments sound the same as well: recoded,
quieter or shifted by up to 0.1 s, but not another call. Of those, the one with most segments is kept.

    britekit dedup-rec --name Ovenbird
"""

from typing import Optional

from britekit.commands.find_dup import Options as Options


def dedup_rec(
    cfg_path: Optional[str] = None,
    db_path: Optional[str] = None,
    class_name: str = "",
    delete: bool = False,
    spec_group: str = "default",
    max_dist: float = 0.02,
) -> int:
    """Find recordings of one class that are the same; return the number of pairs."""
    import importlib

    find_dup = importlib.import_module("britekit.commands.find_dup").find_dup
    return int(find_dup(cfg_path, db_path, class_name, delete, spec_group, max_dist))
