"""Verdicts as training data: what extraction stores of them, what the pickle says is known."""

import pickle
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from britekit import commands
from britekit.annotations.verdicts import Verdict, write_verdicts
from britekit.database.copying import copy_class
from britekit.database.deletion import delete_class
from britekit.database.session import open_database
from britekit.datasets.extraction import build_training_database
from britekit.datasets.pickling import write_training_pickle
from britekit.datasets.training_set import read_training_set
from tests.datasets.conftest import small_config, write_recording

DB, PICKLE = Path("data/training.db"), Path("data/training.pkl")
FOLDER = Path("data/recordings/verdicts")
CLASSES = ["Wren", "Robin", "Owl"]


def verdict(answer, start, end, name="Wren", **more):
    given = {"recording": "clip_0s", "detection_start": start, "detection_end": end, "start": start, "end": end}
    verdict.number += 1
    return Verdict(**{"id": f"v{verdict.number}", "name": name, "verdict": answer, **given, **more})


verdict.number = 0


@pytest.fixture
def judge(project):
    """Return a function that writes verdicts on a recording of 8 s and builds the database."""

    def build(*verdicts, seconds=8.0):
        write_recording(FOLDER / "clip_0s.wav", seconds, seed=77)
        write_verdicts(FOLDER / "verdicts.csv", verdicts)
        return extract()

    return build


def extract(target=DB):
    cfg = small_config()
    return build_training_database(cfg, Path("data/recordings"), Path("data/classes.csv"), None, target)


def known():
    """Return {offset: (classes heard, classes known to be absent)} of the judged recording."""
    with sqlite3.connect(DB) as db:
        at = "FROM Segment JOIN Recording ON Recording.ID = RecordingID AND FileName = 'clip_0s.wav'"
        found = {offset: (set(), set()) for (offset,) in db.execute(f"SELECT Offset {at}")}
        for column, table in ((0, "SegmentClass"), (1, "SegmentAbsence")):
            query = f"SELECT Offset, Class.Name {at} JOIN {table} ON SegmentID = Segment.ID"
            query += " JOIN Class ON Class.ID = ClassID"
            for offset, name in db.execute(query):
                found[offset][column].add(name)
    return found


def training_set(**options):
    with open_database(DB) as session:
        write_training_pickle(session, PICKLE, 32, 32, **options)
    return read_training_set(PICKLE)


def test_confirmed_is_heard_rejected_is_absent_and_the_rest_unknown(judge):
    judge(
        verdict("yes", 1.0, 2.0),
        verdict("no", 3.0, 4.0),
        verdict("unsure", 5.0, 6.0),
        verdict("yes", 6.5, 7.5, "Owl", others=("Robin",)),
    )
    assert known() == {1.0: ({"Wren"}, set()), 3.0: (set(), {"Wren"}), 6.5: ({"Owl", "Robin"}, set())}
    found = training_set()
    # Of the 24 segments of the tree everything is known; classes are in the order of their names.
    assert [info.name for info in found.classes] == ["Owl", "Robin", "Wren"]
    assert found.known[:24].all() and found.labels.shape == (27, 3)
    assert found.labels[24:].tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0]]
    assert found.known[24:].tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_two_verdicts_on_one_stretch_are_one_segment(judge):
    judge(verdict("yes", 1.0, 2.0), verdict("no", 1.0, 2.0, "Owl"), verdict("no", 1.3, 2.3))
    # 0.7 of the window at 1.3 s lies in the confirmed stretch: too little to hold it, so the rejection stands.
    assert known() == {1.0: ({"Wren"}, {"Owl"}), 1.3: (set(), {"Wren"})}


def test_what_one_confirms_and_another_rejects_is_unknown(judge, caplog):
    judge(verdict("yes", 1.0, 2.0), verdict("no", 1.02, 2.02), verdict("yes", 1.0, 2.0, "Owl"))
    assert known() == {1.0: ({"Owl"}, set())}
    assert "2 judged stretches say nothing about any window of 1 s" in caplog.text


def test_other_species_count_where_the_reviewer_was_unsure_of_the_class(judge):
    judge(verdict("unsure", 1.0, 2.0, others=("Robin",)), verdict("no", 4.0, 5.0, others=("Owl",)))
    assert known() == {1.0: ({"Robin"}, set()), 4.0: ({"Owl"}, {"Wren"})}


def test_a_long_stretch_gets_windows_that_cover_it_and_a_short_one_a_window_about_it(judge, caplog):
    corrected = {"detection_start": 0.0, "detection_end": 4.0}
    judge(verdict("yes", 1.0, 3.5, **corrected), verdict("yes", 5.0, 5.2, "Owl"), verdict("no", 6.5, 6.7))
    # 1 s windows at most 1 s apart over 2.5 s; 5.1 - 0.5 = 4.6.
    assert known() == {at: ({"Wren"}, set()) for at in (1.0, 1.75, 2.5)} | {4.6: ({"Owl"}, set())}
    assert "1 judged stretches say nothing about any window" in caplog.text


