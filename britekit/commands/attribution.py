"""Write credits for a publication.

Lists author, licence and link of each recording, from a training database or from the recordings.csv of a
directory. Recordings of unknown licence are listed last.

    britekit attribution --dir data/recordings -o CREDITS.md
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, opt


def attribution(
    db_path: DbPath = None,
    dir_path: Annotated[Optional[str], opt("--dir", metavar="DIR", help="directory of recordings instead")] = None,
    output_path: Annotated[
        str, opt("-o", "--output", metavar="FILE", help=".md, .txt or .csv (default: credits.md)")
    ] = "credits.md",
    licences: Annotated[
        Optional[str], opt("--license", metavar="LIST", help="only recordings of these licences, such as CC0,CC-BY")
    ] = None,
    cfg_path: ConfigPath = None,
) -> int:
    """Write the credits that a publication needs.

    Returns
    -------
    Number of recordings credited.
    """
    from pathlib import Path

    from britekit.collect import attribution as credit
    from britekit.collect.licences import parse_licences
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.errors import InputError
    from britekit.files import refuse_overwriting

    if db_path and dir_path:
        raise InputError("give either a database or a directory, not both")
    wanted = parse_licences(licences)
    if dir_path:
        refuse_overwriting(output_path, Path(dir_path) / "recordings.csv", cfg_path)
        found = credit.credits_of_directory(Path(dir_path))
    else:
        database = db_path or resolve(cfg_path).train.train_db
        refuse_overwriting(output_path, database, cfg_path)
        with open_database(database) as session:
            found = credit.credits_of_database(session)
    found = credit.chosen(found, wanted)
    credit.write_credits(Path(output_path), found)
    print(f"recordings = {len(found)}")
    print(f"without a known licence = {credit.unlicensed(found)}")
    return len(found)
