"""Clips of AudioSet, as MP3 of 32 kHz.

The query is the display name of a class, or the path of a list of clips that ends with ``.csv``, relative to
the project. Clips whose videos are no longer available are skipped.
"""

from itertools import islice
from pathlib import Path

from britekit.collect import audioset
from britekit.collect.audioset_tables import read_curated
from britekit.collect.context import Context
from britekit.collect.download_cache import DEFAULT_LIMIT, DEFAULT_RATE, check_row
from britekit.collect.offers import Offer, SourceRow
from britekit.collect.youtube import looked_up


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer the first `row.limit` clips that are available (default 500)."""
    check_row(row, "the name of a class or a list of clips")
    downloads = context.network(row)
    segments = (
        read_curated(context.project / Path(row.query).expanduser())
        if row.query.lower().endswith(".csv")
        else audioset.clips_of_class(downloads.web, downloads.misc.audioset_url, context.project, row.query)
    )
    address = downloads.misc.youtube_url
    remotes = audioset.as_remotes(segments, address, DEFAULT_RATE, licences=downloads.licences)
    available = looked_up(
        downloads.web, remotes, downloads.directory(row.source), downloads.licences, downloads.known(row.source)
    )
    return [downloads.offer(row, one) for one in islice(available, row.limit or DEFAULT_LIMIT)]
