"""Collect the recordings that data/sources.csv lists.

Training recordings go to data/recordings/<class>/, test recordings to the folder of
pipeline.test_annotations, unlabeled ones to data/unlabelled/. Existing files are kept. An unlabeled recording
that is tested, or of the group of a tested one, is refused.

DVC does not notice new clips in a source folder; `collect --refresh` adds them.

    britekit collect --dry-run
    britekit collect --refresh && dvc repro
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DryRun, opt


def collect(
    cfg_path: ConfigPath = None,
    sources_path: Annotated[
        str, opt("--sources", metavar="FILE", help="list of sources (default data/sources.csv)")
    ] = "data/sources.csv",
    dry_run: DryRun = False,
    licences: Annotated[
        Optional[str],
        opt("--license", metavar="LIST", help="accept only these licences, such as CC0,CC-BY (default: all)"),
    ] = None,
    jobs: Annotated[Optional[int], opt("--jobs", metavar="N", help="recordings at a time (default: up to 4)")] = None,
    refresh: Annotated[
        bool,
        opt(
            "--refresh",
            help="add new clips from source folders, by running the stage of the pipeline again; no other options",
        ),
    ] = False,
) -> int:
    """Bring the recordings that a list of sources names to disk.

    Returns
    -------
    Number of recordings of the list; 0 with `refresh`.
    """
    from collections import Counter
    from pathlib import Path

    from britekit.collect import collecting, planning
    from britekit.collect.download_cache import Downloads
    from britekit.collect.licences import parse_licences
    from britekit.collect.sources_file import project_of
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.tracking.dvc import run_stage_again
    from britekit.tracking.lineage import RECORDINGS, TABLE
    from britekit.tracking.run import stage_run

    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs is {jobs}; expected 1 or more")
    if refresh:
        if (cfg_path, sources_path, dry_run, licences, jobs) != (None, "data/sources.csv", False, None, None):
            raise InputError("--refresh runs the stage as defined in dvc.yaml; omit the other options")
        run_stage_again("collect")
        print("next = dvc repro (extracts and trains with what is new)")
        return 0
    cfg = resolve(cfg_path)
    wanted = parse_licences(licences)
    with Downloads(cfg.misc, project_of(Path(sources_path)), wanted) as downloads:
        planned, classes = planning.plan_collection(
            Path(sources_path), Path(cfg.misc.classes_file), wanted, cfg.misc, downloads, cfg.audio.spec_duration,
            Path(cfg.pipeline.test_annotations).parent,
        )  # fmt: skip
        if not dry_run:
            annotations = Path(cfg.pipeline.test_annotations)
            with stage_run("collect", cfg, {sources_path: TABLE, cfg.misc.classes_file: TABLE}) as run:
                done = collecting.collect(
                    planned, classes, Path("data/recordings"), annotations, jobs, downloads.web.stop.set,
                    Path("data/unlabelled"),
                )  # fmt: skip
                run.summary({"recordings": len(planned), "new_files": done.new})
                for folder in ("data/recordings", "data/unlabelled", annotations.parent):
                    run.output(folder, RECORDINGS)
    if dry_run:
        print("split\trecording\tseconds\tlicence\torigin")
        for item in planned:
            offer = item.offer
            seconds = "" if offer.seconds is None else f"{offer.seconds:.1f}"
            licence = offer.details.licence or "unknown"
            print(item.split, item.place, seconds, licence, offer.origin, sep="\t")
        counts = Counter(item.offer.class_name for item in planned if item.split == "train")
        for name, count in counts.items():
            print(f"{name} = {count} training recordings")
    else:
        print(f"new files = {done.new}")
        print(f"files already there = {done.present}")
        if done.unavailable:
            print(f"unavailable = {done.unavailable}")
    splits = Counter(item.split for item in planned)
    print(f"training recordings = {splits['train']}")
    print(f"test recordings = {splits['test']}")
    if splits["unlabelled"]:
        print(f"unlabeled recordings = {splits['unlabelled']}")
    if not dry_run and not done.annotated:
        from britekit.evaluation.untested import NEXT

        print(
            "annotated test recordings = 0: the pipeline trains, and packages without test and calibration. "
            f"Next: {NEXT}"
        )
    if not dry_run and any(item.row.source == "folder" for item in planned):
        print("to add new clips later: britekit collect --refresh && dvc repro")
    return len(planned)
