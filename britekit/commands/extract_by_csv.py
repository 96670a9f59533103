"""Store the spectrograms of the segments that a table names, under one class.

The table has the columns recording (stem or file name) and offset (seconds). The database, class, category,
source and spectrogram group are created if they are missing.

In a database that the pipeline builds, only segments that the build creates can be restored: those of
recordings in the class's folder. They are recorded in data/curation.csv.

    britekit extract-by-csv --name Ovenbird --rec-dir recordings --csv chosen.csv
"""

from typing import Annotated

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import (
    Category,
    ClassCode,
    ClassName,
    ConfigPath,
    CopyTo,
    DbPath,
    Force,
    RecordingsDir,
    SourceName,
    SpecGroup,
    TimeExpansion,
    opt,
)


@takes_time_expansion
def extract_by_csv(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    cat_name: Category = "default",
    class_code: ClassCode = None,
    class_name: ClassName = "",
    rec_dir: RecordingsDir = "",
    csv_path: Annotated[
        str, opt("--csv", required=True, metavar="FILE", help="table with the columns recording and offset")
    ] = "",
    dest_dir: CopyTo = None,
    src_name: SourceName = None,
    spec_group: SpecGroup = "default",
    force: Force = False,
    time_expansion: TimeExpansion = None,
) -> int:
    """Store the segments that a table names under one class; return how many spectrograms are new."""
    from britekit.commands._given_segments import store_listed
    from britekit.datasets.plans import wanted_by_csv

    facts = (cat_name, class_code, class_name, rec_dir, dest_dir, src_name, spec_group, force)
    return store_listed(wanted_by_csv, csv_path, cfg_path, db_path, *facts)
