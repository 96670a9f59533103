"""Promote a packaged recognizer: tags as GTO writes them, on a commit whose test is not worse than the last one's."""

from __future__ import annotations

import logging.config
import re
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from britekit.errors import InputError
from britekit.evaluation.compare import CELLS_NAME, Comparison, compare_tests, read_cells
from britekit.leftovers import temporary_folder
from britekit.tracking.dvc import results_file

ARTIFACT = "recognizer"
"""Name of the Bento in ``artifacts:`` of dvc.yaml, and in tags."""

_STAGE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class Promotion:
    """A decision about a commit."""

    commit: str
    before: str | None
    """The commit that was promoted before; None for the first one."""
    comparison: Comparison | None
    tags: tuple[str, ...] = ()
    """Tags that were created."""


def promote(root: Path, revision: str, stage: str, margin: float) -> Promotion:
    """Tag a commit as promoted to a stage.

    Raises `InputError` if the model may not be promoted, or there is nothing to promote.

    Parameters
    ----------
    revision
        A commit, with the Bento and the test's results in the cache or the remote.
    stage
        Such as ``production``.
    margin
        The model may be worse by less than this: the lower bound of the 95 % interval of the leading figure, new minus
        old, must lie above ``-margin``.
    """
    with _unconfigured_logging():
        from gto import api

    if not _STAGE.fullmatch(stage):
        raise InputError(f'"{stage}" is not a valid name of a stage; use lower-case letters, digits and "-"')
    commit = _git(root, "rev-parse", "--verify", f"{revision}^{{commit}}")
    if commit == _git(root, "rev-parse", "HEAD") and _git(root, "status", "--porcelain", "dvc.lock", "dvc.yaml"):
        raise InputError("dvc.lock or dvc.yaml differs from the last commit; commit the results first, then promote")
    artifact_path(root, commit)
    before = promoted_commit(root, stage)
    if before == commit:
        raise InputError(f"{revision} is promoted to {stage} already")
    comparison = None if before is None else _compared(before, commit, stage, margin)
    if before is None:  # also the first one must have been tested
        with results_file(commit, CELLS_NAME) as path:
            read_cells(path)
    known = set(_git(root, "tag", "--list").splitlines())
    try:
        api.assign(str(root), ARTIFACT, stage, ref=commit)
    except Exception as error:  # GTO's, of no common kind
        raise InputError(f"{revision} could not be tagged: {str(error).splitlines()[0]}") from None
    tags = tuple(sorted(set(_git(root, "tag", "--list").splitlines()) - known))
    return Promotion(commit, before, comparison, tags)


def promoted_commit(root: Path, stage: str) -> str | None:
    """Return the commit that is promoted to a stage, as ``dvc artifacts get --stage`` sees it, or None."""
    from dvc.repo import Repo
    from dvc.repo.artifacts import ArtifactNotFoundError

    with _unconfigured_logging():
        import gto  # noqa: F401
    with _repository(root), Repo(str(root)) as repo:
        try:
            return str(repo.artifacts.get_rev(ARTIFACT, stage=stage))
        except ArtifactNotFoundError:
            return None


def artifact_path(root: Path, commit: str) -> str:
    """Return the path of the Bento, as dvc.yaml of a commit names it."""
    try:
        described = yaml.safe_load(_git(root, "show", f"{commit}:./dvc.yaml")) or {}
        return str(described["artifacts"][ARTIFACT]["path"])
    except (KeyError, TypeError, yaml.YAMLError):
        raise InputError(
            f"dvc.yaml of {commit[:8]} has no artifact named {ARTIFACT}; add these lines to it and commit:\n"
            f"artifacts:\n  {ARTIFACT}:\n    path: models/britekit-ensemble.bento\n    type: model"
        ) from None


@contextmanager
def fetched_bento(root: Path, commit: str) -> Iterator[Path]:
    """Yield the Bento of a commit, from the cache or the remote; raises `InputError` if it is in neither."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    path = artifact_path(root, commit)
    with temporary_folder("promoted") as folder:
        target = folder / Path(path).name
        try:
            DVCFileSystem(str(root), rev=commit).get_file(path, str(target))
        except (OSError, DvcException, DataIndexDirError) as error:
            raise InputError(
                f"{path} of {commit[:8]} is neither in the cache nor in the remote ({error}); on the machine that made "
                "it, run dvc push"
            ) from None
        yield target


def promoted_bento(root: Path, stage: str) -> AbstractContextManager[Path]:
    """Return `fetched_bento` of what is promoted to a stage; raises `InputError` if nothing is promoted to it."""
    commit = promoted_commit(root, stage)
    if commit is None:
        raise InputError(f"nothing is promoted to {stage}; britekit promote does that, and git pull --tags brings tags")
    return fetched_bento(root, commit)


def _compared(before: str, commit: str, stage: str, margin: float) -> Comparison:
    """Return the comparison with the promoted model; raise if the new one may be worse."""
    with results_file(before, CELLS_NAME) as old_path, results_file(commit, CELLS_NAME) as new_path:
        old, new = read_cells(old_path), read_cells(new_path)
    found = compare_tests(old, new)
    lost = [sentence for sentence in found.exclusions if " of A are " in sentence]
    if lost:
        raise InputError(
            f"the test of the model in {stage} covers more than this one ({lost[0].replace(' of A ', ' of it ')}), "
            "so a loss could be hidden; test on the same recordings"
        )
    lead = found.figures[0]
    if not lead.difference.low > -margin:  # also for an undefined one
        raise InputError(
            f"this model may be worse than the one in {stage} ({before[:8]}): {found.verdict()}; the lower bound must "
            f"lie above {-margin:g} (pipeline.promote_margin)"
        )
    return found


@contextmanager
def _unconfigured_logging() -> Iterator[None]:
    """Import GTO without the logging that it configures for the whole process.

    ``dictConfig`` closes the handlers of everyone else, and that of absl then closes its stream, such as the standard
    error that a notebook or a test captures.
    """
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        yield
    finally:
        logging.config.dictConfig = configure


@contextmanager
def _repository(root: Path) -> Iterator[None]:
    if not (root / ".dvc").is_dir():
        raise InputError(f"{root} is not a project with DVC; change to one, or create one with init")
    yield


def _git(root: Path, *arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if told.returncode:
        reason = (told.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise InputError(f"git {' '.join(arguments[:2])} failed in {root}: {reason}")
    return told.stdout.strip()
