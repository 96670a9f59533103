"""Run the pipeline with other settings, and compare the result with the last commit.

Each NAME=VALUE replaces a setting of params.yaml. DVC runs the stages that read it (`dvc exp run -S NAME=VALUE`)
and keeps the result as an experiment, which `dvc exp show -A` lists. Then `compare HEAD` prints the differences.
The repository needs a first commit.

    britekit exp train.model_type=effnet.4
    britekit exp train.num_epochs=20 train.learning_rate=0.001

An agent of a W&B sweep (sweep.yaml) runs this command, which then also reports the metrics of the pipeline to it.
"""

from typing import Annotated, Any

from britekit.options import opt


def exp(
    settings: Annotated[
        list[str],
        opt("settings", type=str, nargs="+", metavar="NAME=VALUE", help="settings, such as train.num_epochs=20"),
    ],
) -> str:
    """Run the pipeline with other settings and compare with the last commit; return the verdict."""
    import os

    from britekit.commands.compare import compare
    from britekit.errors import InputError
    from britekit.project.layout import NEEDS_COMMIT, has_commit
    from britekit.tracking.dvc import run_experiment
    from britekit.tracking.facts import project_root

    for text in settings:
        if not text.partition("=")[0] or "=" not in text:
            raise InputError(f'"{text}" does not set anything; expected NAME=VALUE, such as train.num_epochs=20')
    if not has_commit(project_root()):
        raise InputError(f"the Git repository has no commit yet, which an experiment is compared with; {NEEDS_COMMIT}")
    _lay_out_stages(settings, project_root())
    if os.environ.get("WANDB_SWEEP_ID"):
        _run_for_sweep(settings, project_root())
    else:
        run_experiment(settings)
    print()
    try:
        return compare("HEAD")
    except InputError as error:
        raise InputError(f"the experiment is done, but there is nothing to compare it with: {error}") from None


def _run_for_sweep(settings: list[str], root: Any) -> None:
    """Run the experiment as the run that an agent of a W&B sweep waits for, and report the metrics of the pipeline."""
    import json
    import os

    from britekit.config import resolve
    from britekit.tracking.dvc import run_experiment
    from britekit.tracking.run import stage_run

    group = f"sweep-{os.environ['WANDB_SWEEP_ID'].rpartition('/')[2]}-{os.environ.get('WANDB_RUN_ID', 'run')}"
    with stage_run("exp", resolve(), group=group) as run:
        run_experiment(settings, group)
        for path in sorted((root / "metrics").glob("*.json")):
            run.summary(json.loads(path.read_text(encoding="utf-8")))


def _lay_out_stages(settings: list[str], root: Any) -> None:
    """Write the stages of rounds of students, or of pre-training, that an experiment asks for and the project lacks."""
    from britekit.files import write_text
    from britekit.project.layout import PRETRAINING, STUDENTS, pretraining_text, students_text

    for text in settings:
        name, _, value = text.partition("=")
        if name == "pipeline.rounds" and value.isdigit() and int(value):
            path = root / STUDENTS
            if not path.exists() or f" {value}: {{teachers" not in path.read_text(encoding="utf-8"):
                write_text(path, students_text(int(value)))
                print(f"{STUDENTS}: written, with the stages of {value} rounds (as britekit init --rounds {value})")
        if name == "pipeline.pretrain" and value.lower() == "true" and not (root / PRETRAINING).exists():
            write_text(root / PRETRAINING, pretraining_text())
            print(f"{PRETRAINING}: written (as britekit init --pretrain)")
