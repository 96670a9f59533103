"""Create a project in a directory.

Writes the pipeline, its settings and lists, sample settings and ignore files, and runs `git init` and `dvc init`
where they are missing. Existing files stay as they are. Nothing is committed.

    britekit init --dest owls
    cd owls && git add . && git commit -m "Begin" && dvc repro && britekit summary
    britekit init --ci github
    britekit init --rounds 2        # stages of students that learn from unlabeled recordings
    britekit init --pretrain        # a stage that pre-trains the network on unlabeled recordings
    britekit init --preset few      # below 500 training clips
    britekit init --profile bats    # settings of sound for a group of animals; goes with --preset
"""

from pathlib import Path
from typing import Annotated, Optional

from britekit.options import opt

# Listed here, since help must not import the configuration.
_PROFILES = tuple(sorted(path.stem for path in Path(__file__).parents[1].glob("config/profiles/[a-z]*.py")))


def init(
    dest: Annotated[str, opt("--dest", metavar="DIR", help="directory of the project (default: .)")] = ".",
    force: Annotated[bool, opt("--force", help="overwrite existing files")] = False,
    ci: Annotated[
        Optional[str],
        opt("--ci", choices=("github", "gitlab"), help="also write a workflow for this service (default: none)"),
    ] = None,
    preset: Annotated[
        Optional[str],
        opt(
            "--preset",
            choices=("few", "some", "many"),
            help="settings for few training clips (below 500), some (to 10,000) or many (default: for any number)",
        ),
    ] = None,
    profile: Annotated[
        Optional[str],
        opt(
            "--profile",
            choices=_PROFILES,
            help="settings of sound for a group of animals; params.yaml states their evidence (default: birds)",
        ),
    ] = None,
    rounds: Annotated[
        Optional[int],
        opt("--rounds", metavar="N", help="also write the stages of N rounds of students (default: none)"),
    ] = None,
    pretrain: Annotated[
        bool, opt("--pretrain", help="also write the stage that pre-trains the network on unlabeled recordings")
    ] = False,
) -> None:
    """Create a project."""
    import shlex
    from pathlib import Path

    from britekit.files import write_text
    from britekit.project.layout import PRETRAINING, STUDENTS, lay_out, pretraining_text, students_text

    students = None if rounds is None else students_text(rounds)
    outcome = lay_out(dest, overwrite=force, ci=ci, preset=preset, profile=profile)
    if students is not None:
        write_text(Path(dest, STUDENTS), students)
        print(f"{STUDENTS} = {rounds} rounds; britekit exp pipeline.rounds={rounds} runs them")
    if pretrain:
        write_text(Path(dest, PRETRAINING), pretraining_text())
        print(f"{PRETRAINING} = written; britekit exp pipeline.pretrain=true runs it")
    print(f"copied = {outcome.copied}")
    print(f"skipped = {outcome.skipped}")
    steps = [
        ("edit data/classes.csv and data/sources.csv", "your species and folders (now six imaginary species)"),
        ("britekit collect --dry-run", "lists the recordings to be collected"),
        ('git add . && git commit -m "Begin"', "experiments need a first commit; init commits nothing"),
        ("dvc repro", "collects, trains, tests and packages"),
        ("britekit summary", "prints how good the recognizer is"),
        ("britekit exp train.num_epochs=20", "tries another setting and compares"),
    ]
    if outcome.has_commit:
        del steps[2]
    print("\nNext:")
    if dest != ".":
        print(f"  cd {shlex.quote(dest)}")
    for line, meaning in steps:
        print(f"  {line:<44}{meaning}")
