"""One file per text format: how it is recognized, read, and written.

The folder is the list: a file without ``_`` before its name is a format, and ends with a `Format`.
``analyze --rtype``, the service and its page, the reader of annotations and the reference follow from it. An
underscore behind a name keeps it apart from a module of Python; ``-`` stands for other underscores.

In: lines of text and the names of recordings, or rows of labels. Out: annotations, or bytes.

- ``_base.py``: rows of labels, facts about a run, `Format` and `Writer`
- ``_registry.py``: the formats by name and by content
- ``_reading.py``: annotations of any format, from a file or a folder
"""

from britekit.formats._base import Facts, Format, Recording, Rows, Sink, Writer, grouped, in_pieces, read_rows
from britekit.formats._reading import (  # noqa: E402
    FolderRead,
    holds_annotations,
    read_any_annotations,
    read_folder,
    report_absent,
    warn_of_folders,
)
from britekit.formats._registry import BOTH, chosen, get, is_detections, matching, names, written

__all__ = [
    "BOTH", "Facts", "FolderRead", "Format", "Recording", "Rows", "Sink", "Writer", "chosen", "get", "grouped",
    "holds_annotations", "in_pieces", "is_detections", "matching", "names", "read_any_annotations",
    "read_folder", "read_rows", "report_absent", "warn_of_folders", "written",
]  # fmt: skip
