"""Download sounds of a taxon from iNaturalist.

Sounds of observations whose identification the community agrees on; what is there already is skipped. Who
made each one, where, when and under which licence goes to recordings.csv beside them, numbers and links of
the observations to inat.csv. Some sounds have all rights reserved; --license leaves them out.

    britekit inat --name "American Toad" -o recordings/toad --license CC0,CC-BY,CC-BY-NC
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `inat`."""

    cfg_path: Optional[str] = config_option()
    name: str = option("--name", required=True, metavar="TEXT", help="common or scientific name")
    output_dir: str = option("-o", "--output", required=True, metavar="DIR", help="directory to fill")
    max_downloads: int = option(
        "--max", default=500, metavar="N", help="most recordings, those there already included (default: 500)"
    )
    no_prefix: bool = option("--noprefix", default=False, help="file names without N before the number")
    include_unverified: bool = option(
        "--nover", default=False, help="include observations that need identification"
    )
    licences: Optional[str] = option(
        "--license", metavar="LIST", help="take only these licences, such as CC0,CC-BY"
    )
    dry_run: bool = option("--dry-run", default=False, help="only list what would come")
    jobs: int = option("--jobs", default=4, metavar="N", help="downloads at a time, 1 to 8 (default: 4)")


def inat(
    name: str = "",
    output_dir: str = "",
    max_downloads: int = 500,
    no_prefix: bool = False,
    include_unverified: bool = False,
    cfg_path: Optional[str] = None,
    licences: Optional[str] = None,
    dry_run: bool = False,
    jobs: int = 4,
) -> int:
    """Download sounds of a taxon from iNaturalist.

    Parameters
    ----------
    name
        Common or scientific name, matched exactly.
    output_dir
        Directory to fill, made if missing.
    max_downloads
        Most recordings, those that are there already included.
    no_prefix
        File names without ``N`` before the number.
    include_unverified
        Include observations that need identification.
    cfg_path
        YAML file of settings; read are `misc.inat_url` and `misc.request_pause`.
    licences
        Comma-separated licences to take.
    dry_run
        Only list what would come.
    jobs
        Downloads at a time, 1 to 8.

    Returns
    -------
    Number of recordings downloaded.
    """
    from pathlib import Path

    from britekit.collect import inaturalist
    from britekit.collect.csv_log import CsvLog
    from britekit.collect.licences import parse_licences
    from britekit.collect.store import LISTING, Store, check_counts, listing
    from britekit.collect.web import Limits, Web
    from britekit.config import resolve
    from britekit.errors import InputError

    check_counts(max_downloads, jobs)
    if not output_dir:
        raise InputError("no directory was given to download into")
    directory, cfg, wanted = Path(output_dir), resolve(cfg_path), parse_licences(licences)
    with Web(Limits.paced(cfg.misc.request_pause)) as web:
        remotes = inaturalist.find_sounds(
            web, cfg.misc.inat_url, name, not no_prefix, include_unverified, wanted
        )
        if dry_run:
            print(LISTING)
            for line in listing(remotes, directory, max_downloads, count_present=True):
                print(line)
            return 0
        table = CsvLog(directory / inaturalist.TABLE, inaturalist.COLUMNS, ("Media ID",))
        with Store(directory, web, lambda remote: table.add(inaturalist.media_row(remote))) as store:
            outcome = store.bring_all(remotes, max_downloads, jobs, count_present=True)
    for line in outcome.lines():
        print(line)
    outcome.raise_for_failures()
    if not outcome.fetched + outcome.present:
        raise InputError(f'iNaturalist has no sound of "{name}" that is as asked for')
    return outcome.fetched
