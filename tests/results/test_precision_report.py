"""From verdicts and labels to tables: a world whose truth is known, and another model's labels."""

import csv
from pathlib import Path

import numpy as np
import pytest

import britekit.commands as commands
from britekit.annotations.verdicts import Verdict, append_verdict, new_id
from britekit.errors import InputError
from britekit.results.precision_report import report_precision


def write_labels(folder: Path, rows: list[tuple[str, str, float, float, float]]) -> Path:
    folder.mkdir(exist_ok=True)
    with open(folder / "scores.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("recording", "name", "start_time", "end_time", "score"))
        writer.writerows(rows)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def say(path: Path, row: tuple[str, str, float, float, float], verdict: str, share: float | None = 1.0, **more) -> None:
    recording, name, start, end, score = row
    facts = {
        "id": new_id(), "recording": recording, "start": start, "end": end, "detection_start": start,
        "detection_end": end, "name": name, "verdict": verdict, "score": score, "share": share,
        "reviewer": "Jo",
    } | more  # fmt: skip
    append_verdict(path, Verdict(**facts))


def world(tmp_path: Path, count: int = 600):
    rng = np.random.default_rng(2)
    rows, truth = [], []
    for number in range(count):
        score = round(float(rng.uniform(0.2, 1)), 3)
        rows.append((f"{'ab'[number % 2]}/r{number}", "Wren", 5.0, 10.0, score))
        truth.append(bool(rng.random() < score))
    return write_labels(tmp_path / "labels", rows), rows, np.array(truth)


def test_estimates_are_near_the_truth(tmp_path: Path) -> None:
    labels, rows, truth = world(tmp_path)
    scores = np.array([row[4] for row in rows])
    rng = np.random.default_rng(1)
    for index in rng.choice(len(rows), 150, replace=False):
        say(tmp_path / "v.csv", rows[index], "yes" if truth[index] else "no", 150 / 600)
    report = report_precision(tmp_path / "v.csv", labels, tmp_path / "out")
    inside = []
    for row in read(tmp_path / "out" / "precision.csv"):
        true = truth[scores >= float(row["threshold"])].mean()
        if row["name"] == "Wren" and int(row["verdicts"]) >= 50:
            inside.append(float(row["low"]) <= true <= float(row["high"]))
            assert float(row["precision"]) == pytest.approx(true, abs=0.1)
    assert len(inside) >= 8 and np.mean(inside) > 0.85
    density = {row["site"]: row for row in read(tmp_path / "out" / "density.csv")}
    assert {site: int(row["detections"]) for site, row in density.items()} == {"a": 300, "b": 300}
    for number, site in enumerate("ab"):
        assert float(density[site]["low"]) <= truth[number::2].sum() <= float(density[site]["high"])
    assert report.notes == []
    page = (tmp_path / "out" / "precision.html").read_text()
    assert "Wren" in page and "data:image/png;base64," in page


def test_what_was_not_used_is_counted(tmp_path: Path) -> None:
    labels, rows, _ = world(tmp_path, 20)
    path = tmp_path / "v.csv"
    say(path, rows[0], "yes")
    say(path, rows[1], "unsure")
    say(path, rows[2], "no", share=None)
    say(path, ("gone", "Wren", 0, 5, 0.5), "no")
    say(path, (rows[3][0], "Robin", 5, 10, 0.5), "no")
    report = report_precision(path, labels, tmp_path / "out")
    assert [each.rows[0][1].verdicts for each in report.classes] == [1]
    notes = " ".join(report.notes)
    assert (
        "2 verdicts not used, because the models have no such detection there (the first: gone, 0.00 s, Wren)" in notes
    )
    assert "1 verdict not used, because they are unsure" in notes
    assert "1 verdict not used, because the detections were selected" in notes
    assert "fewer than 50 verdicts" in notes


def test_verdicts_hold_for_another_models_detections(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    say(path, ("r", "Wren", 0, 5, 0.5), "yes", start=3.0, end=4.0)
    say(path, ("r", "Wren", 20, 30, 0.5), "no")
    say(path, ("r", "Wren", 40, 45, 0.5), "no")
    labels = write_labels(
        tmp_path / "l",
        [
            ("r", "Wren", 2.5, 7.5, 0.9),  # holds the call
            ("r", "Wren", 22, 27, 0.8),  # within what was judged: false
            ("r", "Wren", 44, 49, 0.7),  # mostly unheard: not judged
            ("r", "Wren", 8.5, 12, 0.6),  # beside the call
        ],
    )
    report = report_precision(path, labels, tmp_path / "out")
    (found,) = report.classes
    assert found.rows[0][1].verdicts == 2
    assert len(report.matches.elsewhere) == 1
    assert report.matches.yes == {0: True, 2: False}  # sorted by start


def test_agreement_of_two_reviewers(tmp_path: Path) -> None:
    from sklearn.metrics import cohen_kappa_score

    labels, rows, truth = world(tmp_path, 40)
    rng = np.random.default_rng(4)
    one = ["yes" if each else "no" for each in truth]
    other = [answer if rng.random() < 0.8 else "unsure" for answer in one]
    for row, first, second in zip(rows, one, other, strict=True):
        say(tmp_path / "v.csv", row, first)
        say(tmp_path / "v.csv", row, second, reviewer="Ann")
    report = report_precision(tmp_path / "v.csv", labels, tmp_path / "out")
    assert report.kappa == [("Ann", "Jo", 40, pytest.approx(cohen_kappa_score(other, one)))]


def test_nothing_to_go_by(tmp_path: Path) -> None:
    labels, rows, _ = world(tmp_path, 5)
    say(tmp_path / "v.csv", rows[0], "unsure")
    with pytest.raises(InputError, match=r"has no verdict \(yes or no\)"):
        report_precision(tmp_path / "v.csv", labels, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": "week"}, "--period"), ({"period": "day"}, "needs the times"),
        ({"half_width": 0.0}, "--half-width"),
    ],
)  # fmt: skip
def test_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    labels, rows, _ = world(tmp_path, 5)
    say(tmp_path / "v.csv", rows[0], "yes")
    with pytest.raises(InputError, match=message):
        report_precision(tmp_path / "v.csv", labels, tmp_path / "out", **options)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    (tmp_path / "rec").mkdir()
    soundfile.write(tmp_path / "rec" / "x_20260501_060000.wav", np.zeros(8000 * 30), 8000)
    rows = [("x_20260501_060000", "Wren", 3.0, 8.0, 0.9), ("x_20260501_060000", "Wren", 25.0, 28.0, 0.4)]
    labels = write_labels(tmp_path / "l", [*rows, ("missing", "Wren", 0.0, 5.0, 0.8)])
    with pytest.raises(InputError, match=r"1 of 3 clips could not be cut, the first of them missing at 0\.00 s"):
        commands.clips(str(tmp_path / "rec"), str(labels), str(tmp_path / "clips"))
    assert "clips = 2" in capsys.readouterr().out
    cuts = commands.clips(str(tmp_path / "rec"), str(labels), str(tmp_path / "some"), by="bins", num=1, min_score=0.85)
    assert len(cuts) == 1
    say(tmp_path / "v.csv", rows[0], "yes")
    say(tmp_path / "v.csv", rows[1], "no")
    commands.rpt_precision(
        str(tmp_path / "v.csv"), str(labels), str(tmp_path / "p"), input_path=str(tmp_path / "rec"), period="day"
    )
    out = capsys.readouterr().out
    assert "Wren: precision" in out and "Note: fewer than 50 verdicts" in out
    assert [row["period"] for row in read(tmp_path / "p" / "density.csv")] == ["2026-05-01", "unknown"]
