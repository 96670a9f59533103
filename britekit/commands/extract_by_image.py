"""Store the spectrograms of the segments that image files name, under one class.

Each image names a recording and an offset, as plot-rec, plot-db, search and others write it. Sort the images
of a folder by eye, then bring in what was kept. The database, the class, its category, the source and the
spectrogram group are made where they are missing.

In a database that the pipeline builds, only segments that a rebuild makes can be brought back: those of
recordings in the class's folder. They are noted in data/curation.csv.

    britekit extract-by-image --name Ovenbird --rec-dir recordings --spec-dir images/good
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `extract-by-image`."""

    cfg_path: Optional[str] = config_option()
    db_path: Optional[str] = db_option()
    cat_name: str = option(
        "--cat", default="default", metavar="NAME", help="category of a new class (default: default)"
    )
    class_code: Optional[str] = option("--code", metavar="CODE", help="code of a new class")
    class_name: str = option("--name", required=True, metavar="NAME", help="class name")
    rec_dir: str = option("--rec-dir", required=True, metavar="DIR", help="directory of recordings")
    spec_dir: str = option("--spec-dir", required=True, metavar="DIR", help="directory of spectrogram images")
    dest_dir: Optional[str] = option(
        "--dest-dir", metavar="DIR", help="copy each recording there, and keep the path of the copy"
    )
    src_name: Optional[str] = option(
        "--src", metavar="NAME", help="source (default: told by the file name, see misc.source_regexes)"
    )
    spec_group: str = option(
        "--sgroup", default="default", metavar="NAME", help="spectrogram group (default: default)"
    )
    force: bool = option("--force", default=False, help="change a database that the pipeline builds")


def extract_by_image(
    cfg_path: Optional[str] = None,
    db_path: Optional[str] = None,
    cat_name: str = "default",
    class_code: Optional[str] = None,
    class_name: str = "",
    rec_dir: str = "",
    spec_dir: str = "",
    dest_dir: Optional[str] = None,
    src_name: Optional[str] = None,
    spec_group: str = "default",
    force: bool = False,
) -> int:
    """Store the segments that image files name under one class; return how many spectrograms are new."""
    from pathlib import Path

    from britekit.annotations.classes import clean_name
    from britekit.audio.files import shown
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.database.tracked import is_pipeline_output
    from britekit.datasets.extract_given import extract_given, wanted_by_images
    from britekit.datasets.extract_replayed import extract_replayed
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.datasets.recording_streams import check_overlap
    from britekit.errors import InputError

    class_name, class_code = clean_name(class_name, "--name"), clean_name(class_code or "", "--code")
    if not class_name:
        raise InputError("the class has no name; give it with --name")
    cfg = resolve(cfg_path)
    target = db_path or cfg.train.train_db
    # All that can be wrong is asked before a database is made.
    check_overlap(cfg.infer.overlap, cfg.audio.spec_duration)
    wanted = wanted_by_images(rec_dir, spec_dir)
    wanted.report(Path(rec_dir))
    if not wanted.offsets:
        raise InputError(f"{spec_dir} names no segment of a recording in {rec_dir}; see the warnings above")
    if is_pipeline_output(target) and not force:
        given = {
            "--cat": "" if cat_name == "default" else cat_name,
            "--code": class_code,
            "--src": src_name,
            "--dest-dir": dest_dir,
        }
        for flag, value in given.items():
            if value:
                raise InputError(f"{flag} cannot be kept by a database that the pipeline builds; see --force")
        with edit_by_hand(target) as edits:
            result = extract_replayed(
                edits,
                target,
                cfg,
                wanted,
                class_name,
                group=spec_group,
                on_recording=lambda path, count: print(f"{shown(path)}: {count}"),
            )
    else:
        with open_database(target, "create") as session:
            result = extract_given(
                session,
                cfg,
                wanted,
                class_name,
                code=class_code,
                category=cat_name,
                source=src_name or "",
                group=spec_group,
                dest_dir=dest_dir,
                on_recording=lambda path, count: print(f"{shown(path)}: {count}"),
            )
    print(f"Inserted {result.spectrograms} spectrograms")
    result.raise_for_failures()
    return result.spectrograms
