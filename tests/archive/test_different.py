"""The queue `different`: farthest-first by brute force over the vectors of an archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.verdicts import Verdict, append_verdict, new_id
from britekit.archive.store import Archive
from britekit.errors import InputError
from britekit.results.candidates import Candidates, Place
from britekit.results.queues import find_queue
from britekit.results.review_queue import build_review
from tests.archive.conftest import archive, place, recordings  # noqa: F401
from tests.results.test_precision_report import write_labels

draw = find_queue("different").draw
SPOTS = [("a/one", at) for at in (0.0, 2.0, 4.0, 6.0)] + [("b/four", at) for at in (0.0, 10.0, 30.0, 50.0)]


def detections(folder: Path | None, heard: list[int] = []) -> Candidates:  # noqa: B006
    names = ["a/one", "b/four"]
    return Candidates(
        names, ["Wren"], np.array([names.index(name) for name, _ in SPOTS], np.int32), np.zeros(8, np.int32),
        np.array([at for _, at in SPOTS]), np.array([at + 3.0 for _, at in SPOTS]), np.linspace(0.2, 0.9, 8),
        [Place(), Place()], np.isin(np.arange(8), heard), folder,
    )  # fmt: skip


def vectors(folder: Path) -> np.ndarray:
    """The vector of the window that begins nearest to each detection, which is as long as a window."""
    store, found = Archive(folder), []
    for name, at in SPOTS:
        entry = store.entries[name]
        rows = np.arange(entry.first, entry.first + entry.windows)
        found.append(np.array(store.vectors[rows[np.argmin(abs(store.starts[rows] - at))]], np.float64))
    return np.array(found) / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("heard", [[0], [3, 4], []])
def test_each_is_the_one_least_like_those_before(archive: Path, heard: list[int]) -> None:  # noqa: F811
    unit, order = vectors(archive), list(heard)
    if not heard:
        order = [7]  # the highest score
    while len(order) < 5 + len(heard):
        left = [row for row in range(8) if row not in order]
        if not left:
            break
        order.append(min(left, key=lambda row: max(unit[row] @ unit[other] for other in order)))
    wanted = order[len(heard) :][:5]
    drawn = draw(detections(archive, heard), 5, np.random.default_rng(0))
    assert [item.index for item in drawn] == wanted[: len(drawn)] and len(drawn) == 5
    assert all(item.share is None for item in drawn)


def test_without_an_archive_it_is_refused_with_what_to_do(recordings: Path) -> None:  # noqa: F811
    with pytest.raises(InputError, match="there are none: make them with `britekit embed -i RECORDINGS --archive DIR`"):
        draw(detections(None), 5, np.random.default_rng(0))
    with pytest.raises(InputError, match="is not an archive"):
        draw(detections(Path("nowhere")), 5, np.random.default_rng(0))


def test_recordings_without_embeddings_are_named(archive: Path) -> None:  # noqa: F811
    more = detections(archive)
    more = replace(more, recordings=["new/one", "b/four"])
    with pytest.raises(InputError, match='has no embeddings of 1 recordings with detections, such as "new/one"'):
        draw(more, 5, np.random.default_rng(0))


def test_a_review_begins_with_what_was_not_heard(archive: Path) -> None:  # noqa: F811
    rows = [
        (name, "Wren", at, at + 3.0, 0.5 + 0.01 * number) for number, (name, at) in enumerate(SPOTS) if at % 10 == 0
    ]
    labels = write_labels(Path("labels"), rows)
    name, _, start, end, _ = rows[0]
    append_verdict(
        "verdicts.csv",
        Verdict(
            id=new_id(), recording=name, start=start, end=end, detection_start=start, detection_end=end, name="Wren",
            verdict="yes", reviewer="Ann",
        ),
    )  # fmt: skip
    session, _ = build_review("recordings", labels, "different", 10, verdicts="verdicts.csv", archive=archive)
    assert len(session.items) == len(rows) - 1 and all(
        item.start != start or item.recording != name for item in session.items
    )
