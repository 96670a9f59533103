"""Reading annotations and scores: one grid whatever the source, and everything left out is named."""

import logging

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.evaluation.score_reading import find_label_dir
from britekit.evaluation.scored_segments import read_scored_segments
from tests.evaluation.made_sets import CLASSES, LENGTH, simulate, table_as_labels, write_annotations, write_table


def read(root, labels="labels", cfg=None, annotations="annotations.csv", recordings=None):
    return read_scored_segments(root / annotations, root / labels, recordings, cfg or BaseConfig())


def write_audio(path, seconds, rate=8000):
    soundfile.write(path, np.zeros(int(seconds * rate), np.float32), rate)


def write_manifest(folder, classes=CLASSES, **inference):
    content = {"classes": [{"name": c.name, "code": c.code} for c in classes], "inference": inference}
    (folder / "manifest.yaml").write_text("# comment\n" + yaml.safe_dump(content))


def test_table_gives_truth_and_scores_back(tmp_path):
    truth, scores = simulate(tmp_path)
    data = read(tmp_path)
    np.testing.assert_array_equal(data.truth_NC, truth)
    np.testing.assert_array_equal(data.scores_NC, scores)
    assert data.annotated == [0, 1, 2] and data.labels == ["OVEN", "WOTH", "VEER"]
    assert data.row_names[:2] == ["rec000-0", "rec000-1"] and data.row_names[20] == "rec001-0"
    assert (data.grid.length_s, data.grid.step_s) == (LENGTH, LENGTH)


@pytest.mark.parametrize("form", ["csv", "text"])
@pytest.mark.parametrize("manifest", [True, False])
def test_labels_give_the_same_as_the_table(tmp_path, form, manifest):
    truth, scores = simulate(tmp_path, recordings=4)
    folder = table_as_labels(tmp_path / "labels", tmp_path / "text", form)
    if manifest:
        write_manifest(folder)
        model = {"file": "a.onnx", "identifier": "A", "sha256": "abc"}
        with open(folder / "manifest.yaml", "a") as file:
            file.write(yaml.safe_dump({"model 1": model}))
    for k in range(4):
        write_audio(tmp_path / f"rec{k:03}.wav", 60)
    data = read(tmp_path, "text")
    assert data.source.members == ([{"name": "a.onnx", "sha256": "abc"}] if manifest else [])
    # without a manifest the classes are those of the labels, sorted
    order = [data.labels.index(info.code) for info in CLASSES]
    np.testing.assert_array_equal(data.truth_NC[:, order], truth)
    np.testing.assert_allclose(data.scores_NC[:, order], scores, atol=6e-7 if form == "csv" else 6e-4)


def test_table_wins_over_labels(tmp_path):
    _, scores = simulate(tmp_path, recordings=2)
    (tmp_path / "labels" / "scores.csv").write_text("nonsense")
    np.testing.assert_array_equal(read(tmp_path).scores_NC, scores)


def test_recordings_without_labels_count_as_zero(tmp_path, caplog):
    simulate(tmp_path, recordings=3)
    folder = table_as_labels(tmp_path / "labels", tmp_path / "text", "csv")
    lines = (folder / "scores.csv").read_text().splitlines()
    (folder / "scores.csv").write_text("\n".join(x for x in lines if not x.startswith("rec001")) + "\n")
    for k in range(3):
        write_audio(tmp_path / f"rec{k:03}.wav", 60)
    data = read(tmp_path, "text")
    assert data.without_scores == ["rec001"]
    assert not data.scores_NC[data.groups_N == 1].any() and data.truth_NC[data.groups_N == 1].any()


def test_recording_missing_in_the_table_is_measured_by_its_audio(tmp_path):
    simulate(tmp_path, recordings=2)
    with open(tmp_path / "annotations.csv", "a") as file:
        file.write("other,OVEN,0,3\n")
    write_audio(tmp_path / "other.flac", 9.5)
    data = read(tmp_path)
    assert data.without_scores == ["other"]
    assert data.grid.rows_R.tolist() == [3, 20, 20]


def test_only_annotated_recordings_belong_to_the_test(tmp_path):
    simulate(tmp_path, recordings=5)
    write_annotations(tmp_path / "few.csv", [("rec003", "OVEN", 0, 3), ("rec001", "", "", "")])
    data = read(tmp_path, annotations="few.csv")
    assert data.recordings == ["rec001", "rec003"] and data.grid.rows == 40
    assert data.truth_NC.sum() == 1 and data.annotated == [0]


