"""Find training segments that are probably labeled wrongly, and classes that are confused.

Trains --folds times, each time without a part of the training file, so that every segment is scored by a model
that has not seen its recording. A label is doubtful if another one is confident instead (confident learning).
Writes doubtful.csv (strongest doubt first), confusion.csv (per class, what it is taken for besides),
doubtful.jpeg (a sheet of the first 72), queue.csv for review, and curation.csv, rows that drop the doubtful
labels: copy those that you agree with to data/curation.csv. This command only reads the database.

    britekit rpt-doubtful -o results/doubtful
    britekit review -i data/recordings --queue results/doubtful/queue.csv --verdicts results/doubtful/verdicts.csv
"""

from typing import Annotated, Any

from britekit.options import ConfigPath, DbPath, ReportDir, SpecGroup, opt


def rpt_doubtful(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    output_path: ReportDir = "",
    folds: Annotated[int, opt("--folds", metavar="N", help="parts of the training file (default: 5)")] = 5,
    seed: Annotated[int, opt("--seed", metavar="INT", help="seed of the trainings (default: 1)")] = 1,
    root: Annotated[
        str,
        opt("-i", "--input", metavar="DIR", help="recordings, as review will be given them (default: data/recordings)"),
    ] = "data/recordings",
    spec_group: SpecGroup = "default",
) -> Any:
    """Report doubtful labels; return a `britekit.evaluation.doubtful.DoubtReport`."""
    from pathlib import Path

    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.errors import InputError
    from britekit.evaluation.doubtful import find_doubts, write_doubts

    if not output_path:
        raise InputError("an output directory is needed: name it with -o")
    cfg = resolve(cfg_path)
    with open_database(db_path or cfg.train.train_db) as session:
        report = find_doubts(session, cfg, folds, seed, spec_group)
        pages = write_doubts(Path(output_path), session, report, cfg, Path(root), spec_group)
    for column, info in enumerate(report.samples.classes):
        wrong, missing = report.of_class(column, True), report.of_class(column, False)
        print(f"{info.name} = {wrong} of {int(report.samples.labels[:, column].sum())} doubtful, {missing} missing")
    print(f"segments = {len(report.samples.labels)}")
    print(f"doubtful = {len(report.doubts)}")
    for page in pages:
        print(f"sheet = {page}")
    return report
