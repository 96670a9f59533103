"""Small made-up tests on disk: annotations, and scores of known calibration as a table or label files."""

from pathlib import Path

import numpy as np

from britekit.annotations.classes import ClassInfo
from britekit.annotations.labels import Label
from britekit.annotations.scores import ScoreTable
from tests.label_files import write_label_csv, write_label_text

CLASSES = [ClassInfo("Ovenbird", "OVEN"), ClassInfo("Wood Thrush", "WOTH"), ClassInfo("Veery", "VEER")]
LENGTH = 3.0


def write_annotations(path, rows):
    lines = ["recording,class,start_time,end_time", *(",".join(map(str, row)) for row in rows)]
    Path(path).write_text("\n".join(lines) + "\n")
    return path


def write_table(folder, names, seconds, rows, scores, classes=CLASSES, **changes):
    """Write scores.npz; rows = (recording index, start) of each window."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "recordings": list(names),
        "seconds": np.asarray(seconds, np.float64),
        "row_recording": np.array([row[0] for row in rows], np.int32),
        "starts": np.array([row[1] for row in rows], np.float64),
        "duration": LENGTH,
        "classes": list(classes),
        "scores": np.asarray(scores, np.float32),
        "meta": {"backend": "torch", "members": '[{"name": "seed-1.ckpt", "sha256": "abc"}]'},
    }
    ScoreTable(**{**values, **changes}).save(folder / "scores.npz")
    return folder


def simulate(root, recordings=30, segments=20, slope=0.6, shift=-0.4, seed=0, one_class=False):
    """Write a test whose scores, calibrated with slope and shift, are exactly right; return truth and scores.

    One annotation per true cell, in the middle of its segment, of segments without overlap.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 2.5, (recordings * segments, len(CLASSES)))
    if one_class:
        truth = np.eye(len(CLASSES), dtype=bool)[rng.integers(0, len(CLASSES), len(z))]
        z = rng.normal(-1.5, 1.5, z.shape) + 3 * truth
    else:
        truth = rng.random(z.shape) < 1 / (1 + np.exp(-(slope * z + shift)))
    scores = (1 / (1 + np.exp(-z))).astype(np.float32)
    names = [f"rec{k:03}" for k in range(recordings)]
    rows = [(r, k * LENGTH) for r in range(recordings) for k in range(segments)]
    found = [(names[rows[n][0]], CLASSES[c].code, rows[n][1] + 1, rows[n][1] + 2) for n, c in np.argwhere(truth)]
    silent = [(name, "", "", "") for name in names]
    root.mkdir(parents=True, exist_ok=True)
    write_annotations(root / "annotations.csv", found + silent)
    write_table(root / "labels", names, [segments * LENGTH] * recordings, rows, scores)
    return truth, scores


def table_as_labels(source, folder, form, min_score=0.0, field="codes"):
    """Write the scores of a table as label files instead, rounded as analyze rounds them."""
    table = ScoreTable.load(source / "scores.npz")
    folder.mkdir(parents=True, exist_ok=True)
    labels = [
        Label(
            table.recordings[table.row_recording[n]], table.classes[c].label(field), float(table.starts[n]),
            float(table.starts[n]) + table.duration, float(table.scores[n, c]),
        )
        for n, c in np.argwhere(table.scores >= min_score)
    ]  # fmt: skip
    if form == "csv":
        write_label_csv(folder / "scores.csv", labels)
    else:
        for name in table.recordings:
            write_label_text(folder / f"{name}_scores.txt", [x for x in labels if x.recording == name])
    return folder


def write_public_set(root):
    """Write a test as scores.csv with annotations per segment, block (12 s) and recording, and silent recordings.

    A fourth class, TIT, has scores but no annotations.
    """
    import soundfile

    rng = np.random.default_rng(4)
    truth, scores = simulate(root, recordings=10)
    codes = [info.code for info in CLASSES]
    rows = np.argwhere(np.ones((200, 4), bool))
    values = np.column_stack([scores, rng.random(200, np.float32)])
    labels = [
        Label(f"rec{n // 20:03}", [*codes, "TIT"][c], (n % 20) * LENGTH, (n % 20 + 1) * LENGTH, float(values[n, c]))
        for n, c in rows
    ]
    (root / "csv").mkdir()
    write_label_csv(root / "csv" / "scores.csv", labels)
    for k in range(10):
        soundfile.write(root / f"rec{k:03}.wav", np.zeros(60 * 8000), 8000)

    def listed(row):
        return '"' + ",".join(code for code, there in zip(codes, row, strict=True) if there) + '"'

    # Fewer classes than are heard, so that units differ.
    heard = truth & (rng.random(truth.shape) < 0.4)
    blocks, whole = heard.reshape(10, 5, 4, 3).any(axis=2), heard.reshape(10, 20, 3)[:, :4].any(axis=1)
    lines = [f"rec{r:03},{b + 1},{listed(blocks[r, b])}\n" for r in range(10) for b in range(5)]
    (root / "blocks.csv").write_text("recording,block,classes\n" + "".join(lines))
    lines = [f"rec{r:03},{listed(whole[r])}\n" for r in range(10)]
    (root / "whole.csv").write_text("recording,classes\n" + "".join(lines))
