"""Occurrence data as a prior: the formula by hand, the order of steps, and what the output says."""

import csv
import math
import shutil

import numpy as np
import pytest
import yaml

from britekit import commands
from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig, InferConfig, resolve
from britekit.errors import InputError
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.inference.score_tables import score_all
from britekit.occurrence.csv_table import read_csv
from britekit.occurrence.prior import Where, load_prior, shifted, shifts_of
from britekit.occurrence.table import read_occurrence
from tests.occurrence import facts
from tests.service.tone_model import write_project, write_tones

HEAD = "area,class,week,value,min_longitude,max_longitude,min_latitude,max_latitude\n"
BOX = "10,12,50,52"
# The high tone is rare in spring and absent in the south; the low one is common everywhere.
ROWS = (
    f"N,Low Tone,,0.5,{BOX}\nN,High Tone,20,0.02,,,,\nN,High Tone,40,0.6,,,,\n"
    "S,Low Tone,,0.4,10,12,40,42\nS,Noise,,0.1,,,,\nN,Noise,,0.1,,,,\n"
)


def logit(p):
    return math.log(p / (1 - p))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a model of tones, one recording and occurrence data; returns how to analyze."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "occurrence.csv").write_text(HEAD + ROWS)
    write_tones(tmp_path / "recordings" / "one.wav")

    def analyze(out, frames=False, infer=None, **options):
        cfg = write_project(tmp_path, frames=frames, **(infer or {}))
        commands.analyze(cfg_path=str(cfg), input_path="recordings", output_path=str(out), **options)
        return tmp_path / out

    analyze.folder = tmp_path
    return analyze


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_formula_by_hand():
    infer = InferConfig(occurrence_weight=0.5, occurrence_floor=0.01)
    found = shifts_of(np.array([0.4, 0.0, 1.0, 0.2, np.nan, 0.3]), np.array([0.1, 0.1, 0.1, 0.2, 0.1, np.nan]), infer)
    by_hand = [logit(0.4) - logit(0.1), logit(0.01) - logit(0.1), logit(0.99) - logit(0.1), 0, 0, 0]
    np.testing.assert_allclose(found, np.array(by_hand) / 2, atol=1e-12)
    infer.occurrence_use = "list"
    found = shifts_of(np.array([0.0, 0.009, 0.01, np.nan]), np.full(4, 0.1), infer)
    assert found.tolist() == [-math.inf, -math.inf, 0, 0]


def test_shifts_are_added_in_log_odds():
    scores = np.array([[0.2, 0.9, 0.5, 0.0], [1.0, 0.1, 0.3, 0.7]], np.float32)
    found = shifted(scores, np.array([1.5, -2.0, 0.0, 3.0]))
    assert found.dtype == np.float32
    assert found[0, 0] == pytest.approx(sigmoid(logit(0.2) + 1.5), abs=1e-6)
    assert found[0, 1] == pytest.approx(sigmoid(logit(0.9) - 2), abs=1e-6)
    assert found[:, 2].tobytes() == scores[:, 2].tobytes()  # untouched to the last bit
    assert found[0, 3] == 0  # nothing covers it
    assert found[1, 0] == pytest.approx(sigmoid(logit(1 - 1e-7) + 1.5), abs=1e-6)
    assert shifted(scores, np.array([-math.inf, 0, 0, 0]))[:, 0].tolist() == [0, 0]
    assert shifted(scores, np.zeros(4)) is scores


def test_a_table_has_the_values_of_the_pickle_provider(tmp_path):
    facts.build(tmp_path).close()
    facts.bk.OccurrencePickler(tmp_path / "one.db", tmp_path / "one.pkl").pickle(quiet=True)
    provider = facts.bk.OccurrencePickleProvider(tmp_path / "one.pkl")
    for file in ("one.db", "one.pkl"):
        table = read_occurrence(tmp_path / file)
        for code in ("CA-ON-OT", "CA-ON", "CA"):
            for week in (None, 0, 23, 47):
                values = table.values_in(table.areas_of(code), week)
                for name, value in zip(table.class_names, values, strict=True):
                    _, found, expected = provider.occurrence_value(name, True, code, week_num=week)
                    assert value == pytest.approx(float(expected) if found else 0.0, abs=1e-7)


