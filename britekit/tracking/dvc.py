"""Run DVC as a program, and read results of other revisions through it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from britekit.errors import InputError
from britekit.tracking.facts import project_root

_OF_ONE_RUN = frozenset({"WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"})


def run_stage_again(stage: str) -> None:
    """Run one stage of ``dvc.yaml`` even if unchanged; its output goes to the terminal.

    Raises `InputError` if the folder is not in a project, or the stage failed.
    """
    if _dvc("repro", "--force", "--single-item", stage):
        raise InputError(f"the stage {stage} failed; see the lines above")


def run_experiment(settings: Sequence[str], group: str | None = None) -> None:
    """Run ``dvc exp run`` with settings in the form ``NAME=VALUE``; its output goes to the terminal.

    Raises `InputError` if the folder is not in a project, or the run failed.

    Parameters
    ----------
    group
        Group of the W&B runs of the stages; by default the name of the experiment.
    """
    if _dvc("exp", "run", *(word for setting in settings for word in ("-S", setting)), group=group):
        raise InputError("the experiment failed; see the lines above")


def _dvc(*arguments: str, group: str | None = None) -> int:
    """Run DVC in the project and return its exit code."""
    root = project_root()
    if not (root / "dvc.yaml").is_file() or not (root / ".dvc").is_dir():
        raise InputError(
            f"{root} is not a project with a pipeline (dvc.yaml, .dvc); change to one, or create one with init"
        )
    # Stages call python; without an activated environment that is a different one, or missing.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # A W&B agent names one run, which is not that of each stage.
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ONE_RUN} | {"PATH": path}
    if group is not None:
        environment["WANDB_RUN_GROUP"] = group
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode


@contextmanager
def results_file(place: str, name: str) -> Iterator[Path]:
    """Yield a file of test results from a folder, the workspace, a revision or an experiment.

    Raises `InputError` if the place does not exist, or its results are not in the cache.

    Parameters
    ----------
    place
        Folder that holds the file or is a project; ``workspace``; a Git revision; an experiment.
    """
    folder = Path(place)
    if folder.is_dir():
        own = folder / "results" / "test"
        yield (own if own.is_dir() else folder) / name
        return
    root = project_root()
    if place == "workspace":
        yield root / "results" / "test" / name
        return
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.scm import RevError, SCMError
    from dvc_data.index import DataIndexDirError
    from scmrepo.exceptions import SCMError as GitError

    if not (root / ".dvc").is_dir():
        raise InputError(f"{place} is not a folder, and {root} is not a DVC project whose revisions could be read")
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / name
        try:
            DVCFileSystem(str(root), rev=place).get_file(f"results/test/{name}", str(target))
        except (RevError, SCMError, GitError) as error:
            raise InputError(
                f'"{place}" is neither a folder, a revision nor an experiment (dvc exp list -A names these); '
                f"git says: {error}"
            ) from None
        except (OSError, DvcException, DataIndexDirError) as error:
            raise InputError(
                f"results/test/{name} of {place} is not in the cache ({error}); dvc pull fetches results, and older "
                "ones must be computed again (dvc repro or britekit exp)"
            ) from None
        yield target