def test_what_is_left_out_is_named_once(tmp_path, caplog):
    simulate(tmp_path, recordings=2)
    with open(tmp_path / "annotations.csv", "a") as file:
        file.write("rec000,OVNE,0,3\nrec001,OVNE,0,3\nnowhere,OVEN,0,3\nrec000,OVEN,400,401\n")
    with caplog.at_level(logging.WARNING):
        data = read(tmp_path)
    assert data.exclusions.unknown_classes == {"OVNE": 2}
    assert list(data.exclusions.without_audio) == ["nowhere"]
    assert len(data.exclusions.beyond_end) == 1
    said = [record.getMessage() for record in caplog.records]
    assert sum("OVNE" in text for text in said) == 1 and any('did you mean "OVEN"' in text for text in said)
    assert sum("nowhere" in text for text in said) == 1


def test_annotations_that_mark_no_segment_are_told(tmp_path, caplog):
    """60 s in segments of 3 s, none of which begins after 57; the second recording ends at 58.9 s."""
    simulate(tmp_path, recordings=3)
    table = ScoreTable.load(tmp_path / "labels" / "scores.npz")
    table.seconds[1] = 58.9
    table.save(tmp_path / "labels" / "scores.npz")
    rows = [
        ("rec000", "OVEN", 6, 7), ("rec000", "WOTH", 0, 0.2), ("rec000", "WOTH", 5.9, 6.1),
        ("rec001", "WOTH", 57.5, 58.5), ("rec001", "OVEN", 58.9, 59), ("rec001", "OVEN", 50, 61),
    ]  # fmt: skip
    write_annotations(tmp_path / "annotations.csv", rows)
    with caplog.at_level(logging.WARNING):
        data = read(tmp_path)
    assert data.exclusions.unmarked == ["5"] and data.exclusions.beyond_end == ["6"]
    assert data.exclusions.past_end == ["7"] and data.exclusions.not_annotated == ["rec002"]
    # 0 to 0.2 s lies whole in segment 0, 5.9 to 6.1 s half in each of two.
    assert np.flatnonzero(data.truth_NC[:, 1]).tolist() == [0, 1, 2] and data.truth_NC[:, 0].sum() == 1 + 3
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "1 annotation left out that marks no segment" in said and "(row 5)" in said
    assert "ends more than 1 s after the recording" in said and "1 recording with scores is not" in said


def test_rows_of_label_tracks_are_told_with_their_file(tmp_path):
    simulate(tmp_path, recordings=2)
    (tmp_path / "notes").mkdir()
    for name in ("rec000", "rec001"):
        (tmp_path / "notes" / f"{name}.txt").write_text("1\t2\tOVEN\n80\t81\tOVEN\n")
    data = read_scored_segments(tmp_path / "notes", tmp_path / "labels", None, BaseConfig())
    assert data.exclusions.beyond_end == ["2 of rec000.txt", "2 of rec001.txt"]


def test_damaged_audio_is_named(tmp_path):
    simulate(tmp_path, recordings=1)
    with open(tmp_path / "annotations.csv", "a") as file:
        file.write("bad,OVEN,0,3\n")
    (tmp_path / "bad.wav").write_bytes(b"nothing of a WAV file")
    assert "bad.wav" in read(tmp_path).exclusions.without_audio["bad"]


def test_a_short_recording_has_one_segment_and_one_that_cannot_be_scored_none(tmp_path):
    write_annotations(tmp_path / "annotations.csv", [(name, "OVEN", 0, 0.7) for name in "abc"])
    write_table(tmp_path / "labels", ["a", "b", "c"], [0.8, 2.0, 9.0], [(1, 0.0), (2, 0.0)], [[0.5] * 3] * 2)
    data = read(tmp_path)
    assert data.recordings == ["b", "c"] and data.exclusions.too_short == ["a"]
    assert data.grid.rows_R.tolist()[0] == 1


@pytest.mark.parametrize("rows", [[("rec000", "GHOST", 0, 1)], [("rec000", "", "", "")], [("nowhere", "OVEN", 0, 1)]])
def test_nothing_usable_is_an_error(tmp_path, rows):
    simulate(tmp_path, recordings=1)
    write_annotations(tmp_path / "bad.csv", rows)
    with pytest.raises(InputError, match="no usable annotation"):
        read(tmp_path, annotations="bad.csv")


def test_empty_annotations_are_an_error(tmp_path):
    simulate(tmp_path, recordings=1)
    write_annotations(tmp_path / "bad.csv", [])
    with pytest.raises(InputError, match="no annotation"):
        read(tmp_path, annotations="bad.csv")


