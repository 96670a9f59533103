"""Build the training database from a tree of recordings.

Reads one folder of recordings per class, the class list, and the decisions of data/curation.csv. The same
input gives the same file, byte for byte.

A recording holds the class of its folder over its whole length, unless it is annotated: by annotations.csv in
its folder (recording,class,start_time,end_time), a Raven selection table or an Audacity label file beside it.
Then its segments get the classes that are heard in them, and segments in which nothing is heard are left out.
Annotated recordings may also lie in folders that are no class's, or in the tree's own folder.

A recording that cannot be read is reported and left out; the database is written all the same, and the exit
code is 1.

    britekit extract --dir data/recordings --classes data/classes.csv
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `extract`."""

    cfg_path: Optional[str] = config_option()
    dir_path: str = option(
        "--dir",
        default="data/recordings",
        metavar="DIR",
        help="tree of recordings, a folder per class (default: data/recordings)",
    )
    classes_path: Optional[str] = option(
        "--classes", metavar="FILE", help="class list (default: misc.classes_file of the settings)"
    )
    curation_path: Optional[str] = option(
        "--curation",
        metavar="FILE",
        help="decisions about segments (default: data/curation.csv if it is there)",
    )
    db_path: Optional[str] = db_option()
    spec_group: str = option(
        "--sgroup", default="default", metavar="NAME", help="spectrogram group (default: default)"
    )
    strict: bool = option("--strict", default=False, help="a decision that matches no segment is an error")


def extract(
    cfg_path: Optional[str] = None,
    dir_path: str = "data/recordings",
    classes_path: Optional[str] = None,
    curation_path: Optional[str] = None,
    db_path: Optional[str] = None,
    spec_group: str = "default",
    strict: bool = False,
) -> int:
    """Build the training database from a tree ``<class>/<recording>``; return the number of spectrograms."""
    from pathlib import Path

    from britekit.config import resolve
    from britekit.datasets.extraction import build_training_database
    from britekit.tracking.run import stage_run

    cfg = resolve(cfg_path)
    curation = Path(curation_path or "data/curation.csv")
    classes = Path(classes_path or cfg.misc.classes_file)
    with stage_run("extract", cfg, [dir_path, classes, curation]) as run:
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
    for name, count in result.per_class.items():
        print(f"{name} = {count}")
    print(f"recordings = {result.recordings}")
    print(f"spectrograms = {result.spectrograms}")
    result.raise_for_failures()
    return result.spectrograms
