"""Lay out a working project in a directory.

Writes the pipeline, its settings and lists, sample settings and ignore files, and makes the directory a git
and DVC repository where it is none. Files that exist are left alone. Nothing is committed.

    britekit init --dest owls
    cd owls && git add . && git commit -m "Begin" && dvc repro
"""

from dataclasses import dataclass

from britekit.options import option


@dataclass(kw_only=True)
class Options:
    dest: str = option("--dest", default=".", metavar="DIR", help="directory of the project (default: .)")
    force: bool = option("--force", default=False, help="overwrite files that exist")


def init(dest: str = ".", force: bool = False) -> None:
    """Lay out a working project.

    Parameters
    ----------
    dest
        Directory, made if missing.
    force
        Whether to overwrite files that exist.
    """
    from britekit.project.layout import lay_out

    outcome = lay_out(dest, overwrite=force)
    print(f"copied = {outcome.copied}")
    print(f"skipped = {outcome.skipped}")
