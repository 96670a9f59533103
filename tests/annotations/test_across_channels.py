"""A call in several channels counts once."""

from pathlib import Path

import numpy as np
import pytest

from britekit.annotations import across_channels
from britekit.annotations.across_channels import merged_labels
from britekit.annotations.label_table import read_label_table


def one_by_one(labels: list[tuple]) -> list[bool]:
    """The best first; each is kept unless a kept one of another channel covers more than half of it."""
    merged = [False] * len(labels)
    kept: list[tuple] = []
    for at in sorted(range(len(labels)), key=lambda at: (-labels[at][5], labels[at][1])):
        recording, channel, name, start, end, _ = labels[at]
        merged[at] = any(
            (recording, name) == (other[0], other[2]) and channel != other[1]
            and min(end, other[4]) - max(start, other[3]) > (end - start) / 2 + 1e-6
            for other in kept
        )  # fmt: skip
        if not merged[at]:
            kept.append(labels[at])
    return merged


@pytest.mark.parametrize("rows", [1, 40, 1 << 20])
@pytest.mark.parametrize("kind", ["windows", "runs"])
def test_equals_labels_taken_one_by_one(rows, kind, monkeypatch):
    monkeypatch.setattr(across_channels, "_ROWS", rows)
    rng = np.random.default_rng(3)
    count = 600
    start = rng.integers(0, 40, count) * (1.5 if kind == "windows" else 0.37)
    length = np.full(count, 3.0) if kind == "windows" else rng.exponential(3, count) + 0.1
    columns = (
        rng.integers(0, 3, count).astype(np.int32), rng.integers(1, 4, count).astype(np.int32),
        rng.integers(0, 4, count).astype(np.int32), start, start + length,
        rng.integers(1, 30, count).astype(np.float32) / 30,
    )  # fmt: skip
    found = merged_labels(*columns)
    assert found.tolist() == one_by_one(list(zip(*(column.tolist() for column in columns), strict=True)))
    assert 100 < found.sum() < 500
    # Every class of every recording is still there, and one channel alone loses nothing.
    pairs = lambda which: set(zip(columns[0][which], columns[2][which], strict=True))  # noqa: E731
    assert pairs(~found) == pairs(slice(None))
    assert not merged_labels(columns[0], np.full(count, 2, np.int32), *columns[2:]).any()
    assert not merged_labels(*(column[:0] for column in columns)).any()


def test_of_windows_that_overlap_by_half_one_channel_s_number_is_left():
    start = np.tile(np.arange(500) * 2.5, 2)
    channel, zeros = np.repeat(np.array([1, 2], np.int32), 500), np.zeros(1000, np.int32)
    score = np.random.default_rng(1).random(1000).astype(np.float32)
    merged = merged_labels(zeros, channel, zeros, start, start + 5, score)
    assert sorted(start[~merged]) == start[:500].tolist()
    assert score[~merged][np.argsort(start[~merged])].tolist() == np.maximum(score[:500], score[500:]).tolist()


@pytest.mark.parametrize("form", ["scores", "detections", "audacity"])
def test_the_better_channel_stands_for_a_call_in_both(tmp_path: Path, caplog, form):
    rows = [
        ("a", 1, "Wren", 0, 3, 0.9), ("a", 2, "Wren", 0, 3, 0.5), ("a", 1, "Wren", 6, 9, 0.4),
        ("a", 2, "Wren", 6, 9, 0.8),
        ("a", 2, "Owl", 0, 3, 0.7), ("a", 2, "Wren", 12, 15, 0.3), ("b", 1, "Wren", 0, 3, 0.6),
    ]  # fmt: skip
    heads = {
        "scores": "recording,name,start_time,end_time,score",
        "detections": "recording,class,code,start,end,score,channel",
    }
    for channel in (1, 2):
        mine = [row for row in rows if row[1] == channel]
        if form == "scores":
            text = "".join(f"{r},{n},{s},{e},{p}\n" for r, _, n, s, e, p in mine)
            (tmp_path / f"scores.ch{channel}.csv").write_text(f"{heads[form]}\n{text}")
        elif form == "audacity":
            (tmp_path / "manifest.yaml").write_text("audio:\n  channels: each\n")
            for recording in {row[0] for row in mine}:
                text = "".join(f"{s}\t{e}\t{n};{p}\n" for r, _, n, s, e, p in mine if r == recording)
                (tmp_path / f"{recording}.ch{channel}_scores.txt").write_text(text)
    if form == "detections":
        text = "".join(f"{r},{n},,{s},{e},{p},{c}\n" for r, c, n, s, e, p in rows)
        (tmp_path / "detections.csv").write_text(f"{heads[form]}\n{text}")
    table = read_label_table(tmp_path)
    found = [
        (table.recordings[r], table.names[n], float(s), float(e), round(float(p), 6))
        for r, n, s, e, p in zip(
            table.recording_M, table.name_M, table.start_M, table.end_M, table.score_M, strict=True
        )
    ]
    assert sorted(found) == [
        ("a", "Owl", 0, 3, 0.7), ("a", "Wren", 0, 3, 0.9), ("a", "Wren", 6, 9, 0.8), ("a", "Wren", 12, 15, 0.3),
        ("b", "Wren", 0, 3, 0.6),
    ]  # fmt: skip
    assert table.merged == 2 and not table.channels
    assert "2 of 7 detections are of calls that another channel of the recording heard better" in caplog.text
    apart = read_label_table(tmp_path, channels=True)
    assert len(apart) == 7 and sorted(zip(apart.recordings, apart.channels, strict=True)) == [
        ("a", "1"),
        ("a", "2"),
        ("b", "1"),
    ]
