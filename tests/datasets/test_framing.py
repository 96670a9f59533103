"""Frame labels from tables of occlusion and from annotations."""

import csv
import pickle

import numpy as np
import pytest

from britekit import commands
from britekit.commands import pickle_frame
from britekit.datasets.frame_labels import read_frame_labels
from britekit.errors import InputError

FACTS = ["#", "Segment ID", "Recording", "Offset", "Score", "FP Name", "FP Code", "FP Score"]


def write_table(path, rows, frames=20):
    """Rows: segment, score, first and last frame (from 1) that carry it."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FACTS + [f"score_{side}{k}" for side in "LR" for k in range(1, frames)])
        for segment, score, first, last in rows:
            left = [score if k < first else 0.001 for k in range(1, frames)]
            right = [score if k < frames - last + 1 else 0.001 for k in range(1, frames)]
            writer.writerow([1, segment, "r.flac", 0, score, "x", "X", 0.1, *left, *right])


def as_text(vector):
    return "".join(str(int(x)) for x in vector)


def test_tables_give_the_frames_that_public_britekit_gives(tmp_path):
    """The vectors of segments 11, 13 and 15 are those that version 1.8.4 wrote for such tables."""
    write_table(tmp_path / "occluded/HOCR.csv", [(11, 0.9, 5, 9), (13, 0.0, 5, 9), (15, 0.9, 12, 4), (17, 0.9, 2, 3)])
    write_table(tmp_path / "occluded/SITR.csv", [(11, 0.8, 15, 18), (17, 0.8, 2, 3)])
    (tmp_path / "occluded/class_summary.csv").write_text("Name,Code\n")
    out = tmp_path / "frames.pkl"
    assert pickle_frame(str(tmp_path / "occluded"), str(out), csv_dir=str(tmp_path / "tables")) == 4
    found = read_frame_labels(out)
    assert {code: as_text(v) for code, v in found[11].items()} == {
        "HOCR": "00001111100000000000", "SITR": "00000000000000111100",
    }  # fmt: skip
    assert as_text(found[13]) == "1" * 20
    assert as_text(found[15]) == "00011111111100000000"
    assert as_text(found[17]) == "01100000000000000000", "classes that agree are one vector"
    assert isinstance(pickle.loads(out.read_bytes())[15], np.ndarray)
    lines = (tmp_path / "tables/SITR.csv").read_text().splitlines()
    assert lines[0].startswith("Segment ID,frame_1,") and lines[1] == "11," + ",".join("00000000000000111100")
    padded = tmp_path / "padded.pkl"
    names = tmp_path / "names.txt"
    names.write_text("SITR.csv\n\n")
    pickle_frame(str(tmp_path / "occluded"), str(padded), pad=2, names_path=str(names))
    assert as_text(read_frame_labels(padded)[11]) == "00000000000011111111"


def test_tables_that_do_not_fit_are_refused(tmp_path):
    folder, out = tmp_path / "occluded", str(tmp_path / "frames.pkl")
    folder.mkdir()
    with pytest.raises(InputError, match="no tables"):
        pickle_frame(str(folder), out)
    write_table(folder / "A.csv", [(1, 0.5, 2, 3)], frames=12)
    with pytest.raises(InputError, match="12 frames"):
        pickle_frame(str(folder), out)
    (folder / "A.csv").write_text("Name,Score\nx,1\n")
    with pytest.raises(InputError, match="score_L1"):
        pickle_frame(str(folder), out)
    with pytest.raises(InputError, match="either"):
        pickle_frame(str(folder), out, annotations_path="a.csv")
    assert not (tmp_path / "frames.pkl").exists()


def test_annotations_give_the_frames_that_hold_the_sound(project, caplog):
    """Segments of 1 s, four frames each, by hand; R0-1 is annotated, R1-1 not."""
    (project / "settings.yaml").write_text(
        "audio: {spec_duration: 1.0, spec_height: 32, spec_width: 32, sampling_rate: 8000, max_freq: 3600, win_length: "
        "0.03}\ntrain: {sed_fps: 4}\n"
    )
    commands.extract("settings.yaml", db_path="t.db")
    (project / "a.csv").write_text(
        "recording,class,start_time,end_time\nR0-1.wav,Robin,0.6,1.3\nR0-1,ROB,2.0,2.05\nR0-1,Wren,0,4\nX9,Owl,0,1\n"
    )
    with caplog.at_level("WARNING", logger="britekit"):
        assert pickle_frame(None, "f.pkl", "settings.yaml", annotations_path="a.csv", db_path="t.db") == 3
    from britekit import TrainingDatabase

    with TrainingDatabase("t.db") as db:
        segments = {s.id: (s.recording_id, s.offset) for s in db.get_segment()}
        names = {r.id: r.filename for r in db.get_recording()}
    found = {(names[segments[i][0]], segments[i][1]): as_text(v) for i, v in read_frame_labels("f.pkl").items()}
    # 0.6 to 0.75 is 0.15 s of a frame of 0.25 s: more than half of it. 1.25 to 1.3 is less. A call of 0.05 s counts.
    assert found == {("R0-1.wav", 0.0): "0011", ("R0-1.wav", 1.0): "1000", ("R0-1.wav", 2.0): "1000"}
    said = caplog.text
    assert "x9" in said.lower() and "without annotations" in said and "R0-1.wav at 3" in said


def test_annotations_of_nothing_stored_are_refused(project):
    (project / "settings.yaml").write_text(
        "audio: {spec_duration: 1.0, spec_height: 32, spec_width: 32, win_length: 0.03}\n"
    )
    commands.extract("settings.yaml", db_path="t.db")
    for text, words in (("X9,Owl,0,1", "no stored segment"), ("R0-1,Heron,0,1", "Heron"), ("R0-1,Owl,2,1", "row 2")):
        (project / "a.csv").write_text(f"recording,class,start_time,end_time\n{text}\n")
        with pytest.raises(InputError, match=words):
            pickle_frame(None, "f.pkl", "settings.yaml", annotations_path="a.csv", db_path="t.db")
    assert not (project / "f.pkl").exists()
