"""The Tuner of public britekit 1.8.4 and ours without training, value by value, on the same checkpoints.

Needs BRITEKIT_PUBLIC_PYTHON, the interpreter of an environment with the public package and librosa. The differences
that remain are those of `docs/reference/public.md`, each asserted here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

PUBLIC = os.environ.get("BRITEKIT_PUBLIC_PYTHON")
SCRIPT = Path(__file__).with_name("public_tuner.py")
ROOT = Path(__file__).parents[2]
RECORDINGS, WINDOWS, LENGTH = 6, 6, 5
THEIR_MICRO = {"Micro PR-AUC": "Micro PR-AUC trained", "Micro ROC-AUC": "Micro ROC-AUC trained"}


def write_set(root):
    """Write checkpoints of 1.8.4, recordings of whistles, and annotations of what the first one hears, with errors."""
    import soundfile

    import britekit as bk

    rng, rate = np.random.default_rng(0), 18000
    (root / "rec").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "data/exclude.txt").touch()  # the public package expects it
    audio, windows = bk.Audio(cfg=bk.get_config()), []
    for k in range(RECORDINGS):
        time = np.arange(WINDOWS * LENGTH * rate) / rate
        signal = 0.05 * rng.normal(size=len(time))
        for start in rng.uniform(0, WINDOWS * LENGTH - 2, 9):
            there = (time > start) & (time < start + rng.uniform(0.5, 1.5))
            signal += rng.uniform(0.05, 0.4) * there * np.sin(2 * np.pi * rng.uniform(800, 7000) * time)
        path = root / "rec" / f"r{k}.wav"
        soundfile.write(path, (0.3 * signal).astype(np.float32), rate)
        audio.load(str(path))
        windows += [np.asarray(w) for w in audio.get_spectrograms([LENGTH * n for n in range(WINDOWS)], LENGTH)[0]]
    windows = np.stack(windows).astype(np.float32)
    for number, (folder, head, given) in enumerate(
        (("basic", "basic", windows), ("sed", "basic_sed", windows), ("both", "basic", windows[::2] ** 2))
    ):
        (root / folder).mkdir()
        np.save(root / "windows.npy", given)
        command = [PUBLIC, ROOT / "tests/models/make_public.py", "effnet.1", head, "windows.npy", f"{folder}/m{number}"]
        subprocess.run(command, check=True, capture_output=True, cwd=root)
    shutil.copy(root / "basic/m0.ckpt", root / "both")
    scores = np.load(root / "basic/m0.npz")["segment"][:, :5]  # two of the seven classes have no annotations
    heard = (scores - scores.mean(0)) / scores.std(0) + rng.normal(size=scores.shape) > 1
    rows = [
        f"r{n // WINDOWS},C{c},{n % WINDOWS * LENGTH + 1},{n % WINDOWS * LENGTH + 3}\n" for n, c in np.argwhere(heard)
    ]
    (root / "rec/annotations.csv").write_text("recording,class,start_time,end_time\n" + "".join(rows))


def figures_of_recordings(folder):
    """Return scikit-learn's figures where each recording is one segment, after checking that labels are as long."""
    truth, scores = np.zeros((RECORDINGS, 7), bool), np.zeros((RECORDINGS, 7))
    for row in (folder / "annotations.csv").read_text().splitlines()[1:]:
        truth[int(row[1]), int(row.split(",")[1][1:])] = True
    for k in range(RECORDINGS):
        for line in (folder / "tuning_labels" / f"r{k}_scores.txt").read_text().splitlines():
            start, end, label = line.split("\t")
            assert (float(start), float(end)) == (0, WINDOWS * LENGTH)
            code, score = label.split(";")
            scores[k, int(code[1:])] = float(score)
    heard = np.flatnonzero(truth.any(axis=0))
    figures = {
        "Macro PR-AUC": np.mean([metrics.average_precision_score(truth[:, c], scores[:, c]) for c in heard]),
        "Micro PR-AUC": metrics.average_precision_score(truth.ravel(), scores.ravel()),
    }
    if truth.all(axis=0).any():  # a class that is heard everywhere has no ROC curve: there, all get a row of zeros
        truth, scores = np.r_[truth, np.zeros((1, 7), bool)], np.r_[scores, np.zeros((1, 7))]
    return figures | {
        "Macro ROC-AUC": np.mean([metrics.roc_auc_score(truth[:, c], scores[:, c]) for c in heard]),
        "Micro ROC-AUC": metrics.roc_auc_score(truth.ravel(), scores.ravel()),
    }


def answers(python, root, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} if python == sys.executable else None
    command = [python, SCRIPT, *options]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads((root / "answers.json").read_text())


@pytest.mark.slow
@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC_PYTHON names no interpreter with public britekit")
def test_same_values(tmp_path):
    write_set(tmp_path / "there")
    for name in ("rounded", "here"):
        shutil.copytree(tmp_path / "there", tmp_path / name)
    there = answers(PUBLIC, tmp_path / "there")
    rounded, here = answers(sys.executable, tmp_path / "rounded", "rounded"), answers(sys.executable, tmp_path / "here")
    for case in ("powers", "scales", "members", "lengths"):
        assert len(there[case]["trials"]) == len(rounded[case]["trials"]) == 2
        assert rounded[case]["settings"] == there[case]["settings"]
        # A score near the middle of two thousandths may round to the other one.
        assert rounded[case]["score"] == pytest.approx(there[case]["score"], abs=1e-3)
        for theirs, ours in zip(there[case]["trials"], rounded[case]["trials"], strict=True):
            assert all(0.02 < value < 0.98 for value in theirs.values())
            assert {key: ours[THEIR_MICRO.get(key, key)] for key in theirs} == pytest.approx(theirs, abs=1e-3)
            assert abs(ours["Micro ROC-AUC"] - theirs["Micro ROC-AUC"]) > 1e-3
    # Without rounding, scaling changes no order.
    scaled = here["scales"]["trials"]
    assert scaled[0] == scaled[1] and there["scales"]["trials"][0] != there["scales"]["trials"][1]
    # There, labels of frames at min_score 0 last as long as the recording, and so do the segments.
    assert here["frames"]["left"]["segment_len"] is None
    assert here["frames"]["trials"][0] == here["lengths"]["trials"][1]
    assert there["frames"]["trials"][0] == pytest.approx(figures_of_recordings(tmp_path / "there/rec"), abs=6e-5)
    # There, the part of a recording after the last whole step is not tested, and a search of min_score has no effect.
    assert here["overlap"]["trials"] != there["overlap"]["trials"]
    assert there["min_score"]["trials"][0] == there["min_score"]["trials"][1]
    assert here["min_score"]["trials"][0] != here["min_score"]["trials"][1]
    assert here["powers"]["left"]["audio_power"] == 0.7 and there["powers"]["left"]["audio_power"] == 1.0
