"""A test gives the same truth whether annotations come as CSV, Audacity labels, Raven tables or AOEF."""

import csv
import json

import numpy as np
import pytest

from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.scored_segments import read_scored_segments
from tests.evaluation.made_sets import CLASSES, simulate

NAMES = {info.code: info.name for info in CLASSES}


def rows_of(root):
    """Return the rows of the CSV by recording, and remove it."""
    found = {}
    with open(root / "annotations.csv", newline="") as file:
        for row in csv.DictReader(file):
            rows = found.setdefault(row["recording"], [])
            if row["class"]:
                rows.append((float(row["start_time"]), float(row["end_time"]), row["class"]))
    (root / "annotations.csv").unlink()
    return found


def write_audacity(folder, found):
    for recording, rows in found.items():
        (folder / f"{recording}.txt").write_text("".join(f"{a}\t{b}\t{name}\n" for a, b, name in rows))


def write_raven(folder, found, named=False):
    """Two views of each selection; classes by code, or by name."""
    for recording, rows in found.items():
        lines = ["Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies"]
        for number, (start, end, code) in enumerate(rows, start=1):
            label = NAMES[code] if named else code
            views = ("Waveform 1", "Spectrogram 1")
            lines += [f"{number}\t{view}\t1\t{start}\t{end}\t{label}" for view in views]
        (folder / f"{recording}.Table.1.selections.txt").write_text("\n".join(lines) + "\n")


def write_aoef(folder, found):
    """All recordings in one set, as whombat exports it; classes by name."""
    data = {"collection_type": "annotation_set", "tags": []}
    sections = ("recordings", "clips", "sound_events", "sound_event_annotations", "clip_annotations")
    data |= {section: [] for section in sections}
    data["tags"] = [{"id": n, "key": "species", "value": name} for n, name in enumerate(NAMES.values())]
    for recording, rows in found.items():
        data["recordings"].append({"uuid": recording, "path": f"{recording}.wav", "duration": 600.0})
        clip = {"uuid": f"c{recording}", "recording": recording, "start_time": 0.0, "end_time": 600.0}
        data["clips"].append(clip)
        claims = []
        for number, (start, end, code) in enumerate(rows):
            key = f"{recording}-{number}"
            shape = {"type": "BoundingBox", "coordinates": [start, 100, end, 9000]}
            data["sound_events"].append({"uuid": f"e{key}", "recording": recording, "geometry": shape})
            tag = list(NAMES).index(code)
            data["sound_event_annotations"].append({"uuid": key, "sound_event": f"e{key}", "tags": [tag]})
            claims.append(key)
        data["clip_annotations"].append({"uuid": f"a{recording}", "clip": clip["uuid"], "sound_events": claims})
    (folder / "whombat.json").write_text(json.dumps({"version": "1.1.0", "data": data}))


@pytest.mark.parametrize("form", ["audacity", "raven", "raven by name", "mixed", "aoef", "aoef file"])
def test_forms_give_the_same_truth(tmp_path, form):
    truth, scores = simulate(tmp_path, recordings=6, segments=8)
    found = rows_of(tmp_path)
    folder = tmp_path / "made"
    folder.mkdir()
    if form == "mixed":
        half = dict(list(found.items())[:3])
        write_audacity(folder, half)
        write_raven(folder, {name: rows for name, rows in found.items() if name not in half})
    elif form == "audacity":
        write_audacity(folder, found)
    elif form.startswith("aoef"):
        write_aoef(folder, found)
        folder = folder / "whombat.json" if form == "aoef file" else folder
    else:
        write_raven(folder, found, named=form.endswith("name"))
    data = read_scored_segments(folder, tmp_path / "labels", None, BaseConfig())
    np.testing.assert_array_equal(data.truth_NC, truth)
    np.testing.assert_array_equal(data.scores_NC, scores)


def test_one_file_is_a_test_of_its_recording(tmp_path):
    truth, _scores = simulate(tmp_path, recordings=6, segments=8)
    found = rows_of(tmp_path)
    write_raven(tmp_path, {"rec002": found["rec002"]})
    data = read_scored_segments(tmp_path / "rec002.Table.1.selections.txt", tmp_path / "labels", None, BaseConfig())
    assert data.recordings == ["rec002"]
    np.testing.assert_array_equal(data.truth_NC, truth[16:24])


def test_file_in_which_nothing_is_heard_is_no_test(tmp_path):
    simulate(tmp_path, recordings=2, segments=3)
    (tmp_path / "rec000.txt").write_text("")
    with pytest.raises(InputError, match="no usable annotation"):
        read_scored_segments(tmp_path / "rec000.txt", tmp_path / "labels", None, BaseConfig())
