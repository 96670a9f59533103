"""Build the training database from a tree of recordings.

Reads one folder of recordings per class, the class list, and the decisions in data/curation.csv. The same
input gives the same file, byte for byte.

A recording is assumed to contain the class of its folder from beginning to end, unless it is annotated: by
annotations.csv in its folder (recording,class,start_time,end_time), a Raven selection table or an Audacity
label file beside it. Then each segment gets the classes annotated in it, and segments without any are
skipped. Annotated recordings may also be in folders with other names, or directly in the tree.

A recording that cannot be read is reported and skipped; the database is still written, and the exit code is
1.

    britekit extract --dir data/recordings --classes data/classes.csv
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, SpecGroup, opt


def extract(
    cfg_path: ConfigPath = None,
    dir_path: Annotated[
        str, opt("--dir", metavar="DIR", help="tree of recordings, a folder per class (default: data/recordings)")
    ] = "data/recordings",
    classes_path: Annotated[
        Optional[str], opt("--classes", metavar="FILE", help="class list (default: misc.classes_file of the settings)")
    ] = None,
    curation_path: Annotated[
        Optional[str],
        opt("--curation", metavar="FILE", help="decisions about segments (default: data/curation.csv if it exists)"),
    ] = None,
    db_path: DbPath = None,
    spec_group: SpecGroup = "default",
    strict: Annotated[bool, opt("--strict", help="a decision that matches no segment is an error")] = False,
) -> int:
    """Build the training database from a tree ``<class>/<recording>``; return the number of spectrograms."""
    from pathlib import Path

    from britekit.config import resolve
    from britekit.datasets.extraction import build_training_database
    from britekit.tracking.lineage import DATABASE, RECORDINGS, TABLE
    from britekit.tracking.run import stage_run

    cfg = resolve(cfg_path)
    curation = Path(curation_path or "data/curation.csv")
    classes = Path(classes_path or cfg.misc.classes_file)
    with stage_run("extract", cfg, {dir_path: RECORDINGS, classes: TABLE, curation: TABLE}) as run:
        result = build_training_database(
            cfg,
            Path(dir_path),
            classes,
            curation if curation_path or curation.exists() else None,
            db_path or cfg.train.train_db,
            group=spec_group,
            strict=strict,
        )
        run.table("spectrograms", ["class", "spectrograms"], result.per_class.items())
        run.summary({"recordings": result.recordings, "spectrograms": result.spectrograms})
        run.output(db_path or cfg.train.train_db, DATABASE)
    for name, count in result.per_class.items():
        print(f"{name} = {count}")
    print(f"recordings = {result.recordings}")
    print(f"spectrograms = {result.spectrograms}")
    if cfg.pipeline.extract_variants:
        print(f"variants of each = {cfg.pipeline.extract_variants}")
    result.raise_for_failures()
    return result.spectrograms
