"""Download recordings of a species from Xeno-canto.

Requires your own API key, which members find on their account page; set it in the environment variable XCKEY
rather than on the command line. Recordings of the best quality come first; existing files are skipped.
Author, place, time and licence are written to recordings.csv beside them.

    britekit xeno --name "Barred Owl" -o recordings/owl --max 50
"""

from typing import Annotated, Optional, Union

from britekit.options import ConfigPath, DryRun, FillDir, Jobs, Licences, opt


def xeno(
    key: Annotated[
        Optional[str], opt("--key", metavar="TEXT", help="your key (default: environment variable XCKEY)")
    ] = None,
    name: Annotated[str, opt("--name", metavar="TEXT", help="English name, matched exactly")] = "",
    output_dir: FillDir = "",
    max_downloads: Annotated[int, opt("--max", metavar="N", help="maximum number of downloads (default: 500)")] = 500,
    ignore_licence: Annotated[
        bool, opt("--nolic", help="also accept BY-NC-ND and recordings of unknown licence")
    ] = False,
    scientific_name: Annotated[
        Union[bool, str],
        opt(
            "--sci",
            type=str,
            nargs="?",
            metavar="TEXT",
            help="scientific name; without a value, --name is the scientific one",
        ),
    ] = "",
    seen_only: Annotated[bool, opt("--seen", help="only recordings whose animal was seen")] = False,
    cfg_path: ConfigPath = None,
    licences: Licences = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
) -> int:
    """Download recordings of a species from Xeno-canto.

    Returns
    -------
    Number of recordings downloaded.
    """
    import os
    from pathlib import Path

    from britekit.collect import xeno_canto
    from britekit.collect.licences import parse_licences
    from britekit.collect.recording_folder import LISTING, Store, check_counts, listing
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
