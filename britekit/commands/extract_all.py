"""Store the spectrograms of a folder of recordings under one class.

Every recording of the folder is cut into segments. The database, the class, its category, the source and the
spectrogram group are made where they are missing. Recordings that the class has already are skipped.

    britekit extract-all --name Ovenbird --code OVEN --dir recordings/Ovenbird
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `extract-all`."""

    cfg_path: Optional[str] = config_option()
    db_path: Optional[str] = db_option()
    cat_name: str = option(
        "--cat", default="default", metavar="NAME", help="category of a new class (default: default)"
    )
    class_code: Optional[str] = option("--code", metavar="CODE", help="code of a new class")
    class_name: str = option("--name", required=True, metavar="NAME", help="class name")
    dir_path: str = option("--dir", required=True, metavar="DIR", help="directory of recordings")
    overlap: Optional[float] = option(
        "--overlap",
        metavar="SECONDS",
        help="shared by neighbouring segments (default: infer.overlap of the settings)",
    )
    src_name: Optional[str] = option(
        "--src", metavar="NAME", help="source (default: told by the file name, see misc.source_regexes)"
    )
    spec_group: str = option(
        "--sgroup", default="default", metavar="NAME", help="spectrogram group (default: default)"
    )
    max_spec: Optional[int] = option(
        "--max-spec", metavar="N", help="at most so many segments of a recording, evenly spaced"
    )
    max_rec: Optional[int] = option(
        "--max-rec", metavar="N", help="at most so many recordings, evenly spaced"
    )
    randomize: bool = option(
        "--random", default=False, help="with --max-spec and --max-rec: drawn by lot, not evenly spaced"
    )
    include_existing: bool = option(
        "--include-existing", default=False, help="also look at recordings that the class has already"
    )
    force: bool = option("--force", default=False, help="change a database that the pipeline builds")


def extract_all(
    cfg_path: Optional[str] = None,
    db_path: Optional[str] = None,
    cat_name: str = "default",
    class_code: Optional[str] = None,
    class_name: str = "",
    dir_path: str = "",
    overlap: Optional[float] = None,
    src_name: Optional[str] = None,
    spec_group: str = "default",
    include_existing: bool = False,
    force: bool = False,
    max_spec: Optional[int] = None,
    max_rec: Optional[int] = None,
    randomize: bool = False,
) -> int:
    """Store the spectrograms of a folder of recordings under one class; return how many are new."""
    import logging

    from britekit.annotations.classes import clean_name
    from britekit.audio.files import find_recordings, shown
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.database.tracked import refuse_new_recordings
    from britekit.datasets.extract_folder import extract_folder
    from britekit.datasets.recording_streams import check_overlap
    from britekit.errors import InputError

    for limit, flag in ((max_spec, "--max-spec"), (max_rec, "--max-rec")):
        if limit is not None and limit < 1:
            raise InputError(f"{flag} is {limit}; expected 1 or more")
    class_name, class_code = clean_name(class_name, "--name"), clean_name(class_code or "", "--code")
    if not class_name:
        raise InputError("the class has no name; give it with --name")
    if randomize and max_spec is None and max_rec is None:
        logging.getLogger(__name__).warning("--random chooses nothing without --max-spec or --max-rec")
    cfg = resolve(cfg_path)
    target = db_path or cfg.train.train_db
    # All that can be wrong is asked before a database is made.
    check_overlap(cfg.infer.overlap if overlap is None else overlap, cfg.audio.spec_duration)
    paths = find_recordings(dir_path)
    if not force:
        refuse_new_recordings(target, "extract-all")
    with open_database(target, "create") as session:
        result = extract_folder(
            session,
            cfg,
            paths,
            class_name,
            code=class_code,
            category=cat_name,
            overlap=overlap,
            source=src_name or "",
            group=spec_group,
            include_existing=include_existing,
            on_recording=lambda path, count: print(f"{shown(path)}: {count}"),
            max_per_recording=max_spec,
            max_recordings=max_rec,
            at_random=randomize,
        )
        # What is stored stays stored; a failure after this line must not be taken for one of the database.
    if result.skipped:
        print(f'Skipped {result.skipped} recordings that "{class_name}" has already; see --include-existing')
    print(f"Inserted {result.spectrograms} spectrograms")
    result.raise_for_failures()
    return result.spectrograms
