"""Download sounds of a taxon from iNaturalist.

Downloads sounds of observations with an agreed identification; existing files are skipped. Author, place,
time and licence are written to recordings.csv beside them, numbers and links of the observations to inat.csv.
Some sounds have all rights reserved; use --license to exclude them.

    britekit inat --name "American Toad" -o recordings/toad --license CC0,CC-BY,CC-BY-NC
"""

from typing import Annotated

from britekit.options import ConfigPath, DryRun, FillDir, Jobs, Licences, opt


def inat(
    name: Annotated[str, opt("--name", required=True, metavar="TEXT", help="common or scientific name")] = "",
    output_dir: FillDir = "",
    max_downloads: Annotated[
        int, opt("--max", metavar="N", help="maximum number of recordings, including existing ones (default: 500)")
    ] = 500,
    no_prefix: Annotated[bool, opt("--noprefix", help="file names without N before the number")] = False,
    include_unverified: Annotated[bool, opt("--nover", help="include observations that need identification")] = False,
    cfg_path: ConfigPath = None,
    licences: Licences = None,
    dry_run: DryRun = False,
    jobs: Jobs = 4,
) -> int:
    """Download sounds of a taxon from iNaturalist.

    Returns
    -------
    Number of recordings downloaded.
    """
    from pathlib import Path

    from britekit.collect import inaturalist
    from britekit.collect.csv_log import CsvLog
    from britekit.collect.licences import parse_licences
    from britekit.collect.recording_folder import LISTING, Store, check_counts, listing
    from britekit.collect.web import Limits, Web
    from britekit.config import resolve
    from britekit.errors import InputError

    check_counts(max_downloads, jobs)
    if not output_dir:
        raise InputError("no directory was given to download into")
    directory, cfg, wanted = Path(output_dir), resolve(cfg_path), parse_licences(licences)
    with Web(Limits.paced(cfg.misc.request_pause)) as web:
        remotes = inaturalist.find_sounds(web, cfg.misc.inat_url, name, not no_prefix, include_unverified, wanted)
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
