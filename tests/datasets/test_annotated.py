"""Training folders that people annotated: which segments there are, and of which classes."""

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from britekit.annotations.classes import ClassInfo
from britekit.annotations.segments import Annotation
from britekit.audio.files import Failures
from britekit.config.misc import MiscConfig
from britekit.datasets.annotated import classes_heard
from britekit.datasets.extraction import build_training_database
from britekit.datasets.tree import read_tree
from britekit.errors import InputError
from tests.datasets.conftest import small_config, write_recording

FIELD = Path(os.environ.get("BRITEKIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "field"
CLASSES = [ClassInfo("Wren", "WREN", "Troglodytes"), ClassInfo("Owl", "OWL"), ClassInfo("Robin", "ROB")]
RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("classes.csv").write_text("Name,Code,AltName\nWren,WREN,Troglodytes\nOwl,OWL,\nRobin,ROB,\n")
    root = Path("rec")
    for number, name in enumerate(["Wren/w0", "Wren/w1", "Owl/o0", "Robin/r0", "field/f0", "loose", "other"]):
        write_recording(root / f"{name}.wav", 6.0, seed=number)
    (root / "Wren" / "w0_labels.txt").write_text("0.1\t0.9\tWREN\n2.2\t3.4\tOwl\n4.5\t4.52\t\n")
    (root / "field" / "f0.Table.1.selections.txt").write_text(RAVEN + "1\tS\t1\t1.1\t1.5\tTroglodytes\n")
    (root / "loose.txt").write_text("5.2\t6\tROB\n")
    return root


def links(db="t.db"):
    connection = sqlite3.connect(db)
    rows = connection.execute(
        "SELECT FileName, Offset, Class.Name FROM SegmentClass JOIN Segment ON Segment.ID = SegmentID"
        " JOIN Recording ON Recording.ID = RecordingID JOIN Class ON Class.ID = ClassID"
    ).fetchall()
    connection.close()
    found = {}
    for filename, offset, name in rows:
        found.setdefault(filename, {}).setdefault(offset, set()).add(name)
    return found


def build(root, **options):
    return build_training_database(small_config(), root, Path("classes.csv"), None, "t.db", **options)


def test_segments_and_classes_come_from_annotations(root, caplog):
    result = build(root)
    found = links()
    # 2.2 to 3.4 s: 0.8 s of it in second 2, 0.4 s in second 3. The unnamed label is the folder's class.
    assert found.pop("w0.wav") == {0.0: {"Wren"}, 2.0: {"Owl"}, 3.0: {"Owl"}, 4.0: {"Wren"}}
    assert found.pop("f0.wav") == {1.0: {"Wren"}}
    assert found.pop("loose.wav") == {5.0: {"Robin"}}
    whole = {"w1.wav": "Wren", "o0.wav": "Owl", "r0.wav": "Robin"}
    assert found == {name: {float(second): {label} for second in range(6)} for name, label in whole.items()}
    assert result.per_class == {"Wren": 9, "Owl": 8, "Robin": 7}
    assert "1 recordings lie outside any class's folder and are left out (other.wav)" in caplog.text


def test_the_same_bytes_twice(root):
    build(root)
    first = Path("t.db").read_bytes()
    build(root)
    assert Path("t.db").read_bytes() == first


def test_a_table_says_which_recordings_belong(root, caplog):
    (root / "Owl" / "annotations.csv").write_text(
        "recording,class,start_time,end_time\no0.wav,Owl,0,1\no0,ROB,0.5,1.6\ngone,Owl,0,1\n"
    )
    write_recording(root / "Owl" / "o1.wav", 3.0)
    build(root)
    assert links()["o0.wav"] == {0.0: {"Owl", "Robin"}, 1.0: {"Robin"}}
    assert "o1.wav" not in links()
    assert "1 recordings have no annotation and are left out (o1.wav)" in caplog.text
    assert 'row 4: recording "gone" is not in the folder' in caplog.text


def test_silent_recordings_give_nothing(root):
    (root / "Wren" / "w1.txt").write_text("")
    (root / "Wren" / "w0_labels.txt").unlink()
    build(root)
    assert "w1.wav" not in links() and len(links()["w0.wav"]) == 6


def test_decisions_apply_to_annotated_segments(root):
    Path("curation.csv").write_text("recording,offset,class,decision,new_class\nw0,2,Owl,drop,\nw0,3,Owl,move,Robin\n")
    build_training_database(small_config(), root, Path("classes.csv"), Path("curation.csv"), "t.db")
    assert links()["w0.wav"] == {0.0: {"Wren"}, 3.0: {"Robin"}, 4.0: {"Wren"}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("0\t1\tWern\n", r'o0.txt, row 1: class "Wern" is not known; did you mean "Wren"'),
        ("3\t1\tWren\n", r"o0.txt, row 1: end 1 is not after start 3"),
    ],
)
def test_bad_annotations_stop_before_anything_is_built(root, text, message):
    (root / "Owl" / "o0.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        build(root)
    assert not Path("t.db").exists()


def test_folder_without_class_and_annotations_is_refused(root):
    (root / "field" / "f0.Table.1.selections.txt").unlink()
    with pytest.raises(InputError, match="field is not a class"):
        build(root)


def test_classes_without_whole_recordings_may_come_from_annotations(root):
    shutil.rmtree(root / "Robin")
    assert build(root).per_class["Robin"] == 1
    (root / "loose.txt").unlink()
    with pytest.raises(InputError, match='no recordings of "Robin"'):
        build(root)


@pytest.mark.parametrize("seed", range(5))
def test_every_annotation_is_in_a_window_without_overlap(seed):
    rng = random.Random(seed)
    for _ in range(300):
        start = rng.uniform(0, 40)
        item = Annotation("r", "Wren", start, start + rng.choice([0.01, 0.2, 0.59, 0.61, 3, 12]))
        held = [k * 5.0 for k in range(12) if classes_heard([item], k * 5.0, 5.0)]
        assert held
        for offset in (k * 5.0 for k in range(12)):
            # Walk the annotation in steps of a thousandth of its length.
            step = (item.end - item.start) / 1000
            inside = sum(offset <= item.start + (k + 0.5) * step < offset + 5.0 for k in range(1000)) * step
            needed = min(0.3, (item.end - item.start) / 2)
            if abs(inside - needed) > 2 * step:
                assert (offset in held) == (inside >= needed)


@pytest.mark.skipif(not FIELD.is_dir(), reason="shared recordings are not here")
def test_a_real_recording_with_audacity_labels(tmp_path):
    tree = tmp_path / "tree" / "field"
    tree.mkdir(parents=True)
    for name in ("spinetail.wav", "spinetail.txt"):
        shutil.copy(FIELD / name, tree / name)
    classes = [ClassInfo("Cranioleuca", "CRER"), ClassInfo("Synallaxis", "SP")]
    (planned,) = read_tree(tmp_path / "tree", classes, MiscConfig(), Failures())
    assert planned.every_class == {"Cranioleuca", "Synallaxis"}
    assert planned.class_names == []
    # By the labels: CRER 0.5 to 3.0, 5.2 to 7.9, 11.3 to 13.8, 16.4 to 18.7; the last SP ends at 19.5.
    assert planned.classes_at(0.0, 0.4) == ["Synallaxis"]
    assert planned.classes_at(8.0, 0.5) == ["Synallaxis"]
    assert planned.classes_at(13.9, 1.0) == []
    assert set(planned.classes_at(15.0, 5.0)) == {"Cranioleuca", "Synallaxis"}


def test_windows_reach_every_annotation(root, caplog):
    """Segments of 1 s in recordings of 6.2 s: the last 0.2 s are in a window that ends with the recording."""
    write_recording(root / "Wren" / "w0.wav", 6.2)
    write_recording(root / "Wren" / "w1.wav", 6.2)
    (root / "Wren" / "w0_labels.txt").write_text("6.05\t6.15\tWREN\n7\t8\tWREN\n")
    result = build(root)
    found = links()
    assert found["w0.wav"] == {5.2: {"Wren"}}
    # Nobody said that anything is heard in the last 0.2 s of w1.
    assert sorted(found["w1.wav"]) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [(item.row, item.start) for item in result.unheard.beyond_end] == [(2, 7.0)]
    told = "1 annotation left out that begins after the end of the recording (row 2 of rec/Wren/w0_labels.txt)"
    assert told in caplog.text


def test_a_box_over_the_boundary_of_two_recordings_is_in_both(root, caplog):
    (root / "Wren" / "w0_labels.txt").unlink()
    (root / "Wren" / "both.selections.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tSpecies\n"
        "1\t5\t8.5\tw0.wav\tw1.wav\t5\tWREN\n2\t10\t10.5\tw1.wav\tw1.wav\t4\tWREN\n"
        "3\t11\t12.5\tw1.wav\tgone.wav\t5\tWREN\n"
    )
    build(root)
    found = links()
    assert sorted(found["w0.wav"]) == [5.0] and sorted(found["w1.wav"]) == [0.0, 1.0, 2.0, 4.0, 5.0]
    assert "gone" in caplog.text


def test_a_decision_about_a_short_segment_is_about_no_other(root):
    Path("curation.csv").write_text(
        "recording,offset,class,decision,new_class\no0,0.1,Owl,drop,\nr0,0.13,Robin,drop,\n"
    )
    cfg = small_config(audio={"spec_duration": 0.05, "win_length": 0.01})
    build_training_database(cfg, root, Path("classes.csv"), Path("curation.csv"), "t.db")
    found = links()
    assert [t for t in (0.0, 0.05, 0.1, 0.15, 0.2) if t in found["o0.wav"]] == [0.0, 0.05, 0.15, 0.2]
    # 0.13 s begins no segment; the nearest is meant.
    assert [t for t in (0.05, 0.1, 0.15, 0.2) if t in found["r0.wav"]] == [0.05, 0.1, 0.2]
