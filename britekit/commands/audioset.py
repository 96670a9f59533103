"""Download 10-second clips of AudioSet, by class or from a list.

With --name, a clip is used only if all its labels are the class itself or allowed by
data/audioset/class_inclusion.csv. AudioSet's tables (100 MB) are downloaded on first use and kept in
data/audioset. Videos that are no longer available are counted and skipped.

    britekit audioset --name Rain --rpt
    britekit audioset --name Rain -o recordings/rain --max 50
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, Jobs, opt


def audioset(
    class_name: Annotated[
        Optional[str], opt("--name", metavar="TEXT", help="display name of a class, such as Rain")
    ] = None,
    curated_csv_path: Annotated[
        Optional[str], opt("--curated", metavar="FILE", help="list of clips: CSV with YTID and start_seconds")
    ] = None,
    output_dir: Annotated[Optional[str], opt("-o", "--output", metavar="DIR", help="output directory")] = None,
    max_downloads: Annotated[
        int, opt("--max", metavar="N", help="maximum number of clips, including existing ones (default: 500)")
    ] = 500,
    sampling_rate: Annotated[int, opt("--sr", metavar="HZ", help="sampling rate (default: 32000)")] = 32000,
    num_to_skip: Annotated[int, opt("--skip", metavar="N", help="skip the first N (default: 0)")] = 0,
    do_report: Annotated[bool, opt("--rpt", help="only print how the clips of the class are labeled")] = False,
    root_dir: Annotated[
        str, opt("--root", metavar="DIR", help="directory that contains data/audioset (default: .)")
    ] = ".",
    cfg_path: ConfigPath = None,
    licences: Annotated[
        Optional[str], opt("--license", metavar="LIST", help="accept only these licences, such as CC-BY")
    ] = None,
    dry_run: Annotated[
        bool, opt("--dry-run", help="only list the clips to be downloaded (asks YouTube about each)")
    ] = False,
    jobs: Jobs = 4,
) -> int:
    """Download 10-second clips of AudioSet.

    Returns
    -------
    Number of clips downloaded; of the report, number of clips without another label.
    """
    from pathlib import Path

    from britekit.audio.mp3 import check_rate
    from britekit.collect import audioset as clips
    from britekit.collect.audioset_tables import read_curated
    from britekit.collect.licences import parse_licences
    from britekit.collect.recording_folder import LISTING, Store, check_counts, listing
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
            read_curated(Path(curated_csv_path))
            if curated_csv_path
            else clips.clips_of_class(web, cfg.misc.audioset_url, root, class_name or "")
        )
        remotes = clips.as_remotes(segments, cfg.misc.youtube_url, sampling_rate, num_to_skip, parse_licences(licences))
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
