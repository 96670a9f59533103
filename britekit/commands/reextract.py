"""Compute the spectrograms of stored segments again, with the audio settings in force.

Every recording is opened first; if one is missing or cannot be read, all such are listed and nothing changes.
Only the chosen segments' spectrograms of the group are replaced, a recording at a time, so an interruption
leaves each recording as it was or as it is to be; repeating the command finishes the rest. Embeddings of
replaced spectrograms are gone: run embed again. A database that the pipeline builds takes no new group, no
offset and no audio settings but those of params.yaml, which a rebuild would not bring: use a copy.

    britekit reextract -d birds.db -c yaml/fine.yaml --sgroup fine
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `reextract`."""

    cfg_path: Optional[str] = config_option()
    db_path: Optional[str] = db_option()
    class_name: Optional[str] = option("--name", metavar="NAME", help="one class (default: all segments)")
    classes_path: Optional[str] = option(
        "--classes", metavar="FILE", help="class list (default: all segments)"
    )
    check: bool = option("--check", default=False, help="only verify that every recording can be read")
    spec_group: str = option(
        "--sgroup", default="default", metavar="NAME", help="spectrogram group (default: default)"
    )
    offset: float = option(
        "--offset",
        default=0.0,
        metavar="SECONDS",
        help="added to where each segment begins, not below 0 (default: 0)",
    )


def reextract(
    cfg_path: Optional[str] = None,
    db_path: Optional[str] = None,
    class_name: Optional[str] = None,
    classes_path: Optional[str] = None,
    check: bool = False,
    spec_group: str = "default",
    offset: float = 0.0,
) -> int:
    """Compute the spectrograms of stored segments again; return how many."""
    import math

    from britekit.config import resolve
    from britekit.datasets.reextraction import Reextractor
    from britekit.errors import InputError

    if not math.isfinite(offset):
        raise InputError(f"--offset is {offset}; expected a number of seconds")
    cfg = resolve(cfg_path)
    result = Reextractor(db_path, class_name, classes_path, check, spec_group, offset, cfg).run(quiet=False)
    result.raise_for_failures()
    if not result.spectrograms:
        raise InputError(f"no segment could be computed with --offset {offset:g}: see the warnings above")
    return result.spectrograms
