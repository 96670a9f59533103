"""Copy a class from one training database to another.

Category, sources, recordings, segments and spectrograms are copied with it; those that the
destination already has are reused. The destination is created if it is missing, and must not have the class.

    britekit copy-class --src-db archive.db --dest-db data/owls.db --name "Barred Owl"
"""

from typing import Annotated

from britekit.options import ClassName, Force, opt


def copy_class(
    src_db_path: Annotated[
        str, opt("--src-db", required=True, metavar="DB", help="database to copy from: a path or a URL")
    ] = "",
    dest_db_path: Annotated[
        str, opt("--dest-db", required=True, metavar="DB", help="database to copy to: a path or a URL")
    ] = "",
    class_name: ClassName = "",
    force: Force = False,
) -> int:
    """Copy a class; return the number of spectrograms copied."""
    from britekit.database.classes import require_class
    from britekit.database.copying import copy_class as copy
    from britekit.database.session import open_database
    from britekit.database.targets import is_same_database
    from britekit.database.tracked import refuse_new_recordings
    from britekit.errors import InputError

    if is_same_database(src_db_path, dest_db_path):
        raise InputError("--src-db and --dest-db name the same database; give two different ones")
    if not force:
        refuse_new_recordings(dest_db_path, "copy-class")
    with open_database(src_db_path) as origin:
        require_class(origin, class_name)  # before a destination is made
        with open_database(dest_db_path, "create") as destination:
            copied = copy(origin, destination, class_name)
    print(f"recordings = {copied.recordings}")
    print(f"segments = {copied.segments}")
    print(f"spectrograms = {copied.spectrograms}")
    return copied.spectrograms
