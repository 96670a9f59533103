"""Shared by extract-by-image and extract-by-csv: store listed segments under one class."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from britekit.datasets.plans import Wanted


def store_listed(
    read: "Callable[[str, str], Wanted]",
    listed_in: str,
    cfg_path: Optional[str],
    db_path: Optional[str],
    cat_name: str,
    class_code: Optional[str],
    class_name: str,
    rec_dir: str,
    dest_dir: Optional[str],
    src_name: Optional[str],
    spec_group: str,
    force: bool,
) -> int:
    """Store the segments that `read` finds in `listed_in`; return the number of new spectrograms."""
    from pathlib import Path

    from britekit.annotations.classes import clean_name
    from britekit.audio.files import shown
    from britekit.audio.window_grid import WindowGrid
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.database.tracked import is_pipeline_output
    from britekit.datasets.adding import extract_given
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.datasets.pipeline_edits import extract_replayed
    from britekit.errors import InputError, counted

    class_name, class_code = clean_name(class_name, "--name"), clean_name(class_code or "", "--code")
    if not class_name:
        raise InputError("the class has no name; give it with --name")
    cfg = resolve(cfg_path)
    target = db_path or cfg.train.train_db
    # All that can be wrong is asked before a database is made.
    WindowGrid.for_extraction(cfg.audio.spec_duration, cfg.infer.overlap)
    wanted = read(rec_dir, listed_in)
    wanted.report(Path(rec_dir))
    if not wanted.offsets:
        raise InputError(f"{listed_in} names no segment of a recording in {rec_dir}; see the warnings above")
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
    print(f"Inserted {counted(result.spectrograms, 'spectrogram')}")
    result.raise_for_failures()
    return result.spectrograms
