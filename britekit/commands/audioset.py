"""Download 10-second clips of AudioSet, by class or from a list.

With --name, a clip is used only if all its labels are the class or allowed beside it by
data/audioset/class_inclusion.csv. AudioSet's tables are fetched on first use (100 MB) and kept in
data/audioset. Videos that are not available any more are counted and skipped.

    britekit audioset --name Rain --rpt
    britekit audioset --name Rain -o recordings/rain --max 50
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `audioset`."""

    cfg_path: Optional[str] = config_option()
    class_name: Optional[str] = option("--name", metavar="TEXT", help="display name of a class, such as Rain")
    curated_csv_path: Optional[str] = option(
        "--curated", metavar="FILE", help="list of clips: CSV with YTID and start_seconds"
    )
    output_dir: Optional[str] = option("-o", "--output", metavar="DIR", help="directory to fill")
    max_downloads: int = option(
        "--max", default=500, metavar="N", help="most clips, those there already included (default: 500)"
    )
    sampling_rate: int = option("--sr", default=32000, metavar="HZ", help="sampling rate (default: 32000)")
    num_to_skip: int = option("--skip", default=0, metavar="N", help="leave out the first N (default: 0)")
    do_report: bool = option(
        "--rpt", default=False, help="only print how the clips of the class are labelled"
    )
    root_dir: str = option(
        "--root", default=".", metavar="DIR", help="directory that contains data/audioset (default: .)"
    )
    licences: Optional[str] = option(
        "--license", metavar="LIST", help="take only these licences, such as CC-BY"
    )
    dry_run: bool = option(
        "--dry-run", default=False, help="only list what would come (asks YouTube about each clip)"
    )
    jobs: int = option("--jobs", default=4, metavar="N", help="downloads at a time, 1 to 8 (default: 4)")


def audioset(
    class_name: Optional[str] = None,
    curated_csv_path: Optional[str] = None,
    output_dir: Optional[str] = None,
    max_downloads: int = 500,
    sampling_rate: int = 32000,
    num_to_skip: int = 0,
    do_report: bool = False,
    root_dir: str = ".",
    cfg_path: Optional[str] = None,
    licences: Optional[str] = None,
    dry_run: bool = False,
    jobs: int = 4,
) -> int:
    """Download 10-second clips of AudioSet.

    Parameters
    ----------
    class_name, curated_csv_path
        Display name of a class, or a list of clips; exactly one of them.
    output_dir
        Directory to fill, made if missing; not needed for the report.
    max_downloads
        Most clips, those that are there already included.
    sampling_rate
        Of the MP3s, Hz.
    num_to_skip
        Clips to leave out at the beginning.
    do_report
        Only print how many clips of the class have no other label, and the counts of the other labels.
    root_dir
        Contains ``data/audioset``.
    cfg_path
        YAML file of settings; read are `misc.audioset_url`, `misc.youtube_url` and `misc.request_pause`.
    licences
        Comma-separated licences to take.
    dry_run
        Only list what would come.
    jobs
        Downloads at a time, 1 to 8.

    Returns
    -------
    Number of clips downloaded; of the report, number of clips without another label.
    """
    from pathlib import Path

    from britekit.collect import audioset as clips
    from britekit.collect.clips import check_rate
    from britekit.collect.licences import parse_licences
    from britekit.collect.store import LISTING, Store, check_counts, listing
    from britekit.collect.web import Limits, Web
    from britekit.collect.youtube import looked_up
    from britekit.config import resolve
    from britekit.errors import InputError

    if bool(class_name) == bool(curated_csv_path):
        raise InputError("give either --name or --curated")
    if do_report and not class_name:
        raise InputError("--rpt needs --name")
    if not do_report and not output_dir:
        raise InputError("no directory was given to download into; give -o")
    check_counts(max_downloads, jobs, num_to_skip)
    check_rate(sampling_rate)
    cfg, root = resolve(cfg_path), Path(root_dir)
    with Web(Limits.paced(cfg.misc.request_pause)) as web:
        if do_report:
            counts = clips.report(web, cfg.misc.audioset_url, root, class_name or "")
            print(f"clips without another label = {counts.alone}")
            for name, count in counts.others:
                print(f"{name} = {count}")
            return counts.alone
        segments = (
            clips.clips_of_list(Path(curated_csv_path))
            if curated_csv_path
            else clips.clips_of_class(web, cfg.misc.audioset_url, root, class_name or "")
        )
        remotes = clips.as_remotes(
            segments, cfg.misc.youtube_url, sampling_rate, num_to_skip, parse_licences(licences)
        )
        directory = Path(output_dir or "")
        if dry_run:
            print(LISTING)
            known = looked_up(web, remotes, directory, parse_licences(licences))
            for line in listing(known, directory, max_downloads, count_present=True):
                print(line)
            return 0
        with Store(directory, web) as store:
            outcome = store.bring_all(remotes, max_downloads, jobs, count_present=True)
    for line in outcome.lines():
        print(line)
    outcome.raise_for_failures()
    if not outcome.fetched + outcome.present:
        tried = outcome.unavailable + outcome.unwanted
        what = f'"{class_name}"' if class_name else str(curated_csv_path)
        raise InputError(f"none of the {tried} clips of {what} could be had")
    return outcome.fetched
