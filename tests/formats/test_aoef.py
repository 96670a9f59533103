"""Annotations in AOEF: files by hand as soundevent 2.10 writes them, and what is refused."""

import json
import logging

import numpy as np
import pytest
import soundfile

from britekit import formats
from britekit.annotations.classes import ClassInfo
from britekit.annotations.reconciling import Reconciler
from britekit.config.misc import MiscConfig
from britekit.datasets.annotated import FolderAnnotations
from britekit.errors import InputError
from britekit.formats import read_any_annotations, read_folder


def aoef(tmp_path, *events, name="set.json", indent=None, **more):
    """Write a set of one clip of 60 s; events are geometry type, coordinates and tags."""
    tags: list[tuple[str, str]] = []
    for *_, its in events:
        tags += [tag for tag in its if tag not in tags]
    data = {
        "uuid": "set",
        "name": "of a test",
        "collection_type": "annotation_set",
        "tags": [{"id": n, "key": key, "value": value} for n, (key, value) in enumerate(tags)],
        "recordings": [{"uuid": "r", "path": "a/dawn.wav", "duration": 60.0, "channels": 1, "samplerate": 8000}],
        "clips": [{"uuid": "c", "recording": "r", "start_time": 0.0, "end_time": 60.0}],
        "sound_events": [
            {"uuid": f"e{n}", "recording": "r", "geometry": {"type": kind, "coordinates": where}}
            for n, (kind, where, _) in enumerate(events)
        ],
        "sound_event_annotations": [
            {"uuid": f"s{n}", "sound_event": f"e{n}", "tags": [tags.index(tag) for tag in its]}
            for n, (*_, its) in enumerate(events)
        ],
        "clip_annotations": [{"uuid": "k", "clip": "c", "sound_events": [f"s{n}" for n in range(len(events))]}],
        **more,
    }
    path = tmp_path / name
    path.write_text(json.dumps({"version": "1.1.0", "created_on": "2026-05-01", "data": data}, indent=indent))
    return path


def found(path, **options):
    return [(x.recording, x.label, x.start, x.end) for x in read_any_annotations(path, **options)]


OWL, WREN = ("species", "Owl"), ("species", "Wren")


@pytest.mark.parametrize("indent", [None, 2])
def test_every_geometry_has_its_begin_and_end(tmp_path, indent):
    shapes = [
        ("TimeInterval", [1.5, 3.0], (1.5, 3.0)),
        ("BoundingBox", [2.0, 500.0, 4.25, 9000.0], (2.0, 4.25)),
        ("LineString", [[5.0, 900.0], [5.5, 950.0], [6.5, 400.0]], (5.0, 6.5)),
        ("Polygon", [[[8.0, 100.0], [7.0, 200.0], [9.0, 300.0]]], (7.0, 9.0)),
        ("MultiPoint", [[11.0, 100.0], [10.0, 7000.0]], (10.0, 11.0)),
        ("MultiLineString", [[[12.0, 1.0], [13.0, 2.0]], [[14.0, 1.0], [15.0, 2.0]]], (12.0, 15.0)),
        ("MultiPolygon", [[[[16.0, 1.0], [17.0, 2.0], [18.0, 1.0]]]], (16.0, 18.0)),
    ]
    path = aoef(tmp_path, *((kind, where, [OWL]) for kind, where, _ in shapes), indent=indent)
    assert found(path) == [("dawn", "Owl", *times) for *_, times in shapes]


@pytest.mark.parametrize("kind", ["annotation_set", "annotation_project", "evaluation_set"])
def test_each_kind_is_recognized(tmp_path, kind):
    path = aoef(tmp_path, ("TimeInterval", [1.0, 2.0], [OWL]), collection_type=kind)
    assert formats.matching(path.read_text().split("\n"), ".json").name == "aoef"
    assert found(path) == [("dawn", "Owl", 1.0, 2.0)]


