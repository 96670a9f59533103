"""The model of an archive, and where its recordings are."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from britekit.archive.store import FACTS, Archive
from britekit.audio.files import shown
from britekit.errors import ModelError
from britekit.inference.embedding import Embedder, open_embedder


def open_model(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    cfg_path: str | os.PathLike[str] | None = None,
    overlap: float | None = None,
    num_threads: int | None = None,
) -> Embedder:
    """Load the model of an archive, with its settings; of one that is not there yet, the model of the settings.

    Raises
    ------
    InputError
        The model is not that of the archive.
    ModelError
        It is missing or cannot be used.
    """
    overrides: dict[str, Any] = {"infer.num_threads": num_threads, "infer.overlap": overlap}
    if not (Path(folder) / FACTS).is_file():
        return open_embedder(model, cfg_path, overrides)
    archive = Archive(folder)
    identity = archive.facts["identity"]
    overrides["infer.overlap"] = identity["overlap"] if overlap is None else overlap
    overrides["infer.audio_power"] = identity.get("audio_power")
    place = archive.model if model is None else Path(model)
    if not place.exists():
        raise ModelError(f"{shown(place)}, with which {folder} was made, is not there any more; name it with --model")
    embedder = open_embedder(place, cfg_path, overrides)
    archive.check(embedder.identity)
    return embedder


def place_in_archive(folder: str | os.PathLike[str], source: Path) -> tuple[Path, PurePosixPath]:
    """Return the folder of an archive's recordings, and where in it ``source`` lies.

    A new archive is of ``source``, or of the folder in which that file lies; so is one whose folder of recordings
    has gone, since it may have moved.
    """
    place = source if source.is_dir() else source.parent
    if (Path(folder) / FACTS).is_file():
        root = Archive(folder).root
        if root.is_dir() and place.resolve().is_relative_to(root.resolve()):
            return root, PurePosixPath(place.resolve().relative_to(root.resolve()).as_posix())
    return place, PurePosixPath()
