"""Label files for tests, written by `britekit.formats`."""

from itertools import groupby
from pathlib import Path

from britekit import formats


def write_label_text(path, labels):
    """Write the labels of one recording as an Audacity label file."""
    content = formats.get("audacity").render(formats.Recording(""), rows_of(labels), formats.Facts())
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)


def write_label_csv(path, labels):
    """Write the labels of any number of recordings as ``scores.csv`` has them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        writer = formats.get("csv").writer(out, formats.Facts())
        for name, group in groupby(sorted(labels, key=lambda x: x.recording), key=lambda x: x.recording):
            for rows in rows_of(group):
                writer.add(formats.Recording(name), rows)


def rows_of(labels):
    """Return labels of one recording as rows."""
    return formats.grouped((x.name, x.name, "", x.start, x.end, x.score, x.confirmed) for x in labels)
