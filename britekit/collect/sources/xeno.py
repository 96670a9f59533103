"""Recordings of a species on Xeno-canto.

The query is its English name, or its scientific name after ``sci:``, such as ``sci:Strix varia``. The key is
taken from the environment variable XCKEY. Recordings whose licence forbids derivatives are skipped.
"""

from itertools import islice

from britekit.collect import xeno_canto
from britekit.collect.context import Context
from britekit.collect.download_cache import DEFAULT_LIMIT, check_row
from britekit.collect.offers import Offer, SourceRow
from britekit.errors import InputError


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer the best `row.limit` recordings (default 500)."""
    check_row(row, "the name of a species")
    downloads = context.network(row)
    if not downloads.key:
        raise InputError(f"Xeno-canto needs a key: set the environment variable {xeno_canto.KEY_VARIABLE}")
    remotes = xeno_canto.find_recordings(
        downloads.web,
        downloads.misc.xeno_url,
        downloads.key,
        row.query.removeprefix("sci:").strip(),
        scientific=row.query.startswith("sci:"),
        licences=downloads.licences,
    )
    return [downloads.offer(row, remote) for remote in islice(remotes, row.limit or DEFAULT_LIMIT)]
