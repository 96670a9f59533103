"""Recompute the spectrograms of stored segments with the current audio settings.

All recordings are opened first; if any is missing or cannot be read, these are listed and nothing changes.
Spectrograms are replaced one recording at a time, so an interruption leaves each recording either old or new;
run the command again to finish. Embeddings of replaced spectrograms are deleted: run embed again. In a
database that the pipeline builds, no new group, no offset and no audio settings other than those in
params.yaml are accepted, because the next build would undo them: use a copy.

    britekit reextract -d birds.db -c yaml/fine.yaml --sgroup fine
"""

from typing import Annotated, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ConfigPath, DbPath, SpecGroup, TimeExpansion, opt


@takes_time_expansion
def reextract(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    class_name: Annotated[
        Optional[str], opt("--name", metavar="NAME", help="one class (default: all segments)")
    ] = None,
    classes_path: Annotated[
        Optional[str], opt("--classes", metavar="FILE", help="class list (default: all segments)")
    ] = None,
    offset: Annotated[
        float,
        opt(
            "--offset",
            metavar="SECONDS",
            help="shift of the start of each segment, which stays at least 0 (default: 0)",
        ),
    ] = 0.0,
    check: Annotated[bool, opt("--check", help="only verify that every recording can be read")] = False,
    spec_group: SpecGroup = "default",
    time_expansion: TimeExpansion = None,
) -> int:
    """Compute the spectrograms of stored segments again; return how many."""
    import math

    from britekit.api.reextractor import Reextractor
    from britekit.config import resolve
    from britekit.errors import InputError

    if not math.isfinite(offset):
        raise InputError(f"--offset is {offset}; expected a number of seconds")
    cfg = resolve(cfg_path)
    result = Reextractor(db_path, class_name, classes_path, check, spec_group, offset, cfg).run(quiet=False)
    result.raise_for_failures()
    if not result.spectrograms:
        raise InputError(f"no segment could be computed with --offset {offset:g}: see the warnings above")
    return result.spectrograms
