"""Compute the spectrograms of stored segments again, with the audio settings in force.

Every recording is opened first; if one is missing or cannot be read, all such are listed and nothing changes.
Only the chosen segments' spectrograms of the group are replaced, a recording at a time, so an interruption
leaves each recording as it was or as it is to be; repeating the command finishes the rest. Embeddings of
replaced spectrograms are gone: run embed again. A database that the pipeline builds takes no new group, no
offset and no audio settings but those of params.yaml, which a rebuild would not bring: use a copy.

    britekit reextract -d birds.db -c yaml/fine.yaml --sgroup fine
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, SpecGroup, opt


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
        opt("--offset", metavar="SECONDS", help="added to where each segment begins, not below 0 (default: 0)"),
    ] = 0.0,
    check: Annotated[bool, opt("--check", help="only verify that every recording can be read")] = False,
    spec_group: SpecGroup = "default",
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