def test_joined_detections_hold_the_call_somewhere(judge, caplog):
    """In the middle of two windows; in a longer run nobody knows where, unless the bounds were corrected."""
    judge(verdict("yes", 0.0, 1.5), verdict("yes", 2.0, 5.0), verdict("no", 6.0, 7.5, "Owl"))
    assert known() == {0.25: ({"Wren"}, set()), 6.0: (set(), {"Owl"}), 6.5: (set(), {"Owl"})}
    assert "1 judged stretches say nothing about any window" in caplog.text


def test_corrected_bounds_hold_the_call_but_a_rejection_is_about_the_detection(judge):
    judge(
        verdict("yes", 2.0, 2.4, detection_start=1.0, detection_end=3.0),
        verdict("no", 5.0, 5.2, "Owl", detection_start=4.5, detection_end=5.5),
    )
    assert known() == {1.7: ({"Wren"}, set()), 4.5: (set(), {"Owl"})}


def test_at_the_end_of_a_short_recording_the_padded_window_counts(judge):
    judge(verdict("no", 0.0, 1.5), seconds=1.5)
    cfg = small_config(audio={"spec_duration": 2.0})
    build_training_database(cfg, Path("data/recordings"), Path("data/classes.csv"), None, DB)
    assert known() == {0.0: (set(), {"Wren"})}


def test_unknown_classes_and_absent_recordings_are_named(judge, caplog):
    judge(
        verdict("yes", 1.0, 2.0, "Heron"),
        verdict("yes", 1.0, 2.0, others=("Auk",)),
        verdict("yes", 1.0, 2.0, recording="gone"),
        verdict("yes", 3.0, 4.0, "ROB"),
    )
    assert known() == {1.0: ({"Wren"}, set()), 3.0: ({"Robin"}, set())}
    assert "2 verdicts are left out, since they name species that are not in the class list: Heron (1), Auk (1)" in (
        caplog.text
    )
    assert "1 verdicts are left out, since their recordings are not beside it: gone" in caplog.text


def test_recordings_whose_verdict_was_taken_back_are_named(judge, caplog):
    write_recording(FOLDER / "old_3s.wav", 3.0)
    judge(verdict("yes", 1.0, 2.0))
    assert "1 recordings have no verdict and are left out: old_3s.wav" in caplog.text


def test_a_file_with_its_heading_alone_changes_no_byte(project):
    extract()
    first = DB.read_bytes()
    training_set()
    before = PICKLE.read_bytes()
    write_verdicts(FOLDER / "verdicts.csv", [])
    extract()
    training_set()
    assert DB.read_bytes() == first and PICKLE.read_bytes() == before
    assert b"SegmentAbsence" not in first and b"spec_known_indexes" not in before


def test_equal_verdicts_give_equal_bytes(judge):
    rows = [verdict("yes", 1.0, 2.0), verdict("no", 3.0, 4.0)]
    judge(*rows)
    first = DB.read_bytes()
    judge(*rows)
    assert DB.read_bytes() == first


def test_a_class_that_is_not_chosen_is_forgotten(judge):
    judge(verdict("no", 1.0, 2.0), verdict("no", 3.0, 4.0, "Owl"), verdict("yes", 5.0, 6.0, "Robin"))
    from britekit.annotations.classes import ClassInfo

    found = training_set(classes=[ClassInfo("Wren", "WREN"), ClassInfo("Robin", "ROB")])
    assert found.labels[16:].tolist() == [[0, 0], [0, 1]] and found.known[16:].tolist() == [[1, 0], [0, 1]]


def test_max_thins_rejections_too(judge):
    judge(*(verdict("no", at, at + 1.0) for at in (0.0, 1.5, 3.0, 4.5, 6.0)), verdict("no", 7.0, 8.0, "Owl"))
    found = training_set(max_per_class=2)
    rejected = ~found.labels.any(axis=1)
    assert found.labels.sum(axis=0).tolist() == [2, 2, 2]
    assert found.known[rejected].sum(axis=0).tolist() == [1, 0, 2]