@pytest.mark.parametrize("frames", [False, True])
def test_prior_comes_before_the_calibration(project, frames):
    calibration = {"scaling_coefficient": 1.7, "scaling_intercept": -0.4}
    plain = project("plain", frames, calibration, min_score=0.0)
    given = {"occurrence": "occurrence.csv", "area": "N", "week": 20}
    project("with", frames, calibration, min_score=0.0, **given)
    before, after = (ScoreTable.load(project.folder / out / "scores.npz") for out in ("plain", "with"))
    # Smoothed, the rare value fills three weeks and the common one three: their mean is the base rate.
    base = {"Low Tone": (48 * 0.5 + 48 * 0.4) / 96, "High Tone": (0.02 + 0.6) / 2, "Noise": 0.1}
    value = {"Low Tone": 0.5, "High Tone": 0.02, "Noise": 0.1}
    shift = {name: logit(np.float32(value[name])) - logit(base[name]) for name in base}
    assert shift["High Tone"] < -2 and shift["Low Tone"] > 0.1
    for column, info in enumerate(before.classes):
        for p, q in zip(before.scores[:, column], after.scores[:, column], strict=True):
            clipped = min(max(float(p), 1e-7), 1 - 1e-7)
            assert q == pytest.approx(0 if p == 0 else sigmoid(logit(clipped) + shift[info.name]), abs=2e-5)
    # Labels: calibrated behind the prior.
    listed = rows(project("raw", frames, min_score=0.0, **given) / "scores.csv")
    raw = {(x["name"], x["start_time"]): float(x["score"]) for x in listed}
    found = rows(project.folder / "with" / "scores.csv")
    assert len(found) == len(raw) > 10
    for x in found:
        p = min(max(raw[x["name"], x["start_time"]], 1e-7), 1 - 1e-7)
        if 1e-3 < p < 1 - 1e-3:  # scores in the table are rounded
            assert float(x["score"]) == pytest.approx(sigmoid(1.7 * logit(p) - 0.4), abs=3e-3)
    manifest = yaml.safe_load((project.folder / "with" / "manifest.yaml").read_text())
    assert (manifest["occurrence"]["area"], manifest["occurrence"]["week"]) == ("N", 19)
    assert "occurrence" not in yaml.safe_load((plain / "manifest.yaml").read_text())


def test_what_was_withheld_is_listed(project, capsys):
    out = project("plain", infer={"label_field": "names"})
    without = {x["name"] for x in rows(out / "scores.csv")}
    assert without == {"Low Tone", "High Tone"}
    given = {"occurrence": "occurrence.csv", "latitude": 41.0, "longitude": 11.0, "date": "05-22"}
    capsys.readouterr()
    out = project("list", infer={"label_field": "names", "occurrence_use": "list"}, **given)
    assert {x["name"] for x in rows(out / "scores.csv")} == {"Low Tone"}
    (row,) = rows(out / "occurrence.csv")
    labels = sum(x["name"] == "High Tone" for x in rows(project.folder / "plain" / "scores.csv"))
    assert (row["recording"], row["area"], row["week"], row["withheld"]) == ("one", "S", "20", str(labels))
    assert (row["place_source"], row["week_source"], row["reason"]) == ("given", "given", "")
    (row,) = rows(out / "withheld.csv")
    assert [row[key] for key in ("name", "occurrence", "shift", "labels", "score")] == [
        "High Tone",
        "0",
        "-inf",
        "0",
        "",
    ]
    assert int(row["labels_without"]) == labels and float(row["score_without"]) > 0.5
    printed = capsys.readouterr().out
    assert f"withheld = {labels} (High Tone)" in printed
    # As a prior, the same class is lowered by a finite shift, and the tables go when it is not used any more.
    out = project("list", infer={"label_field": "names"}, no_resume=True, **given)
    (row,) = [x for x in rows(out / "withheld.csv") if x["name"] == "High Tone"]
    base = (0.02 + 0.6) / 2
    assert float(row["shift"]) == pytest.approx(logit(0.001) - logit(base), abs=1e-3)
    out = project("list", infer={"label_field": "names"})
    assert not (out / "occurrence.csv").exists() and not (out / "withheld.csv").exists()


