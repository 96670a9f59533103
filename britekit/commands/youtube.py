"""Download the sound track of a video as MP3.

Information about the video is written to recordings.csv beside it. Most videos do not permit reuse; only
those marked as Creative Commons have a known licence.

    britekit youtube --id dQw4w9WgXcQ -o recordings
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, FillDir, opt


def youtube(
    id: Annotated[str, opt("--id", required=True, metavar="TEXT", help="identifier of the video, 11 letters")] = "",
    output_dir: FillDir = "",
    sampling_rate: Annotated[int, opt("--sr", metavar="HZ", help="sampling rate (default: 32000)")] = 32000,
    cfg_path: ConfigPath = None,
    licences: Annotated[
        Optional[str], opt("--license", metavar="LIST", help="accept only these licences, such as CC-BY")
    ] = None,
    dry_run: Annotated[bool, opt("--dry-run", help="only print what would be downloaded")] = False,
) -> int:
    """Download the sound track of a video as MP3.

    Returns
    -------
    1 if it was downloaded, 0 if it was there already.
    """
    from dataclasses import replace
    from pathlib import Path

    from britekit.audio.mp3 import check_rate
    from britekit.collect.licences import parse_licences
    from britekit.collect.recording_folder import LISTING, Store, listing
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
