"""Download the sound track of a video as MP3.

What is known about the video goes to recordings.csv beside it. The terms of most videos give no permission to
use them: only those marked as Creative Commons have a known licence.

    britekit youtube --id dQw4w9WgXcQ -o recordings
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `youtube`."""

    cfg_path: Optional[str] = config_option()
    id: str = option("--id", required=True, metavar="TEXT", help="identifier of the video, 11 letters")
    output_dir: str = option("-o", "--output", required=True, metavar="DIR", help="directory to fill")
    sampling_rate: int = option("--sr", default=32000, metavar="HZ", help="sampling rate (default: 32000)")
    licences: Optional[str] = option(
        "--license", metavar="LIST", help="take it only under one of these licences, such as CC-BY"
    )
    dry_run: bool = option("--dry-run", default=False, help="only say what would come")


def youtube(
    id: str = "",
    output_dir: str = "",
    sampling_rate: int = 32000,
    cfg_path: Optional[str] = None,
    licences: Optional[str] = None,
    dry_run: bool = False,
) -> int:
    """Download the sound track of a video as MP3.

    Parameters
    ----------
    id
        Identifier of the video.
    output_dir
        Directory to fill, made if missing.
    sampling_rate
        Of the MP3, Hz.
    cfg_path
        YAML file of settings; read are `misc.youtube_url` and `misc.request_pause`.
    licences
        Comma-separated licences; a video of another licence is an error.
    dry_run
        Only say what would come.

    Returns
    -------
    1 if it was downloaded, 0 if it was there already.
    """
    from dataclasses import replace
    from pathlib import Path

    from britekit.collect.clips import check_rate
    from britekit.collect.licences import parse_licences
    from britekit.collect.store import LISTING, Store, listing
    from britekit.collect.web import Limits, Web
    from britekit.collect.youtube import look_up, video
    from britekit.config import resolve
    from britekit.errors import InputError

    check_rate(sampling_rate)
    if not output_dir:
        raise InputError("no directory was given to download into")
    cfg = resolve(cfg_path)
    remote = video(cfg.misc.youtube_url, id, sampling_rate, parse_licences(licences))
    with Web(Limits.paced(cfg.misc.request_pause)) as web:
        if dry_run:
            details, seconds = look_up(web, remote.origin)
            print(LISTING)
            for line in listing(
                [replace(remote, details=details, seconds=seconds)], Path(output_dir), 1, count_present=True
            ):
                print(line)
            return 0
        with Store(Path(output_dir), web) as store:
            new = store.bring(remote)
    print(f"fetched = {int(new)}")
    print(f"present = {int(not new)}")
    return int(new)
