"""Bring the recordings that data/sources.csv lists to disk.

Training recordings go to data/recordings/<class>/, test recordings beside the annotations that
pipeline.test_annotations names. What is there already is kept.

    britekit collect --dry-run
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `collect`."""

    cfg_path: Optional[str] = config_option()
    sources_path: str = option(
        "--sources",
        default="data/sources.csv",
        metavar="FILE",
        help="list of sources (default data/sources.csv)",
    )
    dry_run: bool = option("--dry-run", default=False, help="only list what would come")
    licences: Optional[str] = option(
        "--license", metavar="LIST", help="take only these licences, such as CC0,CC-BY (default: all)"
    )
    jobs: Optional[int] = option(
        "--jobs", type=int, metavar="N", help="recordings at a time (default: up to 4)"
    )


def collect(
    cfg_path: Optional[str] = None,
    sources_path: str = "data/sources.csv",
    dry_run: bool = False,
    licences: Optional[str] = None,
    jobs: Optional[int] = None,
) -> int:
    """Bring the recordings that a list of sources names to disk.

    Parameters
    ----------
    cfg_path
        YAML file of settings; read are `pipeline.test_annotations`, `misc.classes_file`, `misc.map_codes`.
    sources_path
        The list of sources.
    dry_run
        Only list what would come.
    licences
        Comma-separated licences to take; None takes all. An unknown licence is never taken with it.
    jobs
        Recordings fetched at a time, at least 1.

    Returns
    -------
    Number of recordings of the list.
    """
    from pathlib import Path

    from britekit.collect import gathering
    from britekit.collect.downloads import Downloads
    from britekit.collect.licences import parse_licences
    from britekit.collect.sources_file import project_of
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.tracking.run import stage_run

    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs is {jobs}; expected 1 or more")
    cfg = resolve(cfg_path)
    wanted = parse_licences(licences)
    with Downloads(cfg.misc, project_of(Path(sources_path)), wanted) as downloads:
        planned, classes = gathering.plan_collection(
            Path(sources_path), Path(cfg.misc.classes_file), wanted, cfg.misc.map_codes, downloads
        )
        if not dry_run:
            annotations = Path(cfg.pipeline.test_annotations)
            with stage_run("collect", cfg, [sources_path, cfg.misc.classes_file]) as run:
                done = gathering.collect(
                    planned, classes, Path("data/recordings"), annotations, jobs, downloads.web.stop.set
                )
                run.summary({"recordings": len(planned), "new_files": done.new})
    if dry_run:
        print("split\trecording\tseconds\tlicence\torigin")
        for item in planned:
            offer = item.offer
            seconds = "" if offer.seconds is None else f"{offer.seconds:.1f}"
            licence = offer.details.licence or "unknown"
            print(item.row.split, item.place, seconds, licence, offer.origin, sep="\t")
    else:
        print(f"new files = {done.new}")
        print(f"files already there = {done.present}")
        if done.unavailable:
            print(f"unavailable = {done.unavailable}")
    print(f"training recordings = {sum(not item.is_test for item in planned)}")
    print(f"test recordings = {sum(item.is_test for item in planned)}")
    return len(planned)
