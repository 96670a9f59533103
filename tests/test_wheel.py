"""The wheel holds all that a project needs: `britekit init` and a DVC stage, outside the repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(folder: Path, site: Path, *command: str) -> str:
    environment = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    environment |= {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(site)}
    environment |= {"DVC_NO_ANALYTICS": "true", "WANDB_MODE": "disabled"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_a_wheel_makes_a_project_and_runs_a_stage(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("britekit-*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert {"britekit/py.typed", "britekit/commands/__init__.pyi", "britekit/project/dvc.yaml"} <= names
    package = ROOT / "britekit"
    kept = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {f"britekit/{path.relative_to(package).as_posix()}" for path in kept} <= names
    place = run(tmp_path, site, sys.executable, "-c", "import britekit; print(britekit.__file__)")
    assert place.strip() == str(site / "britekit/__init__.py"), "the wheel's package, not the repository's"

    run(tmp_path, site, sys.executable, "-m", "britekit", "init", "--dest", "owls")
    project = tmp_path / "owls"
    run(project, site, sys.executable, "-m", "dvc", "repro", "--single-item", "collect")
    recordings = [path for path in (project / "data/recordings").rglob("*") if path.is_file()]
    assert len(recordings) > 10
    assert "collect" in (project / "dvc.lock").read_text()
