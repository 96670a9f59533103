"""Lay out a working project in a directory.

Writes the pipeline, its settings and lists, sample settings and ignore files, and makes the directory a git
and DVC repository where it is none. Files that exist are left alone. Nothing is committed.

    britekit init --dest owls
    cd owls && git add . && git commit -m "Begin" && dvc repro && britekit summary
"""

from typing import Annotated

from britekit.options import opt


def init(
    dest: Annotated[str, opt("--dest", metavar="DIR", help="directory of the project (default: .)")] = ".",
    force: Annotated[bool, opt("--force", help="overwrite files that exist")] = False,
) -> None:
    """Lay out a working project."""
    import shlex

    from britekit.project.layout import lay_out

    outcome = lay_out(dest, overwrite=force)
    print(f"copied = {outcome.copied}")
    print(f"skipped = {outcome.skipped}")
    print("\nNext:")
    if dest != ".":
        print(f"  cd {shlex.quote(dest)}")
    print("  edit data/classes.csv and data/sources.csv: your species and folders (now: six imaginary species)")
    print("  britekit collect --dry-run       lists what would come")
    if not outcome.has_commit:
        print('  git add . && git commit -m "Begin"       dvc exp run needs a first commit; nothing is committed yet')
    print("  dvc repro                        collects, trains, tests and packages")
    print("  britekit summary                 shows how good the recognizer is")