def test_the_class_is_the_tag_of_a_species(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    both = [("quality", "good"), ("dwc:scientificName", "Strix aluco"), ("dwc:vernacularName", "Owl")]
    path = aoef(tmp_path, ("TimeInterval", [1.0, 2.0], both), ("TimeInterval", [3.0, 4.0], [("quality", "poor")]))
    assert found(path) == [("dawn", "Strix aluco", 1.0, 2.0), ("dawn", "", 3.0, 4.0)]
    assert 'the tags with the key "dwc:scientificName"; not read: dwc:vernacularName, quality' in caplog.text
    assert "1 of 2 sound events name no class" in caplog.text
    # in the folder of a class, what nobody named is that class
    assert found(path, default_label="Emu")[1] == ("dawn", "Emu", 3.0, 4.0)


def test_a_single_key_of_any_name_will_do(tmp_path):
    path = aoef(tmp_path, ("TimeInterval", [1.0, 2.0], [("Vogelart", "Eule"), ("Vogelart", "Amsel")]))
    assert found(path) == [("dawn", "Eule", 1.0, 2.0), ("dawn", "Amsel", 1.0, 2.0)]
    path = aoef(tmp_path, ("TimeInterval", [1.0, 2.0], [("Vogelart", "Eule"), ("Ort", "Wald")]))
    with pytest.raises(
        InputError, match="tags have the keys Ort, Vogelart, none of which names a class; expected one of"
    ):
        found(path)


def test_what_a_clip_is_tagged_with_holds_for_all_of_it(tmp_path):
    event = ("TimeInterval", [1.0, 2.0], [OWL])
    clip = {"uuid": "k", "clip": "c", "sound_events": ["s0"], "tags": [0, 1]}
    tags = [{"id": 0, "key": "species", "value": "Owl"}, {"id": 1, "key": "species", "value": "Wren"}]
    path = aoef(tmp_path, event, tags=tags, clip_annotations=[clip])
    assert found(path) == [("dawn", "Owl", 1.0, 2.0), ("dawn", "Wren", 0.0, 60.0)]


def test_a_clip_without_sound_events_was_listened_to(tmp_path):
    assert found(aoef(tmp_path)) == [("dawn", "", 0.0, 0.0)]


def test_times_are_those_of_the_file(tmp_path):
    """A bat recorded ten times slower: AOEF counts the bat's time, the file plays ten times as long."""
    recordings = [{"uuid": "r", "path": "dawn.wav", "duration": 6.0, "time_expansion": 10.0}]
    clips = [{"uuid": "c", "recording": "r", "start_time": 0.0, "end_time": 6.0}]
    path = aoef(tmp_path, ("TimeInterval", [0.25, 0.5], [OWL]), recordings=recordings, clips=clips)
    assert found(path) == [("dawn", "Owl", 2.5, 5.0)]


def test_paths_mean_recordings_by_as_much_as_there_is(tmp_path):
    path = aoef(tmp_path, ("TimeInterval", [1.0, 2.0], [OWL]))
    assert found(path, known=["a/dawn", "b/dawn"]) == [("a/dawn", "Owl", 1.0, 2.0)]
    data = json.loads(path.read_text())
    data["data"]["recordings"][0]["path"] = "C:\\cards\\a\\Dawn.WAV"
    path.write_text(json.dumps(data))
    assert found(path, known=["dawn"]) == [("dawn", "Owl", 1.0, 2.0)]


def test_two_recordings_of_one_name(tmp_path):
    recordings = [{"uuid": key, "path": f"{key}/dawn.wav", "duration": 60.0} for key in ("r", "q")]
    clips = [{"uuid": key, "recording": key, "start_time": 0.0, "end_time": 60.0} for key in ("r", "q")]
    claims = [{"uuid": f"k{key}", "clip": key} for key in ("r", "q")]
    path = aoef(tmp_path, recordings=recordings, clips=clips, clip_annotations=claims)
    with pytest.raises(InputError, match='q/dawn.wav and r/dawn.wav both mean the recording "dawn"'):
        found(path)
    assert {x[0] for x in found(path, known=["q/dawn", "r/dawn"])} == {"q/dawn", "r/dawn"}


def test_tasks_that_are_not_completed_are_left_out(tmp_path, caplog):
    clips = [{"uuid": f"c{n}", "recording": "r", "start_time": 20.0 * n, "end_time": 20.0 * n + 20} for n in range(3)]
    claims = [{"uuid": f"k{n}", "clip": f"c{n}", "sound_events": [f"s{n}"]} for n in range(3)]
    events = [("TimeInterval", [20.0 * n + 1, 20.0 * n + 2], [OWL]) for n in range(3)]
    states = (["assigned", "completed"], ["completed", "rejected"], ["assigned"])
    tasks = [
        {"uuid": f"t{n}", "clip": f"c{n}", "status_badges": [{"state": state} for state in its]}
        for n, its in enumerate(states)
    ]
    more = {"clips": clips, "clip_annotations": claims, "collection_type": "annotation_project"}
    assert found(aoef(tmp_path, *events, tasks=tasks, **more)) == [("dawn", "Owl", 1.0, 2.0)]
    assert "2 of 3 clips are not marked as completed and are left out" in caplog.text
    assert "clips cover only part of 1 recording, whose rest counts as listened to: dawn" in caplog.text
    # where nobody marks tasks, all count
    assert len(found(aoef(tmp_path, *events, tasks=[{**task, "status_badges": None} for task in tasks], **more))) == 3


@pytest.mark.parametrize(
    ("events", "more", "message"),
    [
        ([("TimeStamp", 3.0, [OWL])], {}, "sound event 1: the sound event at 3 s marks a moment"),
        ([("Point", [3.0, 900.0], [OWL])], {}, "marks a moment; stretch it over the sound"),
        ([("TimeInterval", [4.0, 3.0], [OWL])], {}, "end 3.0 is not after start 4.0"),
        ([("TimeInterval", [1.0, 2.0], [OWL])], {"sound_events": []}, "not valid AOEF: 'e0' is missing"),
        ([("TimeInterval", [1.0, 2.0], [OWL])], {"clips": None}, "not valid AOEF: 'c' is missing"),
        ([("TimeInterval", ["a", 2.0], [OWL])], {}, "not valid AOEF .could not convert"),
        ([], {"clip_annotations": 3}, "not valid AOEF"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, events, more, message):
    with pytest.raises(InputError, match=f"set.json.*{message}"):
        found(aoef(tmp_path, *events, **more))


def test_a_cut_file_and_other_json(tmp_path):
    path = aoef(tmp_path, ("TimeInterval", [1.0, 2.0], [OWL]))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(InputError, match="set.json is not valid AOEF"):
        found(path)
    for text in ('{"start": 1, "end": 2}', json.dumps({"data": {"collection_type": "model_run"}})):
        path.write_text(text)
        with pytest.raises(InputError, match="set.json is not annotations in AOEF .annotation_set"):
            found(path)


def test_beside_recordings(tmp_path, caplog):
    (tmp_path / "dawn.wav").write_bytes(b"")
    (tmp_path / "inat.json").write_text('{"start": 1, "end": 2, "results": []}')
    aoef(tmp_path, collection_type="model_run", name="detections.json")
    aoef(tmp_path, ("TimeInterval", [1.0, 2.0], [OWL]), ("TimeInterval", [3.0, 5.0], [WREN]))
    folder = read_folder(tmp_path)
    assert [path.name for path in folder.files] == ["set.json"] and folder.lists_all
    assert [(x.recording, x.label, x.start) for x in folder.annotations] == [
        ("dawn", "Owl", 1.0),
        ("dawn", "Wren", 3.0),
    ]
    assert "2 files are not read as annotations (detections.json, inat.json)" in caplog.text
    aoef(tmp_path, name="other.json")
    with pytest.raises(InputError, match=r"several annotation tables \(other.json, set.json\); keep one there"):
        read_folder(tmp_path)


def test_sound_events_of_no_clip_are_counted(tmp_path, caplog):
    path = aoef(
        tmp_path, ("TimeInterval", [1.0, 2.0], [OWL]), ("TimeInterval", [3.0, 4.0], [OWL]),
        clip_annotations=[{"uuid": "k", "clip": "c", "sound_events": ["s1"], "sequences": ["x"]}],
    )  # fmt: skip
    assert found(path) == [("dawn", "Owl", 3.0, 4.0)]
    assert "1 sound event of no annotated clip not read" in caplog.text


def test_training_data_take_it(tmp_path):
    """A class by its scientific name; a recording of the folder that the set does not list is left out."""
    for name in ("dawn", "dusk"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(60_000, np.int16), 1000)
    aoef(tmp_path, ("BoundingBox", [2.0, 500.0, 4.25, 900.0], [("dwc:scientificName", "Strix aluco")]))
    paths = [tmp_path / "dawn.wav", tmp_path / "dusk.wav"]
    reconciler = Reconciler([ClassInfo("Owl", "OWL", "Strix aluco")])
    heard = FolderAnnotations(tmp_path, paths, reconciler, MiscConfig(), "Owl")
    (annotation,) = heard.of(paths[0])
    assert (annotation.label, annotation.start, annotation.end) == ("Owl", 2.0, 4.25)
    assert heard.lists_all and heard.of(paths[1]) is None
