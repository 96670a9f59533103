"""Compute embeddings: of a training database, or of an archive of recordings without labels.

In the database, misc.search_ckpt_path names the model: a checkpoint, an export, or a folder of several, whose
embeddings are averaged. Embeddings from another model are replaced; an interrupted command can be repeated.

With --archive, all windows of the recordings below -i go to an archive on disk, which find searches and
probe learns from. Repeat the command when there are more recordings, or when it was interrupted: only new
and changed recordings are embedded. --model may also name the YAML description of another project's file
that takes sound, such as Perch or BirdNET.

    britekit embed --name Ovenbird
    britekit embed -i recordings --archive archives/2026 --model models/ckpt/seed-1.ckpt
"""

from typing import Annotated, Any, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ConfigPath, DbPath, SpecGroup, TimeExpansion, opt


@takes_time_expansion
def embed(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    class_name: Annotated[Optional[str], opt("--name", metavar="NAME", help="one class (default: all)")] = None,
    spec_group: SpecGroup = "default",
    input_path: Annotated[
        Optional[str],
        opt("-i", "--input", metavar="PATH", help="with --archive: recordings, a folder with all below it, or a file"),
    ] = None,
    archive: Annotated[
        Optional[str],
        opt("--archive", metavar="DIR", help="make or extend an archive there; excludes -d, --name and --sgroup"),
    ] = None,
    model: Annotated[
        Optional[str],
        opt(
            "--model",
            metavar="FILE",
            help="checkpoint, export or YAML of an embedder (default: that of the archive, else "
            "misc.search_ckpt_path, else the only model of misc.ckpt_folder)",
        ),
    ] = None,
    overlap: Annotated[
        Optional[float],
        opt(
            "--overlap", metavar="SECONDS", help="shared by neighboring windows (default: that of the archive, else 0)"
        ),
    ] = None,
    num_threads: Annotated[
        Optional[int],
        opt("--threads", metavar="INT", help="recordings decoded side by side (default: infer.num_threads)"),
    ] = None,
    time_expansion: TimeExpansion = None,
) -> Any:
    """Compute and store embeddings.

    Returns
    -------
    int or britekit.archive.growing.Growth
        How many spectrograms have an embedding now; or, with ``archive``, what the run came to.

    Raises
    ------
    InferenceError
        Some recordings could not be embedded; the others are in the archive.
    """
    from britekit.errors import InputError

    of_archive = {"-i": input_path, "--model": model, "--overlap": overlap, "--threads": num_threads}
    if archive is not None:
        of_database = {"-d": db_path, "--name": class_name, "--sgroup": spec_group if spec_group != "default" else None}
        given = [flag for flag, value in of_database.items() if value is not None]
        if given:
            raise InputError(f"{given[0]} is about the training database and --archive about recordings; give one")
        if input_path is None:
            raise InputError("the recordings of the archive are needed; name them with -i")
        return _embed_recordings(cfg_path, input_path, archive, model, overlap, num_threads)
    if given := [flag for flag, value in of_archive.items() if value is not None]:
        raise InputError(f"{given[0]} is about an archive of recordings; name that with --archive")
    return _embed_database(cfg_path, db_path, class_name, spec_group)


def _embed_database(cfg_path: Any, db_path: Any, class_name: Any, spec_group: str) -> int:
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.inference.embed_database import embed_stored
    from britekit.inference.embedding import open_search_model

    model = open_search_model(cfg_path)
    with edit_by_hand(db_path or model.cfg.train.train_db) as edits:
        total = embed_stored(
            edits.session, model, class_name, spec_group, on_class=lambda name, count: print(f"{name} = {count}")
        )
    print(f"embeddings = {total}")
    return total


def _embed_recordings(
    cfg_path: Any, input_path: str, folder: str, model: Any, overlap: Optional[float], num_threads: Optional[int]
) -> Any:
    from pathlib import Path

    from britekit.archive.growing import grow_archive
    from britekit.archive.opening import open_model, place_in_archive
    from britekit.audio.files import find_recordings

    paths = find_recordings(input_path, recursive=True)
    embedder = open_model(folder, model, cfg_path, overlap, num_threads)
    source = Path(input_path)
    root, below = place_in_archive(folder, source)
    print(f"model = {embedder.path}")
    print(f"device = {embedder.device}")
    if embedder.licence:
        print(f"licence = {embedder.licence}")
    place = source if source.is_dir() else source.parent
    complete = source.is_dir() and not below.parts
    growth = grow_archive(embedder, paths, place, folder, complete, root, below)
    for name in ("added", "changed", "known", "damaged", "windows"):
        value = getattr(growth, name)
        if value or name in ("added", "windows"):
            print(f"{name} = {value}")
    if growth.outdated:
        print(f"outdated = {growth.outdated}")
    if growth.gone:
        print(f"gone = {len(growth.gone)}")
    if growth.failed:
        print(f"failed = {len(growth.failed)}")
    speed = growth.audio_seconds / max(growth.elapsed_s, 1e-9)
    print(f"audio_seconds = {growth.audio_seconds:.1f}")
    print(f"seconds = {growth.elapsed_s:.1f} ({speed:.0f} times real time)")
    growth.raise_for_failures()
    return growth
