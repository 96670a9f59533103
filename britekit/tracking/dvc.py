"""DVC called as a program, in the project of the working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from britekit.errors import InputError
from britekit.tracking.facts import project_root


def run_stage_again(stage: str) -> None:
    """Run one stage of ``dvc.yaml`` whether or not DVC sees a change; its output goes to the terminal.

    Raises
    ------
    InputError
        There is no project here, or the stage failed.
    """
    root = project_root()
    if not (root / "dvc.yaml").is_file() or not (root / ".dvc").is_dir():
        raise InputError(f"{root} is not a project with a pipeline (dvc.yaml, .dvc); go to one, or make one with init")
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", stage]
    # Stages call python, which without an activated environment is another one, or none.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if subprocess.run(command, cwd=root, env=os.environ | {"PATH": path}, check=False).returncode:
        raise InputError(f"the stage {stage} failed; the lines above say why")