def test_the_pickle_is_one_of_plain_values(judge):
    judge(verdict("no", 1.0, 2.0))
    training_set()
    content = pickle.loads(PICKLE.read_bytes())
    assert content["spec_class_indexes"][24] == [] and content["spec_known_indexes"] == [None] * 24 + [[2]]
    content["spec_known_indexes"][0] = [0]
    content["spec_class_indexes"][0] = [1]
    PICKLE.write_bytes(pickle.dumps(content))
    with pytest.raises(
        Exception, match='key "spec_known_indexes": entry 0 lacks a class that spec_class_indexes names'
    ):
        read_training_set(PICKLE)
    del content["spec_known_indexes"]
    PICKLE.write_bytes(pickle.dumps(content))
    with pytest.raises(Exception, match="entry 24 is not a list with at least one class index"):
        read_training_set(PICKLE)


def test_removing_a_class_leaves_what_is_known_of_others(judge):
    judge(
        verdict("yes", 1.0, 2.0),
        verdict("no", 1.0, 2.0, "Owl"),
        verdict("no", 3.0, 4.0),
        verdict("no", 5.0, 6.0, "Owl"),
    )
    with open_database(DB, "write") as session:
        delete_class(session, "Wren")
    assert known() == {1.0: (set(), {"Owl"}), 5.0: (set(), {"Owl"})}
    with open_database(DB, "write") as session:
        delete_class(session, "Owl")
    with sqlite3.connect(DB) as db:
        assert db.execute("SELECT count(*) FROM SegmentAbsence").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM Recording WHERE FileName = 'clip_0s.wav'").fetchone() == (0,)


def test_copying_a_class_brings_its_rejections(judge):
    judge(verdict("yes", 1.0, 2.0), verdict("no", 1.0, 2.0, "Owl"), verdict("no", 3.0, 4.0))
    with open_database(DB) as origin, open_database("data/other.db", "create") as destination:
        copied = copy_class(origin, destination, "Wren")
    assert copied.segments == 8 + 2
    with open_database("data/other.db") as session:
        write_training_pickle(session, PICKLE, 32, 32)
    found = read_training_set(PICKLE)
    assert found.labels[8:].tolist() == [[1], [0]] and found.known.all()
    with open_database(DB) as origin, open_database("data/other.db", "write") as destination:
        copy_class(origin, destination, "Owl")
    with open_database("data/other.db") as session:
        write_training_pickle(session, PICKLE, 32, 32)
    found = read_training_set(PICKLE)
    judged = [[1, 1], [0, 1]]  # Owl and Wren: both known of the first, Wren alone of the second
    assert found.known[[8, 9]].tolist() == judged and found.labels[[8, 9]].tolist() == [[0, 1], [0, 0]]


def test_curation_acts_on_judged_segments(judge):
    judge(verdict("yes", 1.0, 2.0), verdict("no", 1.0, 2.0, "Owl"), verdict("yes", 3.0, 4.0))
    table = Path("data/curation.csv")
    rows = ["clip_0s,1,Wren,drop,", "clip_0s,3,Wren,move,Owl"]
    table.write_text("recording,offset,class,decision,new_class\n" + "\n".join(rows) + "\n")
    build_training_database(small_config(), Path("data/recordings"), Path("data/classes.csv"), table, DB)
    assert known() == {1.0: (set(), {"Owl"}), 3.0: ({"Owl"}, set())}


def test_reports_and_pictures_take_such_a_database(judge, capsys):
    judge(verdict("yes", 1.0, 2.0), verdict("no", 3.0, 4.0))
    Path("params.yaml").write_text(
        "audio: {spec_duration: 1.0, spec_height: 32, spec_width: 32, sampling_rate: 8000, max_freq: 3600}\n"
    )
    commands.rpt_db(db_path=str(DB), output_path="out")
    assert "Wren,WREN,3,9" in Path("out/class_summary.csv").read_text()
    assert "without a class" not in Path("out/report.html").read_text()
    commands.plot_db(class_name="Wren", db_path=str(DB), output_path="plots")
    assert len(list(Path("plots").iterdir())) == 9


@pytest.mark.parametrize("label", ["?", "Wren"])
def test_beside_a_sound_that_is_not_named_nothing_counts_as_absent(project, label):
    folder = Path("data/recordings/Wren")
    (folder / "W0-1.txt").write_text(f"0.0\t1.0\tWren\n2.0\t3.0\t{label}\n2.0\t3.0\tRobin\n3.2\t4.0\t?\n")
    extract()
    found = training_set()
    with sqlite3.connect(DB) as db:
        query = "SELECT Offset FROM Segment JOIN Recording ON Recording.ID = RecordingID WHERE FileName = 'W0-1.wav'"
        assert [offset for (offset,) in db.execute(query)] == [0.0, 2.0]
    rows = np.flatnonzero(found.recording_ids == found.recording_ids[0])
    assert found.labels[rows[1]].tolist() == ([0, 1, 0] if label == "?" else [0, 1, 1])
    if label == "?":
        assert found.known[rows].tolist() == [[1, 1, 1], [0, 1, 0]]
    else:
        assert found.known is None
