"""Sounds of a taxon on iNaturalist.

The query is its common or scientific name.
"""

from itertools import islice

from britekit.collect import inaturalist
from britekit.collect.context import Context
from britekit.collect.download_cache import DEFAULT_LIMIT, check_row
from britekit.collect.offers import Offer, SourceRow


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer the first `row.limit` sounds (default 500)."""
    check_row(row, "the name of a taxon")
    downloads = context.network(row)
    remotes = inaturalist.find_sounds(downloads.web, downloads.misc.inat_url, row.query, licences=downloads.licences)
    return [downloads.offer(row, remote) for remote in islice(remotes, row.limit or DEFAULT_LIMIT)]
