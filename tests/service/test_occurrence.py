"""The service with occurrence data: place and date by field, metadata or name, and the numbers of analyze."""

import json

import httpx
import pytest

from britekit.errors import InputError
from britekit.inference.analysis import analyze_recordings
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.occurrence.prior import Where
from britekit.service.contents import write_contents
from tests.occurrence.test_prior import HEAD, ROWS
from tests.service.running import serving
from tests.service.tone_model import write_project, write_tones

NORTH, SOUTH = {"latitude": 51, "longitude": 11}, {"latitude": 41, "longitude": 11}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("occurrence")
    (path / "occurrence.csv").write_text(HEAD + ROWS)
    (path / "ignore.txt").write_text("Noise\n")  # a class that the file may name all the same
    write_project(path, occurrence=str(path / "occurrence.csv"), scaling_coefficient=1.3, overlap=0.5, min_score=0.001)
    write_tones(path / "x.wav")
    return path


@pytest.fixture(scope="module")
def server(folder):
    with serving(["-c", str(folder / "settings.yaml")], folder) as running:
        yield running


def analyzed(folder, **stated):
    """Return the rows that analyze writes, each as texts."""
    cfg, paths = resolve_for_models(folder / "settings.yaml", None)
    out = folder / "labels"
    where = Where.stated(**stated)
    analyze_recordings(cfg, load_ensemble(cfg, paths), [folder / "x.wav"], out, where=where, resume=False)
    return (out / "scores.csv").read_text()


def test_same_numbers_as_analyze_and_no_mixing_of_places(server, folder):
    north = analyzed(folder, latitude=51.0, longitude=11.0, week=20)
    south = analyzed(folder, latitude=41.0, longitude=11.0, date="2024-05-20")
    neither = analyzed(folder)
    assert len({north, south, neither}) == 3
    for _ in range(2):  # the second time the scores are kept
        assert server.post("detections", folder / "x.wav", format="csv", week=20, **NORTH).text == north
        answer = server.post("detections", folder / "x.wav", format="csv", date="2024-05-20", **SOUTH)
        assert answer.text == south
        assert answer.headers["x-occurrence"].startswith("area=S; week=19; withheld=")
        answer = server.post("detections", folder / "x.wav", format="csv")
        assert answer.text == neither
        assert answer.headers["x-occurrence"].startswith("not applied: its place is not known")
    key = server.post("detections", folder / "x.wav").json()["key"]
    for fields, expected in ((NORTH | {"week": 20}, north), (SOUTH | {"week": 19}, south), ({}, neither)):
        form = {"key": key, "name": "x", "format": "csv", **fields}
        parts = {name: (None, str(value)) for name, value in form.items()}
        assert httpx.post(f"{server.url}/detections", files=parts).text == expected


def test_what_was_withheld_is_answered(server, folder):
    found = server.post("detections", folder / "x.wav", area="S", week=20).json()
    occurrence, names = found["occurrence"], {x["class_name"] for x in found["detections"]}
    plain = [x["class_name"] for x in server.post("detections", folder / "x.wav").json()["detections"]]
    missing = plain.count("High Tone") - sum(x["class_name"] == "High Tone" for x in found["detections"])
    assert occurrence["withheld"] == missing and occurrence["area"] == "S" and "Low Tone" in names
    scores = {
        x: server.post("scores", folder / "x.wav", **fields).json() for x, fields in (("S", {"area": "S"}), ("", {}))
    }
    high = scores[""]["classes"].index("High Tone")
    before, after = ([row[high] for row in scores[x]["scores"]] for x in ("", "S"))
    assert all(a < b for a, b in zip(after, before, strict=True)) and scores["S"]["occurrence"]["area"] == "S"
    assert scores[""]["occurrence"]["reason"] == "its place is not known"


def test_the_name_of_the_recording_tells_place_and_day(server, folder):
    north = "a_20240520_061500 +51.00+11.00.wav"
    for name, area, week in ((north, "N", 19), (north.replace("51", "41").replace("0520", "1231"), "S", 48)):
        found = server.post("detections", folder / "x.wav", name=name).json()["occurrence"]  # the same bytes
        assert (found["area"], found["week"], found["place_source"]) == (area, week, "name")
    found = server.post("detections", folder / "x.wav", latitude=41, longitude=11, time="2026-05-20T06:00").json()
    assert (found["occurrence"]["area"], found["occurrence"]["week"]) == ("S", 19)
    at_sea = server.post("detections", folder / "x.wav", name="a +31.00-40.00.wav").json()["occurrence"]
    assert at_sea["reason"] == "no area contains 31, -40"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latitude": 51}, "belong together"),
        ({"latitude": 91, "longitude": 0}, "field latitude"),
        ({"latitude": "nan", "longitude": 0}, "field latitude"),
        ({"latitude": 0, "longitude": 200}, "field longitude"),
        ({"week": 0}, "field week"),
        ({"week": 53}, "field week"),
        ({"week": 3, "date": "2024-01-01"}, "exclude each other"),
        ({"date": "2023-02-29"}, "is not a day"),
        ({"date": "2023-02-29 and more"}, "field date"),
        ({"area": "X"}, 'has no area "X"'),
        ({"area": "N" * 81}, "field area"),
        ({"latitude": 0, "longitude": -30}, "contains latitude 0, longitude -30"),
        ({"place": "Rome"}, 'unknown field "place"'),
    ],
)
@pytest.mark.parametrize("endpoint", ["detections", "scores"])
def test_fields_that_cannot_be_used(server, folder, endpoint, fields, message):
    answer = server.post(endpoint, folder / "x.wav", **fields)
    assert answer.status_code == 400 and message in answer.json()["error"], answer.text
    assert str(folder) not in answer.text


def test_the_package_carries_the_file(folder, tmp_path):
    contents = write_contents(*resolve_for_models(folder / "settings.yaml", None), tmp_path / "model")
    copied = tmp_path / "model" / "occurrence.csv"
    assert contents.cfg.infer.occurrence == str(copied)
    assert copied.read_bytes() == (folder / "occurrence.csv").read_bytes()
    assert str(folder) not in (tmp_path / "model" / "settings.yaml").read_text()
    cfg, paths = resolve_for_models(folder / "settings.yaml", None)
    (tmp_path / "other.csv").write_text("area,class,week,value\nN,Low Tone,,1\n")
    cfg.infer.occurrence = str(tmp_path / "other.csv")
    with pytest.raises(InputError, match='no values for . class(es)? of the models: "High Tone"'):
        write_contents(cfg, paths, tmp_path / "wrong")


def test_a_model_without_such_data_refuses_places(tmp_path):
    write_project(tmp_path)
    path = write_tones(tmp_path / "x.wav")
    with serving(["-c", str(tmp_path / "settings.yaml")], tmp_path) as plain:
        for endpoint, fields in (("scores", NORTH), ("scores", {"week": 3}), ("detections", {"area": "N"})):
            answer = plain.post(endpoint, path, **fields)
            assert answer.status_code == 400 and "the model has no occurrence data" in answer.json()["error"]
        assert plain.post("detections", path, **NORTH).status_code == 200  # tables of detections have columns for it
        assert "occurrence" not in plain.post("detections", path).json()
        assert json.loads(plain.get("model").text)["occurrence"] is None


def test_the_model_says_that_it_has_them(server):
    facts = server.get("model").json()
    assert facts["occurrence"]["areas"] == 2 and "occurrence" not in facts["settings"]
