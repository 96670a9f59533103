"""Copy the chosen checkpoints with their exports to a separate directory, for `package`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from britekit.errors import InputError, some
from britekit.files import atomic_path, sha256_of, together
from britekit.inference.model_files import CHECKPOINT, EXPORT, PROBE


def save_winners(paths: Sequence[Path], directory: str | Path) -> list[Path]:
    """Copy checkpoints and their exports, atomically.

    A checkpoint named twice is copied under a second name: members of a folder count equally.

    Raises `InputError` if the directory holds other models, which would join the ensemble, or cannot be written.
    """
    folder = Path(directory)
    copies: list[tuple[Path, Path]] = []
    times: dict[Path, int] = {}
    for path in paths:
        times[path] = times.get(path, 0) + 1
        ending = f"-{times[path]}" if times[path] > 1 else ""
        for suffix in (PROBE,) if path.suffix == PROBE else (CHECKPOINT, EXPORT):
            source = path.with_suffix(suffix)
            if source.is_file():
                copies.append((source, folder / f"{path.stem}{ending}{suffix}"))
    wanted = {target: source for source, target in copies}
    others = []
    if folder.is_dir():
        for found in sorted(folder.iterdir()):
            if found.suffix not in (CHECKPOINT, EXPORT, PROBE) or found.name.startswith("."):
                continue
            if found not in wanted or sha256_of(found) != sha256_of(wanted[found]):
                others.append(found.name)
    if others:
        raise InputError(
            f"{folder} holds other models ({some(others, 3)}), which would join the ensemble; "
            "name an empty directory with --save"
        )
    with together():
        for source, target in copies:
            with atomic_path(target) as partial:
                shutil.copyfile(source, partial)
    return [target for _, target in copies if target.suffix == CHECKPOINT or paths[0].suffix != CHECKPOINT]
