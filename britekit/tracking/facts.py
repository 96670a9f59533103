"""Find the project, the running DVC stage, and the version of code and data."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import britekit
from britekit.config.yaml_reader import load_plain
from britekit.errors import InputError

log = logging.getLogger(__name__)

# Starting DVC takes a second or two; this many bytes are hashed in that time.
_LARGE_BYTES = 512 << 20


def is_dvc_stage() -> bool:
    """Return whether DVC started this process to run a stage."""
    return bool(os.environ.get("DVC_STAGE"))


def experiment_name() -> str:
    """Return the name shared by the runs of an experiment: DVC's, else the short commit, else ``workspace``."""
    return os.environ.get("DVC_EXP_NAME") or _git("rev-parse", "--short", "HEAD") or "workspace"


def project_root() -> Path:
    """Return the nearest parent folder with ``dvc.yaml`` or ``.dvc``, else the folder itself."""
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() or (folder / ".dvc").is_dir():
            return folder
    return here


def main_root() -> Path:
    """Return the root of the user's own repository, also from inside a temporary DVC experiment.

    ``dvc exp run --temp`` and the queue work in a copy below ``.dvc/tmp/exps`` that is deleted afterwards;
    logs and W&B runs must outlive it, so they go to the enclosing repository.
    """
    root = project_root()
    for folder in (root, *root.parents):
        if folder.name == "exps" and folder.parent.name == "tmp" and folder.parent.parent.name == ".dvc":
            return folder.parent.parent.parent
    return root


def provenance() -> dict[str, str | None]:
    """Return the package's ``version`` and the Git ``revision`` (null outside a repository with commits)."""
    return {"version": britekit.__version__, "revision": _git("rev-parse", "HEAD")}


def hashes_of(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return a hash of each input: the MD5 of a file's bytes, or the hash that DVC knows.

    DVC's lock file is updated only after a stage ends, so it may hold an old hash of a changed file. Its cache of
    hashes is current: a large file that is unchanged since DVC hashed it is not read again. Paths are relative to the
    project; missing inputs, and folders unknown to DVC, are omitted.
    """
    root = project_root()
    known = locked_hashes(root)
    found: dict[str, str] = {}
    for path in paths:
        name = Path(path).as_posix()
        if (root / path).is_file():
            found[name] = _md5_of(root, root / path)
        elif name in known:
            found[name] = known[name]
    return found


def hash_of_output(path: str | Path) -> str | None:
    """Return the MD5 that DVC will give a file or folder, or None for a folder outside a DVC project.

    DVC's lock file may still hold the previous hash of an output. Files of a folder are hashed by DVC, which remembers
    them and need not read them a second time when the stage ends.
    """
    root, full = project_root(), Path(path).resolve()
    if full.is_file():
        return _md5_of(root, full)
    if not full.is_dir() or not (root / ".dvc").is_dir():
        return None
    try:
        from dvc.repo import Repo
        from dvc_data.hashfile.build import build
        from dvc_objects.fs.local import LocalFileSystem

        with Repo(str(root)) as repo:
            _, _, found = build(
                repo.cache.local, str(full), LocalFileSystem(), "md5", ignore=repo.dvcignore, dry_run=True
            )
            return str(found.hash_info.value)
    except Exception as error:  # DVC internals may change, and this hash is only for the records
        log.warning("DVC could not hash %s for the records: %s", path, error)
        return None


def _md5_of(root: Path, path: Path) -> str:
    known = _hashed_by_dvc(root, path) if path.stat().st_size >= _LARGE_BYTES else None
    if known is not None:
        return known
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _hashed_by_dvc(root: Path, path: Path) -> str | None:
    """Return the MD5 in DVC's cache for a file's inode, size and modification time, or None."""
    if not (root / ".dvc").is_dir():
        return None
    try:
        from dvc.repo import Repo
        from dvc_objects.fs.local import LocalFileSystem

        with Repo(str(root)) as repo:
            _, found = repo.state.get(str(path), LocalFileSystem())
    except Exception as error:  # DVC internals may change, and a hash can always be computed
        log.debug("DVC's cache of hashes cannot be read: %s", error)
        return None
    return str(found.value) if found is not None and found.name == "md5" else None


def locked_hashes(root: Path) -> dict[str, str]:
    """Return the MD5 of each input and output in ``dvc.lock``, as of the last run of the pipeline."""
    lock = root / "dvc.lock"
    if not lock.is_file():
        return {}
    known = {}
    try:
        stages = (load_plain(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
        # Outs last: they are current, while the entry of a consumer may be older.
        for part in ("deps", "outs"):
            for stage in stages.values():
                for entry in stage.get(part, []):
                    if entry.get("md5"):
                        known[entry["path"].rstrip("/")] = entry["md5"]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{lock} cannot be read ({error}); restore it with git") from error
    return known


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no Git here: the project works without it
    return done.stdout.strip() or None if done.returncode == 0 else None
