"""Detections in the standards of others, with values by hand and the standards' own schemas."""

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from britekit.cli import main
from britekit.errors import InputError
from britekit.exchange import export_detections, get, names
from britekit.exchange.camtrap_dp import DEPLOYMENTS, MEDIA, OBSERVATIONS
from britekit.exchange.darwin_core import EVENT, OCCURRENCE
from tests.exchange.conftest import LABELS, RECORDINGS, load, read, say, write_labels, write_silence

STANDARD = Path(__file__).parent / "camtrap-dp"
TABLES = {"deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS}


def export(standard: str, *more: str) -> int:
    return main(["export", "-i", "rec", "-l", "labels", "-o", "out", "--format", standard, *more])


def test_the_folder_is_the_list(capsys):
    assert names() == ("aoef", "camtrap-dp", "darwin-core")
    assert main(["export", "--help"]) == 0
    assert "aoef, camtrap-dp or darwin-core" in " ".join(capsys.readouterr().out.split())
    assert all(get(name).name == name for name in names())
    with pytest.raises(InputError, match='"camtrap" is not one of .*did you mean "camtrap-dp"'):
        get("camtrap")


# --- Camtrap DP ---


def test_tables_hold_to_the_schemas(archive):
    """The rules of the standard's Table Schemas, checked one by one."""
    say(archive, "yes", "pond/20260501_060000", "Owl", 1.5, 4.5)
    assert export("camtrap-dp", "--verdicts", "data/verdicts.csv") == 0
    keys: dict[tuple[str, str], set[str]] = {}
    for name, columns in TABLES.items():
        schema = load(STANDARD / f"{name}-table-schema.json")
        assert [field["name"] for field in schema["fields"]] == list(columns)
        rows = read(Path(f"out/{name}.csv"))
        assert rows
        for field in schema["fields"]:
            values = [row[field["name"]] for row in rows]
            rules = field.get("constraints", {})
            assert all(values) or not rules.get("required"), field["name"]
            given = [value for value in values if value]
            if rules.get("unique"):
                assert len(set(values)) == len(values)
            keys[name, field["name"]] = set(values)
            for value in given:
                assert value in rules.get("enum", [value]), (field["name"], value)
                assert re.search(rules.get("pattern", ""), value)
                if field["type"] == "datetime":
                    datetime.strptime(value, field["format"])
                if field["type"] in ("number", "integer"):
                    assert rules.get("minimum", -1e9) <= float(value) <= rules.get("maximum", 1e9)
        for key in schema.get("foreignKeys", ()):
            target = key["reference"]
            assert keys[name, key["fields"]] <= keys[target["resource"], target["fields"]]


def test_the_description_holds_to_the_profile(archive):
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    assert export("camtrap-dp") == 0
    profile = load(STANDARD / "camtrap-dp-profile.json")
    anything = referencing.Resource({}, referencing.jsonschema.DRAFT4)
    registry = referencing.Registry(retrieve=lambda uri: anything)  # its base and GeoJSON are checked elsewhere
    package = load(Path("out/datapackage.json"))
    checker = jsonschema.Draft4Validator(profile, registry=registry, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in checker.iter_errors(package)] == []
    assert [error.message for error in checker.iter_errors({**package, "project": {}})]
    assert package["spatial"] == {"type": "MultiPoint", "coordinates": [[13.405, 52.52], [13.5, 52.6]]}
    assert package["temporal"] == {"start": "2026-04-30", "end": "2026-11-02"}
    assert package["taxonomic"] == [{"scientificName": "Strix aluco"}, {"scientificName": "Wren"}]


def test_camtrap_dp_by_hand(archive, capsys):
    assert export("camtrap-dp") == 0
    pond, ridge = read(Path("out/deployments.csv"))
    assert (pond["deploymentID"], pond["locationName"], pond["cameraID"]) == ("pond_R1", "pond", "R1")
    assert (pond["latitude"], pond["longitude"]) == ("52.52", "13.405")
    # "until" includes its day, and on that day clocks are an hour behind those of spring
    assert (pond["deploymentStart"], pond["deploymentEnd"]) == (
        "2026-04-30T18:00:00+02:00",
        "2026-11-02T00:00:00+01:00",
    )
    assert pond["deploymentComments"] == "by the reed"
    # without from and until: from the first recording to the end of the last, rounded up
    assert (ridge["deploymentStart"], ridge["deploymentEnd"]) == (
        "2026-05-03T12:00:00+05:30",
        "2026-05-03T12:00:11+05:30",
    )
    media = {row["filePath"]: row for row in read(Path("out/media.csv"))}
    assert sorted(media) == sorted(f"{name}.wav" for name, _ in RECORDINGS)
    first = media["pond/20260501_060000.wav"]
    assert (first["timestamp"], first["fileMediatype"], first["filePublic"]) == (
        "2026-05-01T06:00:00+02:00",
        "audio/wav",
        "false",
    )
    assert json.loads(first["exifData"]) == {"Duration": 60.0}
    rows = read(Path("out/observations.csv"))
    by_path = {row["mediaID"]: path for path, row in media.items()}
    found = [
        (
            by_path[r["mediaID"]][:-4],
            r["scientificName"],
            r["eventStart"],
            r["eventEnd"],
            r["classificationProbability"],
        )
        for r in rows
        if r["observationType"] == "animal"
    ]
    assert found == [
        ("pond/20260501_060000", "Strix aluco", "2026-05-01T06:00:01+02:00", "2026-05-01T06:00:05+02:00", "0.910000"),
        ("pond/20260501_060000", "Wren", "2026-05-01T06:00:01+02:00", "2026-05-01T06:00:05+02:00", "0.600000"),
        ("pond/20260501_060000", "Strix aluco", "2026-05-01T06:00:30+02:00", "2026-05-01T06:00:33+02:00", "0.720000"),
        ("pond/20260501_235950", "Wren", "2026-05-01T23:59:59+02:00", "2026-05-02T00:00:03+02:00", "0.800000"),
        ("pond/20261025_025950", "Strix aluco", "2026-10-25T02:59:58+02:00", "2026-10-25T02:00:02+01:00", "0.700000"),
    ]
    owl = rows[0]
    assert (owl["classificationMethod"], owl["classifiedBy"]) == ("machine", "britekit 1.2.3 OWLS-1")
    tags = "class:Owl | startTime:1.5 | endTime:4.5 | frequencyLow:100 | frequencyHigh:3800"
    assert owl["observationTags"] == tags
    (blank,) = [row for row in rows if row["observationType"] == "blank"]
    assert by_path[blank["mediaID"]] == "ridge/20260503_120000.wav"
    assert (blank["eventStart"], blank["eventEnd"]) == ("2026-05-03T12:00:00+05:30", "2026-05-03T12:00:11+05:30")
    text = capsys.readouterr().out
    assert "recordings = 4\ndetections = 5\nconfirmed = 0\n" in text
    assert "1 class without AltName in data/classes.csv, where Name stands as scientific name: Wren" in text


def test_a_deployment_of_the_night_when_clocks_go_back(archive):
    """Its end, by the clock, lies before its begin."""
    (archive / "data/deployments.csv").write_text(
        "site,folder,latitude,longitude,time_zone\npond,pond,52,13,Europe/Berlin\n"
    )
    write_labels(archive / "labels", RECORDINGS[2:3], LABELS[4:])
    assert export("camtrap-dp") == 0
    (row,) = read(Path("out/deployments.csv"))
    assert row["deploymentStart"] == "2026-10-25T02:59:50+02:00"
    assert row["deploymentEnd"] == "2026-10-25T02:00:10+01:00"


def test_identifiers_stay_and_a_person_s_words_too(archive):
    assert export("camtrap-dp") == 0
    before = Path("out/observations.csv").read_bytes()
    package = load(Path("out/datapackage.json"))
    package |= {"title": "Owls of the pond", "licenses": [{"name": "CC0-1.0", "scope": "data"}], "taxonomic": []}
    package["project"]["samplingDesign"] = "targeted"
    Path("out/datapackage.json").write_text(json.dumps(package))
    assert export("camtrap-dp") == 0
    assert Path("out/observations.csv").read_bytes() == before
    again = load(Path("out/datapackage.json"))
    assert (again["title"], again["licenses"]) == (package["title"], package["licenses"])
    assert again["project"]["samplingDesign"] == "targeted" and len(again["taxonomic"]) == 2
    Path("out/datapackage.json").write_text("{")
    with pytest.raises(InputError, match="datapackage.json is not valid JSON"):
        export_detections("rec", "labels", "out", "camtrap-dp")


def test_verdicts(archive, capsys):
    first = "pond/20260501_060000"
    say(archive, "yes", first, "Owl", 1.5, 4.5, note="two\nof them")
    say(archive, "no", first, "WREN", 1.5, 4.5)
    say(archive, "unsure", first, "Owl", 30.0, 33.0)
    # a review joins detections that touch: what lies within the stretch is confirmed
    say(archive, "yes", "pond/20260501_235950", "Wren", 6.0, 14.0, reviewer="")
    # heard by a person where these labels have nothing
    say(archive, "yes", "ridge/20260503_120000", "Owl", 2.0, 5.0, others=("Wren",))
    say(archive, "yes", "gone", "Owl", 2.0, 5.0)
    assert export("camtrap-dp", "--verdicts", "data/verdicts.csv") == 0
    rows = read(Path("out/observations.csv"))
    assert not [row for row in rows if row["observationType"] == "blank"]
    found = [(r["scientificName"], r["eventStart"][11:19], r["classificationMethod"], r["classifiedBy"]) for r in rows]
    assert found == [
        ("Strix aluco", "06:00:01", "human", "Ada"),
        ("Strix aluco", "06:00:30", "machine", "britekit 1.2.3 OWLS-1"),
        ("Wren", "23:59:59", "human", "reviewer"),
        ("Strix aluco", "02:59:58", "machine", "britekit 1.2.3 OWLS-1"),
        ("Strix aluco", "12:00:02", "human", "Ada"),
    ]
    assert rows[0]["classificationTimestamp"] == "2026-06-01T10:00:00+02:00"
    assert rows[0]["classificationProbability"] == ""
    assert rows[0]["observationComments"] == "score 0.910000 by britekit 1.2.3 OWLS-1; two of them"
    assert rows[4]["observationTags"] == "class:Owl | startTime:2.0 | endTime:5.0"
    text = capsys.readouterr().out
    for sentence in (
        "1 detection left out, since a verdict says no", "1 confirmed stretch without a detection",
        "1 unsure verdict whose", "1 verdict with other classes", "1 recording with verdicts, but not exported: gone",
        "detections = 5\nconfirmed = 3",
    ):  # fmt: skip
        assert sentence in text, sentence


def test_where_reviewers_differ_yes_counts(archive):
    for reviewer, answer in (("Ada", "yes"), ("Bo", "yes"), ("Cy", "no")):
        say(archive, answer, "pond/20260501_060000", "Owl", 1.5, 4.5, reviewer=reviewer)
    for reviewer, answer in (("Ada", "no"), ("Bo", "yes"), ("Cy", "no")):
        say(archive, answer, "pond/20260501_060000", "Wren", 1.5, 4.5, reviewer=reviewer)
    dataset = export_detections("rec", "labels", "out", "darwin-core", verdicts="data/verdicts.csv")
    found = [(item.info.name, item.confirmed is not None) for item in dataset.detections(dataset.recordings[0])]
    assert found == [("Owl", True), ("Owl", False)]


def test_what_the_standard_cannot_hold_is_listed(archive, capsys):
    more = (
        ("nowhere/20260501_060000", 5.0),
        ("pond/nodate", 5.0),
        ("lost/20260501_060000", 5.0),
        ("pond/gone_20260501_060000", 5.0),
    )
    for name, seconds in more[:3]:
        write_silence(archive / f"rec/{name}.wav", seconds)
    with open("data/deployments.csv", "a") as file:
        file.write("lost,,lost,52,13,,,,\n")
    write_labels(archive / "labels", RECORDINGS + more, (*LABELS, ("pond/nodate", "OWL", 0.0, 3.0, 0.9)))
    assert export("camtrap-dp") == 1
    reasons = {row["recording"]: row["reason"] for row in read(Path("out/not_exported.csv"))}
    assert list(reasons) == sorted(name for name, _ in more)
    assert "no time zone" in reasons["nowhere/20260501_060000"] and "no time zone" in reasons["lost/20260501_060000"]
    assert "time is not known" in reasons["pond/nodate"]
    assert "not in rec" in reasons["pond/gone_20260501_060000"]
    assert len(read(Path("out/media.csv"))) == 4
    error = capsys.readouterr().err
    assert "4 of 8 recordings were not exported" in error and "out/not_exported.csv" in error
    # Darwin Core needs a time, but neither a zone nor coordinates
    assert export("darwin-core") == 1
    assert [row["recording"] for row in read(Path("out/not_exported.csv"))] == [
        "pond/gone_20260501_060000",
        "pond/nodate",
    ]
    text = capsys.readouterr().out
    assert "2 recordings with a time without a time zone" in text and "1 recording without coordinates" in text
    (row,) = [row for row in read(Path("out/event.csv")) if row["eventRemarks"].startswith("nowhere")]
    assert row["eventDate"] == "2026-05-01T06:00:00.000/2026-05-01T06:00:05.000"
    assert (row["decimalLatitude"], row["geodeticDatum"]) == ("", "")
    # AOEF needs the file
    assert export("aoef") == 1
    assert [row["recording"] for row in read(Path("out/not_exported.csv"))] == ["pond/gone_20260501_060000"]
    write_labels(archive / "labels")
    assert export("aoef") == 0 and not Path("out/not_exported.csv").exists()


def test_without_coordinates_anywhere(archive):
    (archive / "data/deployments.csv").write_text(
        "site,folder,time_zone\npond,pond,Europe/Berlin\nridge,ridge,+05:30\n"
    )
    with pytest.raises(
        InputError, match="no recording can be written as Camtrap DP; of 4 its coordinates are not known"
    ):
        export_detections("rec", "labels", "out", "camtrap-dp")
    assert not Path("out").exists() or not list(Path("out").iterdir())


def test_chosen_labels_and_scores(archive):
    dataset = export_detections("rec", "labels", "out", "darwin-core", min_score=0.72, only=["OWL"])
    assert dataset.count() == (2, 0)
    assert len(read(Path("out/event.csv"))) == 4
    with pytest.raises(InputError, match='no detection is called "EMU"; there are OWL, WREN'):
        export_detections("rec", "labels", "out", "darwin-core", only=["EMU"])


def test_a_call_in_both_channels_is_one_occurrence(archive):
    alone = export_detections("rec", "labels", "alone", "darwin-core")
    rows = Path("labels/scores.csv").read_text()
    Path("labels/scores.csv").rename("labels/scores.ch2.csv")
    Path("labels/scores.ch1.csv").write_text(rows.replace(",1.5,4.5,0.91", ",2.0,4.5,0.8"))
    both = export_detections("rec", "labels", "out", "darwin-core")
    assert both.count() == alone.count()
    assert Path("out/occurrence.csv").read_text() == Path("alone/occurrence.csv").read_text()


def test_labels_of_another_program(archive):
    """Audacity labels alone: what else was listened to is not known, and lengths come from the files."""
    folder = archive / "theirs"
    folder.mkdir()
    (folder / "20260501_060000_scores.txt").write_text("1.5\t4.5\tOWL;0.9\n")
    dataset = export_detections("rec/pond", folder, "out", "darwin-core")
    assert [(source.name, source.seconds) for source in dataset.recordings] == [("20260501_060000", 60.0)]
    assert "recordings without a detection are not exported" in dataset.notes[0]
    assert read(Path("out/occurrence.csv"))[0]["identifiedBy"] == "unknown program"


# --- Darwin Core ---


def test_darwin_core_by_hand(archive):
    say(archive, "yes", "pond/20260501_060000", "Owl", 1.5, 4.5, note="clear")
    assert export("darwin-core", "--verdicts", "data/verdicts.csv") == 0
    lines = (STANDARD.parent / "dwc_terms.txt").read_text().splitlines()
    terms = {term for line in lines if line[0] != "#" for term in line.split()}
    assert set(OCCURRENCE) | set(EVENT) <= terms
    rows, events = read(Path("out/occurrence.csv")), read(Path("out/event.csv"))
    assert len(rows) == 5 and len({row["occurrenceID"] for row in rows}) == 5 and len(events) == 4
    assert {row["eventID"] for row in rows} < {row["eventID"] for row in events}
    owl, wren, *_ = rows
    assert owl["eventDate"] == "2026-05-01T06:00:01.500+02:00/2026-05-01T06:00:04.500+02:00"
    assert rows[4]["eventDate"] == "2026-10-25T02:59:58.000+02:00/2026-10-25T02:00:02.000+01:00"
    assert (owl["basisOfRecord"], owl["occurrenceStatus"]) == ("MachineObservation", "present")
    assert (owl["scientificName"], owl["vernacularName"]) == ("Strix aluco", "Owl")
    assert (wren["scientificName"], wren["vernacularName"]) == ("Wren", "")
    assert (owl["decimalLatitude"], owl["decimalLongitude"], owl["geodeticDatum"]) == ("52.52", "13.405", "EPSG:4326")
    assert owl["identificationVerificationStatus"] == "verified by a person" and owl["identifiedBy"] == "Ada"
    assert (owl["dateIdentified"], owl["identificationRemarks"]) == ("2026-06-01T10:00:00+02:00", "clear")
    assert (wren["identificationVerificationStatus"], wren["identifiedBy"]) == ("unverified", "britekit 1.2.3 OWLS-1")
    assert owl["associatedMedia"] == "pond/20260501_060000.wav"
    assert owl["samplingProtocol"].endswith("detection by britekit 1.2.3 OWLS-1, lowest score 0.5")
    assert json.loads(owl["dynamicProperties"]) == {
        "startTime": 1.5, "endTime": 4.5, "score": 0.91, "scoreIsProbability": True, "freqLow": 100, "freqHigh": 3800,
    }  # fmt: skip
    ridge = events[3]
    assert ridge["eventDate"] == "2026-05-03T12:00:00.000+05:30/2026-05-03T12:00:10.500+05:30"
    assert (ridge["sampleSizeValue"], ridge["sampleSizeUnit"]) == ("10.5", "second")


# --- AOEF ---


def test_aoef_by_hand(archive):
    say(archive, "yes", "pond/20260501_060000", "Owl", 1.5, 4.5)
    assert export("aoef", "--verdicts", "data/verdicts.csv") == 0
    file = load(Path("out/detections.json"))
    data = file["data"]
    assert (file["version"], data["collection_type"]) == ("1.1.0", "model_run")
    recordings = {item["uuid"]: item for item in data["recordings"]}
    events = {item["uuid"]: item for item in data["sound_events"]}
    predictions = {item["uuid"]: item for item in data["sound_event_predictions"]}
    clips = {item["uuid"]: item for item in data["clips"]}
    tags = {item["id"]: (item["key"], item["value"]) for item in data["tags"]}
    assert len(predictions) == len(events) == 5
    found = []
    for clip in data["clip_predictions"]:
        where = clips[clip["clip"]]
        recording = recordings[where["recording"]]
        assert (where["start_time"], where["end_time"]) == (0.0, recording["duration"])
        for key in clip["sound_events"]:
            item = predictions[key]
            event = events[item["sound_event"]]
            assert event["recording"] == recording["uuid"]
            named = [(*tags[tag], score) for tag, score in item["tags"]]
            found.append((recording["path"], *event["geometry"]["coordinates"], item["score"], named))
    assert len(data["clip_predictions"]) == 4 and len(found) == 5
    assert found[0] == (
        "pond/20260501_060000.wav", 1.5, 4.5, 0.91, [("species", "Strix aluco", 0.91), ("verdict", "yes", 1.0)],
    )  # fmt: skip
    assert found[1][4] == [("species", "Wren", 0.6)]
    pond = next(item for item in recordings.values() if item["path"] == "pond/20261025_025950.wav")
    assert (pond["date"], pond["time"], pond["samplerate"], pond["channels"]) == ("2026-10-25", "02:59:50", 1000, 1)
    assert (pond["duration"], pond["latitude"]) == (20.0, 52.52)
