"""Find recordings of one class that look identical; another name of find-dup.

Two recordings match if they are equally long, within 0.1 s, and their first segments are near each other by
their embeddings (see embed). Of those that match, the one with most segments is kept.

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
    """Find recordings of one class that look identical; return the number of pairs."""
    import importlib

    find_dup = importlib.import_module("britekit.commands.find_dup").find_dup
    return int(find_dup(cfg_path, db_path, class_name, delete, spec_group, max_dist))
