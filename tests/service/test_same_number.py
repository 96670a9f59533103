"""`analyze`, the page, HTTP, `rpt-test` and Python give the same number for the same recording."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

import britekit as bk
from britekit.annotations.segments import Annotation, write_annotations
from britekit.cli import main
from britekit.config import resolve
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.evaluation.thresholded_values import choose_decisions
from britekit.evaluation.unit_report import report_units
from britekit.evaluation.worst_mistakes import worst_examples
from tests.service.running import serving
from tests.service.tone_model import tones, write_project

pytestmark = pytest.mark.xdist_group("service")
A, B = 0.8, -0.4

Cells = dict[tuple[str, str, float, float], float]


@pytest.mark.parametrize("count", [5, pytest.param(45, marks=pytest.mark.soak)])
def test_five_ways_give_one_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int):
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    write_project(tmp_path)  # members in models/ckpt, where the settings look by default
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in Path("models/ckpt").glob("*.ckpt")]
    members = "".join(f"- sha256: {value}\n" for value in hashes)
    Path("models/calibration.yaml").write_text(f"coefficient: {A}\nintercept: {B}\nmembers:\n{members}")
    paths, annotations = [], []
    for number in range(count):
        seconds = 7.05 + 0.15 * number  # most end within a window
        signal = tones(seconds, seed=number) * (1 - 0.02 * (number % 40)) + 0.0004 * number
        paths.append(Path(f"rec/r{number:02}.wav"))
        paths[-1].parent.mkdir(exist_ok=True)
        soundfile.write(paths[-1], signal, 16000)
        annotations += [Annotation(f"r{number:02}", "LOWT", 2.0, 4.0), Annotation(f"r{number:02}", "HIGT", 0, 1)]
    write_annotations("rec/annotations.csv", annotations)

    assert main(["analyze", "-i", "rec", "-o", "out", "-m", "0"]) == 0
    with open("out/scores.csv", newline="") as file:
        typed: Cells = {(r, n, float(a), float(b)): float(p) for r, n, a, b, p in list(csv.reader(file))[1:]}
    last = {recording: max(end for r, _, _, end in typed if r == recording) for recording, *_ in typed}
    for path in paths:
        assert last[path.stem] <= soundfile.info(path).duration + 1e-6
    assert sum(end % 2 > 0 for end in last.values()) > count // 3, "labels are not cut"

    # Raw scores, scaled here by the formula.
    assert main(["analyze", "-i", "rec", "-o", "raw", "-m", "0", "--raw"]) == 0
    with open("raw/scores.csv", newline="") as file:
        for r, n, a, b, p in list(csv.reader(file))[1:]:
            score = min(max(float(p), 1e-7), 1 - 1e-7)
            by_hand = 1 / (1 + np.exp(-(A * np.log(score / (1 - score)) + B)))
            tolerance = 2e-6 / min(score, 1 - score)  # of a score that was rounded to six decimals
            assert typed[r, n, float(a), float(b)] == pytest.approx(by_hand, abs=tolerance)

    predictor = bk.Predictor()
    assert predictor.calibrated == "calibrated (models/calibration.yaml)"
    predictor.cfg.infer.min_score = 0.0
    predictor = bk.Predictor(cfg=predictor.cfg)
    python: Cells = {}
    for path in paths:
        table = predictor.get_dataframe(*predictor.get_recording_scores(path), path.stem)
        python |= {(r, n, a, b): p for r, n, a, b, p in table.itertuples(index=False, name=None)}
    assert_equal(typed, python)

    with serving(["-c", "settings.yaml"], tmp_path) as server:
        answers, table = {}, {}
        for path in paths:
            answer = server.post("detections", path, path.name, min_score=0).json()
            assert answer["calibrated"] is True and answer["seconds"] == soundfile.info(path).duration
            for x in answer["detections"]:
                answers[path.stem, x["class_code"], x["start"], x["end"]] = x["score"]
            sent = server.post("detections", path, path.name, min_score=0, format="csv")
            assert sent.headers["X-Calibrated"] == "yes"
            for _, n, a, b, p in list(csv.reader(sent.text.splitlines()))[1:]:
                table[path.stem, n, float(a), float(b)] = float(p)
            assert server.post("scores", path, path.name).json()["calibrated"] is False
    assert_equal(typed, answers)
    assert_equal(typed, table)
    rounded = {(r, n, round(a, 6), round(b, 6)): p for (r, n, a, b), p in python.items()}
    assert {(r, n, round(a, 6), round(b, 6)): p for (r, n, a, b), p in answers.items()} == rounded

    # rpt-test: what its lists of mistakes show, and what all its windows come to.
    data = read_scored_segments("rec/annotations.csv", tmp_path / "out", None, resolve())
    decisions = choose_decisions(data, resolve())
    assert decisions.fitted
    tested = {
        (data.recordings[r], label, start): p
        for r, start, row in zip(data.groups_N, data.starts_N.tolist(), decisions.apply(data.scores_NC), strict=True)
        for label, p in zip(data.labels, row.tolist(), strict=True)
    }
    assert tested == {(r, n, a): pytest.approx(p, abs=6e-7) for (r, n, a, _), p in typed.items()}
    examples = worst_examples(report_units(data, 0.5, decisions, replicates=0), 50)
    assert examples
    for x in examples:
        assert x.value == pytest.approx(tested[x.recording, x.label, x.start_s], abs=1e-7)


def assert_equal(typed: Cells, other: Cells) -> None:
    """Compare with numbers of the table, which has six decimals."""
    rounded = {(r, n, round(a, 6), round(b, 6)): p for (r, n, a, b), p in other.items()}
    assert rounded.keys() == typed.keys()
    worst = max(abs(typed[key] - rounded[key]) for key in typed)
    assert worst <= 6e-7
