"""Write an occurrence database as a pickle, for fast access during inference.

Takes databases of both versions, and writes a pickle of the same version.

    britekit pickle-occurrence -d data/occurrence.db -o data/occurrence.pkl
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, opt


def pickle_occurrence(
    cfg_path: ConfigPath = None,
    db_path: Annotated[
        Optional[str],
        opt("-d", "--db", metavar="DB", help="occurrence database (default: data/occurrence.db below --root)"),
    ] = None,
    output_path: Annotated[
        Optional[str],
        opt("-o", "--output", metavar="FILE", help="file to write (default: data/occurrence.pkl below --root)"),
    ] = None,
    root_dir: Annotated[str, opt("--root", metavar="DIR", help="directory of the defaults (default: .)")] = "",
) -> None:
    """Write the pickle; see `britekit.OccurrencePickler`."""
    from pathlib import Path

    from britekit.config import resolve
    from britekit.files import refuse_overwriting
    from britekit.occurrence.pickler import OccurrencePickler

    resolve(cfg_path)  # settings that cannot be used are reported, though none is needed here
    data = Path(root_dir) / "data"
    output = output_path or data / "occurrence.pkl"
    refuse_overwriting(output, cfg_path)
    OccurrencePickler(db_path or data / "occurrence.db", output).pickle()
    print(f"written = {output}")
