"""The sound track of a video, as MP3 of 32 kHz.

The query is the video's identifier of 11 letters.
"""

import logging

from britekit.collect.context import Context
from britekit.collect.download_cache import DEFAULT_RATE, check_row
from britekit.collect.offers import Offer, SourceRow
from britekit.collect.youtube import looked_up, video

log = logging.getLogger(__name__)


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer the track, or nothing if the video is unavailable or its licence is not accepted."""
    check_row(row, "the identifier of a video")
    downloads = context.network(row)
    remote = video(downloads.misc.youtube_url, row.query, DEFAULT_RATE, downloads.licences)
    known = downloads.known(row.source)
    remotes = list(looked_up(downloads.web, [remote], downloads.directory(row.source), downloads.licences, known))
    if not remotes:
        log.warning("%s is left out: it is unavailable, or its licence is not accepted", remote.origin)
    return [downloads.offer(row, one) for one in remotes]