def test_labels_of_differing_length_are_an_error(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a_scores.txt").write_text("0.00\t3.00\tOVEN;0.9\n3.00\t6.00\tOVEN;0.9\n6.00\t10.00\tOVEN;0.9\n")
    write_annotations(tmp_path / "annotations.csv", [("a", "OVEN", 0, 1)])
    with pytest.raises(InputError, match=r'recording "a".*--seg'):
        read(tmp_path)


@pytest.mark.parametrize("manifest", [True, False])
def test_the_last_label_may_end_with_its_recording(tmp_path, manifest):
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a_scores.txt").write_text("0.00\t3.00\tOVEN;0.9\n3.00\t6.00\tOVEN;0.8\n6.00\t8.60\tOVEN;0.7\n")
    (folder / "b_scores.txt").write_text("0.00\t1.20\tOVEN;0.6\n")
    if manifest:
        write_manifest(folder)
        with open(folder / "manifest.yaml", "a") as file:
            file.write("audio: {spec_duration: 3.0}\n")
    write_audio(tmp_path / "a.wav", 8.6)
    write_audio(tmp_path / "b.wav", 1.2)
    write_annotations(tmp_path / "annotations.csv", [("a", "OVEN", 6.5, 7.4), ("b", "", "", "")])
    data = read(tmp_path)
    assert data.grid.length_s == 3.0
    assert data.scores_NC[:, data.labels.index("OVEN")].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])
    (folder / "b_scores.txt").write_text("0.00\t1.20\tOVEN;0.6\n3.00\t6.00\tOVEN;0.6\n")
    with pytest.raises(InputError, match=r'recording "b": 1.2 s at 0 s'):
        read(tmp_path)