def test_place_and_day_come_from_the_recording(project):
    folder = project.folder / "recordings"
    sources = {"a_20240520_061500": "name", "b": "recordings.csv", "c": "", "d_20240520_061500": "name"}
    for name in sources:
        shutil.copy(folder / "one.wav", folder / f"{name}.wav")
    (folder / "one.wav").unlink()
    (folder / "recordings.csv").write_text(
        "recording,time,latitude,longitude\na_20240520_061500.wav,,51,11\nb.wav,2024-12-31T23:59:00,41,11\nd_20240520_061500.wav,,0,-30\n"
    )
    out = project("out", occurrence="occurrence.csv")
    found = {x["recording"]: x for x in rows(out / "occurrence.csv")}
    assert [(found[x]["area"], found[x]["week"], found[x]["week_source"]) for x in sources] == [
        ("N", "19", "name"), ("S", "48", "recordings.csv"), ("", "", ""), ("", "19", "name"),
    ]  # fmt: skip
    assert found["c"]["reason"] == "its place is not known"
    assert found["d_20240520_061500"]["reason"] == "no area contains 0, -30"  # at sea
    plain = {(x["recording"], x["start_time"]): x["score"] for x in rows(project("plain") / "scores.csv")}
    for x in rows(out / "scores.csv"):
        if x["recording"] in ("c", "d_20240520_061500"):
            assert x["score"] == plain[x["recording"], x["start_time"]]
    # What is stated counts for all, also where a recording says something else.
    out = project("stated", occurrence="occurrence.csv", area="S", week=1)
    assert {(x["area"], x["week"], x["place_source"]) for x in rows(out / "occurrence.csv")} == {("S", "1", "given")}


def test_deployments_tell_the_place(project):
    (project.folder / "data").mkdir()
    (project.folder / "data" / "deployments.csv").write_text("site,pattern,latitude,longitude\nHill,one.wav,51,11\n")
    (row,) = rows(project("out", occurrence="occurrence.csv") / "occurrence.csv")
    assert (row["area"], row["place_source"], row["week"]) == ("N", "deployments.csv row 2", "")


def test_python_gives_the_same_numbers(project):
    infer = {"occurrence": "occurrence.csv", "label_field": "names", "min_score": 0.001, "overlap": 0.5}
    (project.folder / "recordings" / "recordings.csv").write_text(
        "recording,time,latitude,longitude\none.wav,2024-05-20T06:00:00,41,11\n"
    )
    listed = rows(project("out", infer=infer) / "scores.csv")
    cfg = resolve(project.folder / "settings.yaml")
    scored = facts.bk.Predictor(cfg=cfg).score("recordings/one.wav")
    assert [(x.name, f"{x.start:.1f}", f"{x.score:.6f}") for x in scored.labels()] == [
        (x["name"], x["start_time"], x["score"]) for x in listed
    ]
    table = score_all(
        load_ensemble(*resolve_for_models(project.folder / "settings.yaml", None)),
        [project.folder / "recordings" / "one.wav"],
        project.folder / "recordings",
    )
    project("raw", infer=infer, min_score=0.0)
    np.testing.assert_array_equal(table.scores, ScoreTable.load(project.folder / "raw" / "scores.npz").scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latitude": 51.0}, "belong together"),
        ({"latitude": 91.0, "longitude": 0.0}, "latitude 91 does not exist"),
        ({"latitude": math.nan, "longitude": 0.0}, "latitude nan does not exist"),
        ({"latitude": 0.0, "longitude": 181.0}, "longitude 181 does not exist"),
        ({"latitude": 51.0, "longitude": 11.0, "area": "N"}, "exclude each other"),
        ({"date": "05-12", "week": 3}, "exclude each other"),
        ({"week": 0}, "week 0 does not exist; expected 1 to 48"),
        ({"week": 53}, "week 53 does not exist"),
        ({"date": "2023-02-29"}, "is not a day"),
        ({"area": "Nn"}, 'has no area "Nn"; did you mean "N"'),
        ({"latitude": 0.0, "longitude": -30.0}, "no area of .* contains latitude 0, longitude -30"),
        ({"occurrence": "none.csv"}, "none.csv .* does not exist"),
        ({"occurrence": None, "week": 3}, "a place or week needs occurrence data"),
    ],
)
def test_what_cannot_be_used_is_said(project, options, message):
    with pytest.raises(InputError, match=message):
        project("out", **{"occurrence": "occurrence.csv", **options})
    assert not (project.folder / "out" / "scores.csv").exists()


