"""Find the windows of an archive that sound most like an example.

Examples are recordings, stretches of one, or the segments of a class of the training database; a window
counts by the example that it is most similar to, and is left out if it is nearer to an example of --not.
Writes results.csv (rank, recording, start, similarity: the cosine), contact sheets, and queue.csv, which
review takes. Make the archive with embed --archive. (search looks for segments in the training database.)

    britekit find --archive archives/2026 -i call.wav -o results/find
    britekit review -i recordings --queue results/find/queue.csv
"""

from typing import Annotated, Any, Optional

from britekit.options import ArchiveDir, ArchiveModel, ConfigPath, DbPath, FillDir, SpecGroup, opt


def find(
    cfg_path: ConfigPath = None,
    archive: ArchiveDir = "",
    input_path: Annotated[
        Optional[str], opt("-i", "--input", metavar="PATH", help="recording to look for, or a folder of such")
    ] = None,
    start: Annotated[
        object,
        opt(
            "--start",
            metavar="SECONDS",
            help="where the example begins in the recording; several with commas between (default: all of it)",
            type=str,
        ),
    ] = None,
    num: Annotated[int, opt("--num", metavar="N", help="most windows (default: 100)")] = 100,
    output_path: FillDir = "",
    not_path: Annotated[
        Optional[str], opt("--not", metavar="PATH", help="recording of what is not looked for, or a folder of such")
    ] = None,
    class_name: Annotated[
        Optional[str],
        opt(
            "--name",
            metavar="NAME",
            help="look for this class of the training database; with -i, the name in queue.csv",
        ),
    ] = None,
    db_path: DbPath = None,
    spec_group: SpecGroup = "default",
    root_path: Annotated[
        Optional[str],
        opt("--recordings", metavar="DIR", help="recordings of the archive (default: where they were embedded)"),
    ] = None,
    model: ArchiveModel = None,
    clips: Annotated[bool, opt("--clips", help="also cut the windows out, into clips/")] = False,
    exact: Annotated[
        bool, opt("--exact", help="beyond a million windows, do not use usearch, which compares 16-bit numbers")
    ] = False,
) -> Any:
    """Find the windows of an archive that sound most like examples.

    Returns
    -------
    list of britekit.archive.results.Hit
        The most similar first.

    Raises
    ------
    InputError
        Something cannot be read; or, after all else was written, recordings that are not there any more.
    """
    import time
    from pathlib import Path

    import numpy as np

    from britekit.archive import results
    from britekit.archive.examples import class_examples, path_examples, recording_examples
    from britekit.archive.opening import open_model
    from britekit.archive.search import find_similar
    from britekit.archive.store import Archive
    from britekit.audio.files import shown
    from britekit.commands._pictures import checked_output
    from britekit.database.session import open_database
    from britekit.errors import InputError

    output = checked_output(output_path)
    if num < 1:
        raise InputError(f"--num {num}: expected 1 or more")
    if input_path is None and class_name is None:
        raise InputError("nothing to look for: name a recording with -i, or a class with --name")
    if start is not None and (input_path is None or Path(input_path).is_dir()):
        raise InputError("--start is a place in a recording; name one with -i")
    if input_path is not None and (db_path is not None or spec_group != "default"):
        raise InputError("-d and --sgroup are about a class of the training database; leave out -i to look for that")
    starts = _starts(start)
    began = time.monotonic()
    stored = Archive(archive)
    loaded_s = time.monotonic() - began
    embedder = open_model(archive, model, cfg_path)
    if input_path is not None and (starts is not None or Path(input_path).is_file()):
        wanted, total = recording_examples(embedder, Path(input_path), starts), 0
    elif input_path is not None:
        wanted, total = path_examples(embedder, input_path), 0
    else:
        assert class_name is not None
        with open_database(db_path or embedder.cfg.train.train_db) as session:
            wanted, total = class_examples(session, embedder, class_name, spec_group)
    others = None if not_path is None else path_examples(embedder, not_path)
    began = time.monotonic()
    found = find_similar(stored, wanted, others, num, exact=True if exact else None)
    searched_s = time.monotonic() - began
    root = None if root_path is None else Path(root_path)
    hits = results.hits_of(stored, found, embedder.audio.spec_duration, root)
    name = class_name or Path(input_path or "").stem or "found"
    title = f"{len(hits)} windows like {shown(input_path or name)}"
    sheets, failed = results.write_results(output, hits, name, embedder.audio, title)
    print(f"examples = {len(wanted)}" + (f" of {total}" if total > len(wanted) else ""))
    print(f"windows = {int(np.count_nonzero(stored.live))}")
    if outdated := stored.describe_outdated():
        print(f"outdated = {outdated}")
    print(f"found = {len(hits)}")
    if others is not None:
        print(f"nearer_to_not = {found.nearer_to_not}")
    if hits:
        print(f"most_similar = {hits[0].similarity:.4f}")
    if licence := stored.facts.get("licence"):
        print(f"licence = {licence}")
    print(f"seconds = {loaded_s:.2f} to open the archive, {searched_s:.2f} to search")
    for page in sheets:
        print(f"sheet = {page}")
    if len(hits) > results.MOST_DRAWN:
        print(f"drawn = the first {results.MOST_DRAWN}")
    if clips:
        _cut(hits, name, output / "clips")
    if failed:
        first = next(iter(failed))
        raise InputError(
            f"{len(failed)} recordings of the archive could not be drawn, the first is {shown(first)}: "
            f"{failed[first]}; {output / results.TABLE} lists all windows"
        )
    return hits


def _starts(start: object) -> Optional[list[float]]:
    """Read numbers with commas between."""
    from britekit.annotations.tables import parse_number
    from britekit.errors import InputError

    if start is None:
        return None
    given = start.split(",") if isinstance(start, str) else start if isinstance(start, list) else [start]
    try:
        return [parse_number(str(part)) for part in given]
    except ValueError as error:
        raise InputError(f'--start "{error}" is not a number of seconds') from None


def _cut(hits: Any, name: str, folder: Any) -> None:
    """Cut the windows out."""
    from britekit.archive.results import by_file
    from britekit.errors import InputError
    from britekit.files import make_durable
    from britekit.results.clips import Clip, cut_clips, write_failed, write_index
    from britekit.results.cutting import FAILED, INDEX

    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; clips go into a new or empty folder, so choose another -o")
    cuts: list[Any] = []
    for file, inside in by_file(hits).items():
        wanted = [Clip(hit.recording, hit.start, hit.end, name, max(hit.similarity, 0.0)) for hit in inside]
        cuts += cut_clips(file if file.is_file() else None, wanted, folder)
    done = [cut for cut in cuts if cut.file is not None]
    make_durable(cut.file for cut in done if cut.file is not None)
    write_index(folder / INDEX, cuts, folder)
    print(f"clips = {len(done)}")
    if len(done) < len(cuts):
        write_failed(folder / FAILED, cuts)
        print(f"not_cut = {len(cuts) - len(done)} (listed in {folder / FAILED})")
