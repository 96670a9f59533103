"""Laying out a project: its files, and git and DVC where they are absent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import britekit
from britekit.config import template_text
from britekit.config.presets import PRESETS
from britekit.config.profiles import profile as read_profile
from britekit.errors import InputError
from britekit.files import unwritable, write_text

_DOTTED = {"gitignore": ".gitignore", "dvcignore": ".dvcignore"}
# Goes to .dvc/, which dvc init makes: pages of dvc plots that need no network.
_PLOTS_PAGE = "plots.html"
# What an experiment needs first: DVC itself ends with "unexpected error - Empty git repo".
NEEDS_COMMIT = 'make one first: git add . && git commit -m "Begin"'
# Workflows by the name that `init --ci` takes: file of this package, place in the project.
WORKFLOWS = {"github": ".github/workflows/recognizer.yml", "gitlab": ".gitlab-ci.yml"}
_CI = "ci"
_CI_REQUIREMENTS = """\
# What the workflow installs, one pip requirement per line: a version, a Git address or a wheel in this repository.
britekit=={version}
"""
STUDENTS = "students/dvc.yaml"
"""Stages of rounds of students, which a project has if it wants rounds: `dvc pull` fails for stages that never ran."""
PRETRAINING = "pretraining/dvc.yaml"
"""The stage `pretrain`, likewise."""
PRETRAINED = "models/pretrained/true/backbone.ckpt"
"""Its checkpoint."""
_ROUND = re.compile(r" +(\d): \{teachers")
_FOLDERS = ("data/audioset/curated", "models/ckpt", "logs", "yaml/samples")


@dataclass(frozen=True)
class Layout:
    """Result of the initialization."""

    copied: int
    skipped: int
    """Numbers of files written, and of files that were there already and left alone."""
    has_commit: bool = True
    """Whether the git repository has a commit, which experiments need."""


def project_files(preset: str | None = None, profile: str | None = None) -> dict[str, str]:
    """Return the text of each file of a project by its path there; ``params.yaml`` has what preset and profile set."""
    here = Path(__file__).parent
    texts = {
        str(Path(path.relative_to(here).parent, _DOTTED.get(path.name, path.name)).as_posix()): path.read_text(
            encoding="utf-8"
        )
        for path in sorted(here.rglob("*"))
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and path.name != _PLOTS_PAGE
        and path.parent not in (here / _CI, here / Path(STUDENTS).parent, here / Path(PRETRAINING).parent)
    }
    return texts | {"params.yaml": _params_text(preset, profile), "yaml/base_config.yaml": template_text()}


def _params_text(preset: str | None, profile: str | None) -> str:
    """Return ``params.yaml``: the defaults, over them the profile's settings (of sound), over these the preset's."""
    settings, evidence = read_profile(profile) if profile else ({}, "")
    merged = {key: dict(section) for key, section in settings.items()}
    for key, section in (PRESETS[preset] if preset else {}).items():
        merged[key] = merged.get(key, {}) | section
    text = template_text(merged or None)
    if not profile:
        return text
    lines = textwrap.wrap(f"Profile {profile}, {evidence}.", 108, initial_indent="# ", subsequent_indent="# ")
    return "\n".join(lines) + "\n" + text


def students_text(rounds: int) -> str:
    """Return the stages of so many rounds of students.

    Raises `InputError` if there are more rounds than ``pipeline.rounds`` allows, or none.
    """
    text = (Path(__file__).parent / STUDENTS).read_text(encoding="utf-8")
    known = [int(number) for number in re.findall(r"^ +(\d): \{teachers", text, re.MULTILINE)]
    if rounds not in known:
        raise InputError(f"--rounds is {rounds}; expected {known[0]} to {known[-1]} rounds of students")
    kept = [line for line in text.splitlines() if (found := _ROUND.match(line)) is None or int(found[1]) <= rounds]
    return "\n".join(kept).replace(f"round: {known}", f"round: {known[:rounds]}") + "\n"


def pretraining_text() -> str:
    """Return the stage `pretrain`."""
    return (Path(__file__).parent / PRETRAINING).read_text(encoding="utf-8")


def workflow_files(service: str) -> dict[str, str]:
    """Return the workflow of a CI service and its list of packages, by their paths in a project."""
    text = (Path(__file__).parent / _CI / f"{service}.yml").read_text(encoding="utf-8")
    return {WORKFLOWS[service]: text, f"{_CI}/requirements.txt": _CI_REQUIREMENTS.format(version=britekit.__version__)}


def lay_out(
    dest: str | os.PathLike[str],
    overwrite: bool = False,
    ci: str | None = None,
    preset: str | None = None,
    profile: str | None = None,
) -> Layout:
    """Write the files of a project, and make its directory a git and DVC repository if it is none.

    Raises `InputError` if the directory cannot be written, or git or DVC are missing or refuse.

    Parameters
    ----------
    dest
        Directory, made if missing.
    overwrite
        Whether files that exist are written again; by default they are left alone.
    ci
        ``github`` or ``gitlab``: also write a workflow that checks pull requests and builds the container of a tag.
    preset
        A name of `PRESETS`: settings for few, some or many clips.
    profile
        A name of `britekit.config.profiles`: settings of sound for a group of animals.
    """
    root = Path(dest)
    try:
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error.filename or root, error) from error
    copied = skipped = 0
    for name, text in (project_files(preset, profile) | (workflow_files(ci) if ci else {})).items():
        if (root / name).exists() and not overwrite:
            skipped += 1
        else:
            write_text(root / name, text)
            copied += 1
    _init_repositories(root)
    return Layout(copied, skipped, has_commit(root))


def has_commit(root: Path) -> bool:
    """Return whether the git repository around a directory has a commit."""
    git = shutil.which("git")
    return git is not None and _run([git, "rev-parse", "--verify", "--quiet", "HEAD"], root).returncode == 0


def uncommitted(root: Path, path: str) -> bool:
    """Return whether a file or folder differs from the last commit."""
    git = shutil.which("git")
    return git is not None and bool(_run([git, "status", "--porcelain", "--", path], root).stdout.strip())


def _init_repositories(root: Path) -> None:
    git = shutil.which("git")
    if git is None:
        raise InputError("git was not found; install it and run init again (the project's files are in place)")
    if _run([git, "rev-parse", "--is-inside-work-tree"], root).returncode != 0:
        _must([git, "init", "--quiet"], root, "git init")
    if (root / ".dvc").exists():
        return
    top = _run([git, "rev-parse", "--show-toplevel"], root).stdout.strip()
    command = [sys.executable, "-m", "dvc", "init", "--quiet"]
    if Path(top).resolve() != root.resolve():
        command.append("--subdir")  # the project lies inside a larger repository
    _must(command, root, "dvc init")
    write_text(root / ".dvc" / _PLOTS_PAGE, Path(__file__).with_name(_PLOTS_PAGE).read_text(encoding="utf-8"))
    dvc_config = [sys.executable, "-m", "dvc", "config", "--quiet", "plots.html_template", _PLOTS_PAGE]
    _must(dvc_config, root, "dvc config")


def _must(command: list[str], root: Path, what: str) -> None:
    result = _run(command, root)
    if result.returncode != 0:
        said = " ".join((result.stderr or result.stdout).split()) or f"exit code {result.returncode}"
        raise InputError(f"{what} in {root} failed: {said} (the project's files are in place)")


def _run(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