def test_a_leap_day_has_a_week():
    assert Where.stated(date="2024-02-29").week == Where.stated(date="02-29").week == 7


def classes(*names):
    return [ClassInfo(name, f"C{place}") for place, name in enumerate(names)]


def test_names_that_match_nothing_are_errors(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("area,class,week,value\nN,Robin,,0.5\nN,C1,,0.5\nN,Wrenn,,0.1\n")
    cfg = BaseConfig()
    cfg.infer.occurrence = str(path)
    with pytest.raises(InputError, match='no values for 1 class of the models: "Wren" .did you mean "Wrenn"'):
        load_prior(cfg, classes("Robin", "Owl", "Wren"))
    with pytest.raises(InputError, match='names 1 class that the models do not have: "Wrenn" .did you mean "Wren"'):
        cfg.infer.occurrence_unknown = ["Wren"]
        load_prior(cfg, classes("Robin", "Owl", "Wren"))
    with pytest.raises(InputError, match='occurrence_unknown: "Rain" is not a class'):
        cfg.infer.occurrence_unknown = ["Rain"]
        load_prior(cfg, classes("Robin", "Owl", "Wrenn"))
    cfg.infer.occurrence_unknown = ["*"]
    prior = load_prior(cfg, classes("Robin", "Owl", "Wren"), Where(area="N"))
    found = prior.of(tmp_path / "x.wav")
    assert found.values[:2].tolist() == [0.5, 0.5] and math.isnan(found.values[2]) and found.shifts[2] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("area,class,value\nN,Robin,1\n", 'no column "week"'),
        ("area,class,week,value\n", "has no rows"),
        ("area,class,week,value\nN,Robin,0,1\n", "row 2: week 0 does not exist"),
        ("area,class,week,value\nN,Robin,53,1\n", "row 2: week 53 does not exist"),
        ("area,class,week,value\nN,Robin,x,1\n", 'row 2: week is "x"'),
        ("area,class,week,value\nN,Robin,1,1.5\n", 'row 2: value is "1.5"; expected a number from 0 to 1'),
        ("area,class,week,value\nN,Robin,1,\n", 'row 2: value is ""'),
        ("area,class,week,value\nN,Robin,1,nan\n", 'row 2: value is "nan"'),
        ("area,class,week,value\n,Robin,1,1\n", "row 2: the area is not named"),
        ("area,class,week,value\nN,,1,1\n", "row 2: the class is not named"),
        ("area,class,week,value\nN,Robin,1,1\nN,Robin,,1\n", "row 3: week 1 .* is in row 2 too"),
        (HEAD + "N,Robin,1,1,1,2,3,\n", 'row 2: max_latitude is ""'),
        (HEAD + "N,Robin,1,1,170,-170,3,4\n", "divide an area at longitude 180"),
        (HEAD + "N,Robin,1,1,1,2,3,4\nN,Owl,1,1,1,2,3,5\n", "row 3: area .N. has other bounds"),
        ("area,class,week,value,colour\nN,Robin,1,1,red\n", 'unknown column "colour"'),
    ],
)
def test_a_csv_that_cannot_be_used_names_row_and_column(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_csv(path)


def test_areas_without_bounds_must_be_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("area,class,week,value\nN,Robin,,0.5\n")
    cfg = BaseConfig()
    cfg.infer.occurrence = str(path)
    with pytest.raises(InputError, match="states no bounds of its areas; name an area: N"):
        load_prior(cfg, classes("Robin"), Where(51.0, 11.0))
