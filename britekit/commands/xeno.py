"""Download recordings of a species from Xeno-canto.

Needs a key of your own, which each member finds on their account page; better in the environment variable
XCKEY than on the command line. Best quality first; what is there already is skipped. Who made each recording,
where, when and under which licence goes to recordings.csv beside them.

    britekit xeno --name "Barred Owl" -o recordings/owl --max 50
"""

from dataclasses import dataclass
from typing import Optional, Union

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `xeno`."""

    cfg_path: Optional[str] = config_option()
    key: Optional[str] = option(
        "--key", metavar="TEXT", help="your key (default: environment variable XCKEY)"
    )
    name: str = option("--name", default="", metavar="TEXT", help="English name, matched exactly")
    scientific_name: Optional[str] = option(
        "--sci",
        default="",
        type=str,
        nargs="?",
        metavar="TEXT",
        help="scientific name; without a value, --name is the scientific one",
    )
    output_dir: str = option("-o", "--output", required=True, metavar="DIR", help="directory to fill")
    max_downloads: int = option("--max", default=500, metavar="N", help="most downloads (default: 500)")
    ignore_licence: bool = option(
        "--nolic", default=False, help="also take BY-NC-ND and recordings of unknown licence"
    )
    seen_only: bool = option("--seen", default=False, help="only recordings whose animal was seen")
    licences: Optional[str] = option(
        "--license", metavar="LIST", help="take only these licences, such as CC0,CC-BY"
    )
    dry_run: bool = option("--dry-run", default=False, help="only list what would come")
    jobs: int = option("--jobs", default=4, metavar="N", help="downloads at a time, 1 to 8 (default: 4)")

    def __post_init__(self) -> None:
        """Tell an option without a value from one that was not given."""
        self.scientific_name = True if self.scientific_name is None else self.scientific_name  # type: ignore[assignment]


def xeno(
    key: Optional[str] = None,
    name: str = "",
    output_dir: str = "",
    max_downloads: int = 500,
    ignore_licence: bool = False,
    scientific_name: Union[bool, str] = "",
    seen_only: bool = False,
    cfg_path: Optional[str] = None,
    licences: Optional[str] = None,
    dry_run: bool = False,
    jobs: int = 4,
) -> int:
    """Download recordings of a species from Xeno-canto.

    Parameters
    ----------
    key
        The user's key; default: environment variable ``XCKEY``.
    name
        English name; scientific if `scientific_name` is True.
    output_dir
        Directory to fill, made if missing.
    max_downloads
        Most downloads; recordings that are there already are not counted.
    ignore_licence
        Also take BY-NC-ND and recordings of unknown licence.
    scientific_name
        The scientific name, or True if `name` is that.
    seen_only
        Only recordings whose animal was seen.
    cfg_path
        YAML file of settings; read are `misc.xeno_url` and `misc.request_pause`.
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
    import os
    from pathlib import Path

    from britekit.collect import xeno_canto
    from britekit.collect.licences import parse_licences
    from britekit.collect.store import LISTING, Store, check_counts, listing
    from britekit.collect.web import Limits, Web
    from britekit.config import resolve
    from britekit.errors import InputError

    key = (key or os.environ.get(xeno_canto.KEY_VARIABLE) or "").strip()
    if not key:
        raise InputError("Xeno-canto needs a key: give --key, or set the environment variable XCKEY")
    check_counts(max_downloads, jobs)
    if not name and (not scientific_name or scientific_name is True):
        raise InputError("no species was named; give --name or --sci")
    if not output_dir:
        raise InputError("no directory was given to download into")
    cfg, wanted = resolve(cfg_path), parse_licences(licences)
    is_scientific = bool(scientific_name)
    species = scientific_name if isinstance(scientific_name, str) and scientific_name else name
    with Web(Limits.paced(cfg.misc.request_pause), [key]) as web:
        remotes = xeno_canto.find_recordings(
            web, cfg.misc.xeno_url, key, species, is_scientific, ignore_licence, seen_only, wanted
        )
        if dry_run:
            print(LISTING)
            for line in listing(remotes, Path(output_dir), max_downloads, count_present=False):
                print(line)
            return 0
        with Store(Path(output_dir), web) as store:
            outcome = store.bring_all(remotes, max_downloads, jobs, count_present=False, total=len(remotes))
    for line in outcome.lines():
        print(line)
    outcome.raise_for_failures()
    return outcome.fetched