def test_empty_label_files_are_an_error(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a_scores.txt").write_text("")
    write_annotations(tmp_path / "annotations.csv", [("a", "OVEN", 0, 1)])
    with pytest.raises(InputError, match="no label"):
        read(tmp_path)


def test_labels_of_another_class_list_are_an_error(tmp_path):
    simulate(tmp_path, recordings=1)
    folder = table_as_labels(tmp_path / "labels", tmp_path / "text", "csv")
    write_manifest(folder, CLASSES[:2])
    with pytest.raises(InputError, match='"VEER" .*"rec000" at'):
        read(tmp_path, "text")


def test_unbroken_labels_are_no_segments_even_if_of_one_length(tmp_path):
    simulate(tmp_path, recordings=2)
    folder = table_as_labels(tmp_path / "labels", tmp_path / "text", "csv")
    for k in range(2):
        write_audio(tmp_path / f"rec{k:03}.wav", 60)
    write_manifest(folder, min_score=0.2, segment_len=None)
    with open(folder / "manifest.yaml", "a") as file:
        file.write("sed_fps: 4\n")
    with pytest.raises(InputError, match="variable length.*--seg"):
        read(tmp_path, "text")
    text = (folder / "manifest.yaml").read_text()
    for old, new in (("segment_len: null", "segment_len: 3.0"), ("min_score: 0.2", "min_score: 0.0")):
        (folder / "manifest.yaml").write_text(text.replace(old, new))
        assert read(tmp_path, "text").grid.length_s == LENGTH


def test_label_field_of_the_manifest_rules(tmp_path):
    simulate(tmp_path, recordings=1)
    write_manifest(tmp_path / "labels", label_field="names")
    write_annotations(tmp_path / "named.csv", [("rec000", "Wood Thrush", 0, 3)])
    assert read(tmp_path, annotations="named.csv").annotated == [1]


def test_annotations_with_codes_find_birdnets_names(tmp_path):
    cfg = BaseConfig()
    cfg.misc.classes_file = str(tmp_path / "classes.csv")
    (tmp_path / "classes.csv").write_text("Name,Code\nOvenbird,OVEN\nWood Thrush,WOTH\nVeery,VEER\n")
    (tmp_path / "birdnet").mkdir()
    (tmp_path / "birdnet/rec000.BirdNET.results.txt").write_text(
        "0.0\t3.0\tSeiurus aurocapilla, Ovenbird\t0.81\n3.0\t6.0\tTurdus migratorius, American Robin\t0.60\n"
    )
    write_audio(tmp_path / "rec000.wav", 6)
    write_annotations(tmp_path / "coded.csv", [("rec000", "OVEN", 0, 3)])
    data = read(tmp_path, "birdnet", annotations="coded.csv", cfg=cfg)
    place = data.labels.index("Ovenbird")
    assert data.annotated == [place] and data.truth_NC[:, place].tolist() == [True, False]
    assert data.scores_NC[:, place].tolist() == pytest.approx([0.81, 0])
    # Another program's scores are none of the models that a calibration was fitted on.
    assert not data.source.members


def test_old_codes_are_mapped(tmp_path):
    cfg = BaseConfig()
    cfg.misc.map_codes = {"OLD": "OVEN", "WOTH": "WOOD"}
    simulate(tmp_path, recordings=1)
    write_annotations(tmp_path / "old.csv", [("rec000", "OLD", 0, 3), ("rec000.wav", "WOTH", 0, 3)])
    data = read(tmp_path, annotations="old.csv", cfg=cfg)
    assert data.labels == ["OVEN", "WOOD", "VEER"] and data.annotated == [0, 1]


def test_two_classes_of_one_label_are_an_error(tmp_path):
    simulate(tmp_path, recordings=1)
    write_table(
        tmp_path / "twice", ["rec000"], [60.0], [(0, 0.0)], [[0.5, 0.5]], [ClassInfo("A", "X"), ClassInfo("B", "X")]
    )
    with pytest.raises(InputError, match='two classes are called "X"'):
        read(tmp_path, "twice")


def test_labels_are_looked_up_in_the_recordings_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    assert str(find_label_dir("labels", "data")) == "labels"
    (tmp_path / "data" / "labels").mkdir(parents=True)
    assert find_label_dir("labels", "data").parts == ("data", "labels")


def test_two_files_of_one_name_are_left_out_and_named(tmp_path, caplog):
    simulate(tmp_path, recordings=1)
    alone = read(tmp_path)
    with open(tmp_path / "annotations.csv", "a") as file:
        file.write("twin,OVEN,0,3\n")
    write_audio(tmp_path / "twin.wav", 5)
    write_audio(tmp_path / "twin.flac", 5)
    found = read(tmp_path)
    assert found.recordings == alone.recordings
    np.testing.assert_array_equal(found.truth_NC, alone.truth_NC)
    assert any("twin" in sentence for sentence in [*found.exclusions.sentences(found.labels), caplog.text])


@pytest.mark.parametrize(
    "text", ["[1, 2", "- a\n- b\n", "inference: 3\n", "classes: 3\n", "[" * 99999, "a: 2020-13-45"]
)
def test_damaged_manifest_is_an_error(tmp_path, text):
    simulate(tmp_path, recordings=1)
    folder = table_as_labels(tmp_path / "labels", tmp_path / "text", "csv")
    (folder / "manifest.yaml").write_text(text)
    with pytest.raises(InputError, match="manifest"):
        read(tmp_path, "text")


def test_rows_are_the_windows_that_analyze_scored(tmp_path):
    """10.5 s in windows of 5 s: the last one ends with the recording, and says what is heard in its end."""
    meta = {"step_s": "5.0", "scored": "windows"}
    ScoreTable(
        recordings=["a"], seconds=np.array([10.5]), row_recording=np.zeros(3, np.int32),
        starts=np.array([0.0, 5.0, 5.5]), duration=5.0, classes=[ClassInfo("Wren", "WREN")],
        scores=np.array([[0.1], [0.2], [0.9]], np.float32), meta=meta,
    ).save(tmp_path / "scores.npz")  # fmt: skip
    write_annotations(tmp_path / "annotations.csv", [("a", "WREN", 10.2, 10.4)])
    data = read_scored_segments(tmp_path / "annotations.csv", tmp_path, None, BaseConfig())
    assert data.starts_N.tolist() == [0.0, 5.0, 5.5] and data.row_names[-1] == "a-2"
    assert data.truth_NC[:, 0].tolist() == [False, False, True]
    np.testing.assert_allclose(data.scores_NC[:, 0], [0.1, 0.2, 0.9])
    assert data.exclusions.unmarked == []


def test_a_box_over_the_boundary_of_two_recordings_marks_both(tmp_path):
    names = ["A", "B"]
    rows = [(r, k * 3.0) for r in range(2) for k in range(4)]
    write_table(tmp_path / "labels", names, [12.0, 12.0], rows, np.full((8, 3), 0.5))
    (tmp_path / "both.selections.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tSpecies\n"
        "1\t10\t14\tA.wav\tB.wav\t10\tOVEN\n2\t20\t21\tB.wav\tB.wav\t8\tOVEN\n"
    )
    data = read_scored_segments(tmp_path / "both.selections.txt", tmp_path / "labels", None, BaseConfig())
    assert [data.row_names[n] for n in np.flatnonzero(data.truth_NC[:, 0])] == ["A-3", "B-0", "B-2"]
