"""Store the spectrograms of the segments that image files name, under one class.

Each image name contains a recording and an offset, as written by plot-rec, plot-db, search and others. Sort
the images of a folder by eye, then add those you kept. The database, class, category, source and spectrogram
group are created if they are missing.

In a database that the pipeline builds, only segments that the build creates can be restored: those of
recordings in the class's folder. They are recorded in data/curation.csv.

    britekit extract-by-image --name Ovenbird --rec-dir recordings --spec-dir images/good
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
def extract_by_image(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    cat_name: Category = "default",
    class_code: ClassCode = None,
    class_name: ClassName = "",
    rec_dir: RecordingsDir = "",
    spec_dir: Annotated[
        str, opt("--spec-dir", required=True, metavar="DIR", help="directory of spectrogram images")
    ] = "",
    dest_dir: CopyTo = None,
    src_name: SourceName = None,
    spec_group: SpecGroup = "default",
    force: Force = False,
    time_expansion: TimeExpansion = None,
) -> int:
    """Store the segments that image files name under one class; return how many spectrograms are new."""
    from britekit.commands._given_segments import store_listed
    from britekit.datasets.plans import wanted_by_images

    facts = (cat_name, class_code, class_name, rec_dir, dest_dir, src_name, spec_group, force)
    return store_listed(wanted_by_images, spec_dir, cfg_path, db_path, *facts)
