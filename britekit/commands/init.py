"""Create a project in a directory.

Writes the pipeline, its settings and lists, sample settings and ignore files, and runs `git init` and `dvc init`
where they are missing. Existing files stay as they are. Nothing is committed.

    britekit init --dest owls
    cd owls && git add . && git commit -m "Begin" && dvc repro && britekit summary
"""

from typing import Annotated

from britekit.options import opt


def init(
    dest: Annotated[str, opt("--dest", metavar="DIR", help="directory of the project (default: .)")] = ".",
    force: Annotated[bool, opt("--force", help="overwrite files that exist")] = False,
) -> None:
    """Create a project."""
    import shlex

    from britekit.project.layout import lay_out

    outcome = lay_out(dest, overwrite=force)
    print(f"copied = {outcome.copied}")
    print(f"skipped = {outcome.skipped}")
    print("\nNext:")
    if dest != ".":
        print(f"  cd {shlex.quote(dest)}")
    print("  edit data/classes.csv and data/sources.csv: your species and folders (now six imaginary species)")
    print("  britekit collect --dry-run       lists the recordings to be collected")
    if not outcome.has_commit:
        print('  git add . && git commit -m "Begin"       experiments need a first commit; init commits nothing')
    print("  dvc repro                        collects, trains, tests and packages")
    print("  britekit summary                 prints how good the recognizer is")
    print("  britekit exp train.num_epochs=20     runs an experiment and compares it with the last commit")
