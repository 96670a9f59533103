"""Clips of the detections in many recordings: chosen, cut and listed."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from britekit.annotations.label_table import read_label_table
from britekit.annotations.tables import iter_rows
from britekit.audio.files import name_key
from britekit.errors import InputError, some
from britekit.files import make_durable, write_csv
from britekit.results.candidates import Candidates, read_candidates
from britekit.results.clips import FORMATS, Clip, Cut, cut_clips, write_failed, write_index
from britekit.results.queues import Drawn, find_queue
from britekit.results.recordings import Recordings

INDEX, FAILED, WITH_VOICES = "clips.csv", "not_cut.csv", "with_voices.csv"
log = logging.getLogger(__name__)


def choose_clips(candidates: Candidates, by: str = "all", num: int | None = None, seed: int = 0) -> list[Drawn]:
    """Choose detections by one of the ways in `britekit.results.queues`.

    Raises `InputError` if there is no such way, or nothing to choose from.
    """
    draw = find_queue(by).draw
    if num is not None and num < 1:
        raise InputError(f"--num {num}: expected a number of at least 1")
    if not len(candidates):
        raise InputError("no detection reaches the minimum score; lower --min-score to get clips")
    drawn: list[Drawn] = draw(candidates, num, np.random.default_rng(seed))
    return drawn


def cut_detections(
    recordings: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str],
    by: str = "all",
    num: int | None = None,
    names: Sequence[str] = (),
    min_score: float = 0.0,
    pad_s: float = 0.0,
    file_format: str = "wav",
    seed: int = 0,
    on_clip: Callable[[int, int], None] | None = None,
    voices: str | os.PathLike[str] | None = None,
) -> list[Cut]:
    """Cut clips of detections, with ``clips.csv`` as their index.

    Raises `InputError` if something cannot be read or written, or nothing can be chosen.

    Parameters
    ----------
    recordings
        A folder of recordings, or one.
    labels
        What `analyze` wrote, or labels of another program.
    output
        An empty or new folder. What could not be cut is listed in ``not_cut.csv`` there.
    by, num, seed
        As `choose_clips`.
    pad_s
        Seconds added before and after each detection.
    on_clip
        Called with how many are done and how many there are.
    voices
        A folder that `voices` wrote: detections that touch a voice, with padding, are left out before any are chosen,
        and listed in ``with_voices.csv``.

    Returns
    -------
    list of Cut
        In the order of recordings and seconds.
    """
    if file_format not in FORMATS:
        raise InputError(f'--format "{file_format}": expected {" or ".join(FORMATS)}')
    if not 0 <= pad_s <= 3600:
        raise InputError(f"--pad {pad_s:g}: expected seconds from 0 to 3600")
    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; clips go into a new or empty one, so choose another")
    archive = Recordings(recordings)
    candidates = read_candidates(read_label_table(Path(labels), channels=True), archive.place, names, min_score)
    spoken: list[tuple[object, ...]] = []
    if voices is not None:
        candidates, spoken = _without_voices(candidates, Path(voices), pad_s)
    chosen = choose_clips(candidates, by, num, seed)
    by_recording: dict[int, list[Clip]] = defaultdict(list)
    for item in chosen:
        place = int(candidates.recording_M[item.index])
        by_recording[place].append(
            Clip(
                candidates.recordings[place],
                float(candidates.start_M[item.index]),
                float(candidates.end_M[item.index]),
                candidates.names[candidates.name_M[item.index]],
                float(candidates.score_M[item.index]),
                candidates.channel(item.index),
            )
        )
    cuts: list[Cut] = []
    for place in sorted(by_recording, key=lambda place: candidates.recordings[place]):
        recording = candidates.recordings[place]
        for cut in _cut_recording(archive, recording, by_recording[place], folder, pad_s, file_format):
            cuts.append(cut)
            if on_clip is not None:
                on_clip(len(cuts), len(chosen))
    make_durable(cut.file for cut in cuts if cut.file is not None)
    write_index(folder / INDEX, cuts, folder)
    if voices is not None:
        write_csv(folder / WITH_VOICES, [("recording", "start", "end", "name", "score"), *spoken])
    if any(cut.file is None for cut in cuts):
        write_failed(folder / FAILED, cuts)
    return cuts


def _without_voices(candidates: Candidates, voices: Path, pad_s: float) -> tuple[Candidates, list[tuple[object, ...]]]:
    """Return the detections without voices, and the rows of the others; log their number.

    A label names its recording without suffix, so recordings that differ by it alone count as one here.
    """
    heard: dict[str, bool] = {}
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _, cells in iter_rows(voices / "recordings.csv", ("recording", "problem")):
        key = _key(cells["recording"])
        heard[key] = heard.get(key, True) and not cells["problem"]
    for _, cells in iter_rows(voices / "voices.csv", ("recording", "start", "end")):
        spans[_key(cells["recording"])].append((float(cells["start"]), float(cells["end"])))
    used = sorted({int(place) for place in candidates.recording_M})
    unheard = [name for name in map(candidates.recordings.__getitem__, used) if not heard.get(name_key(name))]
    if unheard:
        raise InputError(
            f"{voices}: {len(unheard)} recordings were not heard to their end for voices ({some(unheard)}); run voices "
            "on all of them"
        )
    spoken = np.zeros(len(candidates), bool)
    for place in used:
        at = np.flatnonzero(candidates.recording_M == place)
        for start, end in spans[name_key(candidates.recordings[place])]:
            spoken[at] |= (start < candidates.end_M[at] + pad_s) & (end > candidates.start_M[at] - pad_s)
    if len(spoken) and spoken.all():
        raise InputError(f"all {len(spoken)} detections hold voices, so no clip is left; see {voices / 'voices.csv'}")
    log.warning("%d of %d detections hold voices and are left out (%s)", spoken.sum(), len(spoken), WITH_VOICES)
    rows: list[tuple[object, ...]] = [
        (
            candidates.recordings[candidates.recording_M[at]], f"{candidates.start_M[at]:.3f}",
            f"{candidates.end_M[at]:.3f}", candidates.names[candidates.name_M[at]], f"{candidates.score_M[at]:.6f}",
        )
        for at in np.flatnonzero(spoken)
    ]  # fmt: skip
    return candidates.take(~spoken), rows


def _key(recording: str) -> str:
    return name_key(Path(recording).with_suffix("").as_posix())


def _cut_recording(
    archive: Recordings, recording: str, clips: list[Clip], folder: Path, pad_s: float, file_format: str
) -> Iterator[Cut]:
    path = archive.find(recording)
    info = None if path is None else archive.info(path)
    yield from cut_clips(path, clips, folder, pad_s, file_format, info)
