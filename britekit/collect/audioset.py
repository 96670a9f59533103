"""Find the clips of an AudioSet class, and turn them into recordings to download."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from britekit.collect.audioset_tables import (
    CLASS_LIST,
    FOLDER,
    INCLUSION,
    SEGMENTS,
    ClassList,
    Report,
    Segment,
    count_labels,
    ensure_table,
    find_segments,
    read_inclusion,
)
from britekit.collect.recording_folder import Remote
from britekit.collect.web import Web
from britekit.collect.youtube import clip

SOURCE = "Audioset"
"""Name of the source in patterns of recording names."""


def clips_of_class(web: Web, address: str, root: Path, name: str) -> Iterator[Segment]:
    """Yield the clips of a class that have no other labels except the allowed ones.

    Raises `InputError` if AudioSet has no such class, or a table cannot be read.

    Parameters
    ----------
    web, address
        Session and setting `misc.audioset_url`, for tables that are not cached yet.
    name
        Display name, case ignored.
    """
    classes = ClassList(ensure_table(web, address, root, CLASS_LIST))
    identifier = classes.find(name)
    allowed = read_inclusion(root / FOLDER / INCLUSION, name, classes)
    return find_segments(ensure_table(web, address, root, SEGMENTS), identifier, allowed)


def report(web: Web, address: str, root: Path, name: str) -> Report:
    """Return the number of clips of a class without other labels, and the counts of other labels."""
    classes = ClassList(ensure_table(web, address, root, CLASS_LIST))
    identifier = classes.find(name)
    return count_labels(ensure_table(web, address, root, SEGMENTS), identifier, classes)


def as_remotes(
    segments: Iterable[Segment], youtube_address: str, rate: int, skip: int = 0, licences: Sequence[str] | None = None
) -> Iterator[Remote]:
    """Yield recordings to download, without the first `skip`.

    Parameters
    ----------
    youtube_address
        Setting `misc.youtube_url`.
    licences
        Accepted licences; None for all.
    """
    for one in islice(segments, skip, None):
        length = one.end_s - one.start_s
        yield clip(youtube_address, one.video, one.start_s, length, rate, SOURCE, licences)
