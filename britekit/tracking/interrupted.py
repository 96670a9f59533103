"""Remember runs that have not ended well, so that the stage that continues one is recorded with it.

Each is a small file below ``wandb/open``, named by a hash of the stage, its settings and its inputs, and deleted when
the stage succeeds. Online, W&B continues the run of the same id. Offline runs of one id do not merge, so there the next
run joins the group of the first and is tagged ``resume_of:<id>``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_KEPT_S = 30 * 24 * 3600.0
# They change the speed of a stage, not what it continues.
_SPEED = (("infer", "num_threads"), ("train", "num_workers"))


class OpenRun:
    """The file of a stage that may be interrupted, locked while this process runs the stage.

    Parameters
    ----------
    folder
        Folder that holds ``wandb``.
    identity
        Stage, settings and hashes of inputs.
    """

    def __init__(self, folder: Path, *identity: Any) -> None:
        for part in identity:
            for section, name in _SPEED:
                if isinstance(part, dict) and section in part:
                    part[section] = {k: v for k, v in part[section].items() if k != name}
        key = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:24]
        self._path = folder / "wandb" / "open" / f"{key}.json"
        self._lock: Any = None
        self.before: dict[str, Any] = {}
        """``id``, ``group`` and ``online`` of the interrupted run; empty if there is none."""

    def take(self) -> None:
        """Lock the file and read it; another process that runs the same stage keeps it for itself."""
        from filelock import FileLock, Timeout

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for old in self._path.parent.iterdir():
                if time.time() - old.stat().st_mtime > _KEPT_S:
                    old.unlink()
            lock = FileLock(self._path.with_suffix(".lock"))
            lock.acquire(blocking=False)
        except (OSError, Timeout) as error:
            log.debug("interrupted runs are not looked for: %s", error)
            return
        self._lock = lock
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self.before = found if isinstance(found, dict) and isinstance(found.get("id"), str) else {}

    def note(self, run: Any) -> None:
        """Store the run that has started."""
        if self._lock is not None:
            found = {"id": run.id, "group": run.group, "online": not run.offline}
            with suppress(OSError):
                self._path.write_text(json.dumps(found), encoding="utf-8")

    def close(self, done: bool) -> None:
        """Release the file, and delete it if the stage is done."""
        if self._lock is None:
            return
        with suppress(OSError):
            if done:
                self._path.unlink(missing_ok=True)
            self._lock.release()
        self._lock = None
