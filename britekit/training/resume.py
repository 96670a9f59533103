"""Save the state of a half-finished run, and find it by the inputs of the run.

The state is in ``logs/resume/<key>/state.pt``. The key is a hash of the pickle's bytes, the relevant settings and the
seed, so a run is continued only if the result would be the same.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from britekit import __version__
from britekit.config import without_defaults
from britekit.errors import ModelError
from britekit.files import sha256_of
from britekit.models.checkpoint import read_archive, write_archive

log = logging.getLogger(__name__)

# Settings that affect neither the weights nor the computation.
_FILES = (
    *("train_pickle", "load_ckpt_path", "test_pickle"),
    *("frame_label_pickle", "teacher_targets_pickle", "pseudo_labels"),
)
_IRRELEVANT = {"num_workers", "save_last_n", "train_db", "seed", *_FILES}  # files are replaced by hashes of the content
# Saving takes tens of milliseconds, which is too much after every short epoch.
SAVE_EVERY_S = 5.0


class ResumeState:
    """Saves, finds and deletes the state of one run.

    Parameters
    ----------
    root
        ``logs/resume``.
    key
        Result of `run_key`.
    """

    def __init__(self, root: Path, key: str):
        self.folder = root / key
        self.path = self.folder / "state.pt"
        self._saved_at = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state of a run to continue, or None."""
        if not self.path.is_file():
            return None
        try:
            return read_archive(self.path)[0]
        except ModelError as error:
            log.warning("a half-finished run cannot be continued and starts again: %s", error)
            return None

    def save(self, state: Mapping[str, Any], at_once: bool = False) -> None:
        """Save the state of the finished epoch, unless one was saved moments ago."""
        if not at_once and time.monotonic() - self._saved_at < SAVE_EVERY_S:
            return
        write_archive(self.path, state)
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        """Delete the state of a finished run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def run_key(settings: Mapping[str, Any], seed: int, device: str) -> str:
    """Return a hash of the training data, the relevant settings, the seed and the type of device."""
    settings = without_defaults(settings)
    train = settings["train"]
    files = {name: sha256_of(train[name]) for name in _FILES if train.get(name) and Path(train[name]).is_file()}
    parts = {
        "version": __version__,
        "seed": seed,
        "device": device,
        "files": files,
        "audio": settings["audio"],
        "train": {name: value for name, value in train.items() if name not in _IRRELEVANT},
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def state_name(settings: Mapping[str, Any], named_seed: int | None, seed: int, device: str) -> str:
    """Return the folder name of a run's state: its key and, unless the user chose one, the drawn seed."""
    if named_seed is not None:
        return run_key(settings, named_seed, device)
    return f"{_unnamed_key(settings, device)}-s{seed}"


def seed_to_continue(root: Path, settings: Mapping[str, Any]) -> int | None:
    """Return the seed drawn by the latest half-finished run of these settings and data, or None."""
    from britekit.training.devices import choose_device

    if not root.is_dir():
        return None
    device = choose_device(bool(settings["misc"]["force_cpu"])).type
    key = _unnamed_key(settings, device)
    found = sorted(root.glob(f"{key}-s*/state.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        return None
    return int(found[-1].parent.name.removeprefix(f"{key}-s").partition("-")[0])


def _unnamed_key(settings: Mapping[str, Any], device: str) -> str:
    return run_key(settings, -1, device)
