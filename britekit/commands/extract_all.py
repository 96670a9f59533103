"""Store the spectrograms of a folder of recordings under one class.

Every recording of the folder is cut into segments. The database, class, category, source and spectrogram
group are created if they are missing. Recordings that the class already has are skipped.

    britekit extract-all --name Ovenbird --code OVEN --dir recordings/Ovenbird
"""

from typing import Annotated, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import (
    Category,
    ClassCode,
    ClassName,
    ConfigPath,
    DbPath,
    Force,
    SourceName,
    SpecGroup,
    TimeExpansion,
    opt,
)


@takes_time_expansion
def extract_all(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    cat_name: Category = "default",
    class_code: ClassCode = None,
    class_name: ClassName = "",
    dir_path: Annotated[str, opt("--dir", required=True, metavar="DIR", help="directory of recordings")] = "",
    max_spec: Annotated[
        Optional[int], opt("--max-spec", metavar="N", help="maximum number of segments per recording, evenly spaced")
    ] = None,
    max_rec: Annotated[
        Optional[int], opt("--max-rec", metavar="N", help="maximum number of recordings, evenly spaced")
    ] = None,
    overlap: Annotated[
        Optional[float],
        opt(
            "--overlap",
            metavar="SECONDS",
            help="overlap of neighboring segments (default: infer.overlap of the settings)",
        ),
    ] = None,
    src_name: SourceName = None,
    spec_group: SpecGroup = "default",
    include_existing: Annotated[
        bool, opt("--include-existing", help="do not skip recordings that the class already has")
    ] = False,
    randomize: Annotated[
        bool, opt("--random", help="with --max-spec and --max-rec: choose at random instead of evenly spaced")
    ] = False,
    force: Force = False,
    time_expansion: TimeExpansion = None,
) -> int:
    """Store the spectrograms of a folder of recordings under one class; return how many are new."""
    import logging

    from britekit.annotations.classes import clean_name
    from britekit.audio.files import find_recordings, shown
    from britekit.audio.window_grid import WindowGrid
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.database.tracked import refuse_new_recordings
    from britekit.datasets.adding import extract_folder
    from britekit.errors import InputError, counted

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
    WindowGrid.for_extraction(cfg.audio.spec_duration, cfg.infer.overlap if overlap is None else overlap)
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
        # What is stored stays stored; a failure after this line must not be reported as one of the database.
    if result.skipped:
        print(f'Skipped {result.skipped} recordings that "{class_name}" has already; see --include-existing')
    print(f"Inserted {counted(result.spectrograms, 'spectrogram')}")
    result.raise_for_failures()
    return result.spectrograms
