"""Write the training file from a training database: spectrograms and labels.

Classes are ordered as in the class list, or by name without one. A segment of several chosen classes is
written once with all of them; a segment that also has a class that is not chosen is skipped.

    britekit pickle --classes data/classes.csv -o data/training.pkl
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, SpecGroup, opt


def pickle(
    cfg_path: ConfigPath = None,
    classes_path: Annotated[
        Optional[str], opt("--classes", metavar="FILE", help="class list (default: all classes of the database)")
    ] = None,
    db_path: DbPath = None,
    output_path: Annotated[
        Optional[str],
        opt("-o", "--output", metavar="FILE", help="file to write (default: data/training.pkl below --root)"),
    ] = None,
    root_dir: Annotated[str, opt("--root", metavar="DIR", help="directory of the default output (default: .)")] = ".",
    max_per_class: Annotated[
        Optional[int], opt("-m", "--max", metavar="N", help="maximum number of spectrograms per class")
    ] = None,
    spec_group: SpecGroup = "default",
    keep_mixed: Annotated[
        bool, opt("--keep-mixed", help="keep segments that also carry another class, ignoring that class")
    ] = False,
) -> int:
    """Write the training file; return the number of spectrograms in it."""
    from pathlib import Path

    from britekit.annotations.classes import read_classes
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.datasets.pickling import write_training_pickle
    from britekit.files import refuse_overwriting
    from britekit.tracking.lineage import DATABASE, PICKLE, TABLE
    from britekit.tracking.run import stage_run

    cfg = resolve(cfg_path)
    classes = None if classes_path is None else read_classes(classes_path)
    output = Path(output_path) if output_path else Path(root_dir) / "data" / "training.pkl"
    database = db_path or cfg.train.train_db
    refuse_overwriting(output, database, classes_path, cfg_path)
    inputs = {database: DATABASE} | ({} if classes_path is None else {classes_path: TABLE})
    with stage_run("pickle", cfg, inputs) as run, open_database(database) as session:
        counts, total = write_training_pickle(
            session,
            output,
            cfg.audio.spec_height,
            cfg.audio.spec_width,
            classes,
            group=spec_group,
            max_per_class=max_per_class,
            keep_mixed=keep_mixed,
        )
        run.table("classes", ["class", "spectrograms"], counts.items())
        run.summary({"spectrograms": total})
        run.output(output, PICKLE)
    for name, count in counts.items():
        print(f"{name} = {count}")
    print(f"spectrograms = {total}")
    return total
