"""Annotations in three forms: what each says, and what is refused with its file and row."""

import logging
import os
from pathlib import Path

import pytest

from britekit import formats
from britekit.annotations.classes import ClassInfo
from britekit.annotations.names import RecordingNames
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.segments import Annotation
from britekit.annotations.text_files import read_text
from britekit.errors import InputError
from britekit.formats import read_any_annotations
from britekit.formats.raven import read_raven_table

FIELD = Path(os.environ.get("BRITEKIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "field"
HEAD = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)"]


def table(path, rows, columns=("Species",)):
    lines = ["\t".join([*HEAD, *columns]), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(annotations):
    return [(item.recording, item.label, item.start, item.end) for item in annotations]


@pytest.mark.skipif(not FIELD.is_dir(), reason="shared recordings are not here")
def test_files_from_the_field(caplog):
    table_path = FIELD / "MSD-0003_20180427_2minstart00.Table.1.selections.txt"
    found = read_any_annotations(table_path)
    assert len(found) == 10
    assert rows_of(found)[0] == ("MSD-0003_20180427_2minstart00", "WOTH", 1.897648165999982, 4.110570810999974)
    # Counted in the file by eye: four WOTH, four EATO, one LOWA, one without a class in row 11.
    assert sorted(item.label for item in found) == ["", *["EATO"] * 4, "LOWA", *["WOTH"] * 4]
    assert "row 11" in caplog.text
    assert rows_of(read_any_annotations(FIELD / "EmptyExample.Table.1.selections.txt")) == [
        ("EmptyExample", "", 0.0, 0.0)
    ]
    (single,) = read_any_annotations(FIELD / "raven_with_Annotation_col.txt")
    assert (single.label, single.row) == ("CSWA", 2)
    labels = read_any_annotations(FIELD / "spinetail.txt")
    assert (len(labels), {item.label for item in labels}) == (18, {"SP", "CRER"})
    assert sum(item.label == "CRER" for item in labels) == 4
    assert {item.recording for item in read_any_annotations(FIELD)} == {
        "EmptyExample", "MSD-0003_20180427_2minstart00", "raven_with_Annotation_col", "spinetail",
    }  # fmt: skip


@pytest.mark.parametrize(
    "column",
    ["Annotation", "Species", "Common Name", "Label", "Class", "Tag", "Sound type", "sound_type", "SPECIES CODE"],
)
def test_raven_class_columns(tmp_path, column):
    path = table(tmp_path / "r.txt", [[1, "Spectrogram 1", 1, 0, 1, 5, "x", "Wren"]], ["Notes", column])
    assert rows_of(read_any_annotations(path)) == [("r", "Wren", 0.0, 1.0)]


def test_raven_column_that_is_filled_wins(tmp_path):
    path = table(tmp_path / "r.txt", [[1, "S", 1, 0, 1, 5, "", "Wren"]], ["Annotation", "Species"])
    assert read_any_annotations(path)[0].label == "Wren"
    assert read_raven_table(read_text(path), RecordingNames(), class_column="Annotation")[0].label == ""


def test_raven_views_and_channels_count_once(tmp_path, caplog):
    rows = [
        [1, "Waveform 1", 1, 0.5, 1.5, 5, "Wren"],
        [1, "Spectrogram 1", 1, 0.5, 1.5, 5, "Wren"],
        [1, "Spectrogram 2", 2, 0.5, 1.5, 5, "Wren"],
        [2, "Waveform 1", 1, 3, 4, 5, "Owl"],
        [2, "Spectrogram 1", 1, 3, 4, 5, "Owl"],
    ]
    path = table(tmp_path / "r.Table.1.selections.txt", rows)
    assert rows_of(read_any_annotations(path)) == [("r", "Wren", 0.5, 1.5), ("r", "Owl", 3.0, 4.0)]
    assert not caplog.records  # a view is no repetition
    table(path, [*rows, [3, "Spectrogram 1", 1, 3, 4, 5, "Owl"]])
    assert len(read_any_annotations(path)) == 2
    assert "row 7 says what row 5 says" in caplog.text


def test_raven_table_of_several_recordings(tmp_path):
    columns = ["Species", "Begin File", "File Offset (s)"]
    rows = [
        [1, "S", 1, 1, 2.5, 5, "Wren", "a.wav", 1],
        [2, "S", 1, 61, 63, 5, "Owl", "b.v2.WAV", 1],
        [3, "S", 1, 64, 65, 5, "Owl", r"C:\field\c.flac", 0.25],
    ]
    path = table(tmp_path / "all.txt", rows, columns)
    assert rows_of(read_any_annotations(path)) == [
        ("a", "Wren", 1.0, 2.5), ("b.v2", "Owl", 1.0, 3.0), ("c", "Owl", 0.25, 1.25),
    ]  # fmt: skip
    table(path, [row[:-1] for row in rows], columns[:-1])
    with pytest.raises(InputError, match=r"all.txt.*3 recordings.*File Offset \(s\)"):
        read_any_annotations(path)
    rows[1][-1] = "?"
    with pytest.raises(InputError, match=r'all.txt, row 3: File Offset \(s\) is "\?"'):
        read_any_annotations(table(path, rows, columns))


@pytest.mark.parametrize(
    "name, recording",
    [
        ("X.Table.1.selections.txt", "X"),
        ("2018.05.01.Table.12.selections.txt", "2018.05.01"),
        ("X.wav.selections.txt", "X"),
        ("X.BirdNET.selection.table.txt", "X"),
        ("20180427_120000.txt", "20180427_120000"),
        ("selections.txt", "selections"),
    ],
)
def test_recording_of_a_raven_table(name, recording):
    assert RecordingNames().of_label_file(name) == recording


@pytest.mark.parametrize(
    "text, message",
    [
        ("1\tS\t1\t2\t1\t5\tWren\n", r"row 2: End Time \(s\) 1 is not after"),
        ("1\tS\t1\t-2\t1\t5\tWren\n", r"row 2: Begin Time \(s\) is -2"),
        ("1\tS\t1\tnan\t1\t5\tWren\n", r'row 2: Begin Time \(s\) is "nan"'),
        ("1\tS\t1\t1,5\t2.5\t5\tWren\n", r'row 2: Begin Time \(s\) is "1,5"'),
        ("1\tS\t1\t1\t2\t5\tWren\tmore\n", "row 2: 8 cells"),
        ("1\tS\t1\t1\n", r'row 2: End Time \(s\) is ""'),
        ("1\tS\t1\t2\t1\t5\tWren\n" * 7, "and 2 more"),
    ],
)
def test_bad_raven_rows(tmp_path, text, message):
    path = tmp_path / "r.selections.txt"
    path.write_text("\t".join([*HEAD, "Species"]) + "\n" + text)
    with pytest.raises(InputError, match=f"r.selections.txt, {message}|r.selections.txt.*{message}"):
        read_any_annotations(path)


def test_raven_without_class_column(tmp_path):
    path = table(tmp_path / "r.txt", [[1, "S", 1, 0, 1, 5, "x"]], ["Notes"])
    with pytest.raises(InputError, match="no column of classes.*it has Selection.*Notes"):
        read_any_annotations(path)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_audacity_labels(tmp_path, line_end, mark):
    lines = ["0.5\t1.5\tWren", "\\\t100\t5000", "2\t3\tOwl;0.91", "", "4\t5\ta; b"]
    path = tmp_path / "rec_labels.txt"
    path.write_bytes((mark + line_end.join(lines) + line_end).encode())
    assert rows_of(read_any_annotations(path)) == [
        ("rec", "Wren", 0.5, 1.5), ("rec", "Owl", 2.0, 3.0), ("rec", "a; b", 4.0, 5.0),
    ]  # fmt: skip


def test_audacity_file_of_a_recording_with_a_tail_in_its_name(tmp_path):
    path = tmp_path / "rec_labels.txt"
    path.write_text("0\t1\tWren\n")
    (tmp_path / "rec_labels.wav").touch()
    assert read_any_annotations(path)[0].recording == "rec_labels"


@pytest.mark.parametrize(
    "text, message",
    [
        ("0\t1\tA\n3\t2\tB\n", "row 2: end 2 is not after start 3"),
        ("-1\t2\tB\n", "row 1: start is -1"),
        ("0\t1\tA\n1\t1\tB\n", "row 2: the label at 1 s marks a moment"),
        ("0\t1\tA\nhello\n", "row 2: 'hello' is not an Audacity label"),
        ("0\tinf\tA\n", 'row 1: end is "inf"'),
        ("A, B;C\n", "row 1: neither an Audacity label"),
        ("0\t1\tA\tB\n", "row 1: the label"),
    ],
)
def test_bad_audacity_rows(tmp_path, text, message):
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(InputError, match=f"r.txt, {message}"):
        read_any_annotations(tmp_path / "r.txt")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "cyrillic.txt").write_bytes("0\t1\tсиница\n".encode("cp1251"))
    (tmp_path / "torn.txt").write_bytes("0\t1\tMésange\n2\t3\tM".encode() + b"\xe9\n")
    (tmp_path / "binary.txt").write_bytes(b"0\t1\tA\0\n")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "lacks.csv").write_text("recording,class,start,end\na,B,0,1\n")
    (tmp_path / "none").mkdir()
    for name, message in {
        "cyrillic.txt": "cyrillic.txt is not UTF-8", "torn.txt": "torn.txt is not UTF-8 text .byte 18",
        "binary.txt": "binary.txt, line 1: not text", "empty.csv": "empty.csv is empty",
        "lacks.csv": 'lacks.csv has no column "start_time"',
        "gone.txt": "gone.txt does not exist", "none": "none contains no annotations",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=message):
            read_any_annotations(tmp_path / name)


def test_folder_of_all_forms(tmp_path, caplog):
    caplog.set_level(logging.INFO, "britekit")
    (tmp_path / "annotations.csv").write_text("recording,class,start_time,end_time\r\n007,A,0,1\r\n007,A,0,1\r\n")
    (tmp_path / "b.txt").write_text("")
    table(tmp_path / "c.Table.1.selections.txt", [[1, "S", 1, 0, 1, 5, "Wren"]])
    table(tmp_path / "c.Table.2.selections.txt", [[1, "S", 1, 2, 3, 5, "Owl"]])
    (tmp_path / "d_scores.txt").write_text("0\t1\tOwl;0.8\n")
    (tmp_path / "README.txt").write_text("Recorded by the pond.\n")
    assert rows_of(read_any_annotations(tmp_path, {"Owl": "OWL"})) == [
        ("007", "A", 0.0, 1.0), ("b", "", 0.0, 0.0), ("c", "Wren", 0.0, 1.0), ("c", "OWL", 2.0, 3.0),
    ]  # fmt: skip
    assert "row 3 says what row 2 says" in caplog.text
    assert "d_scores.txt" in caplog.text
    (tmp_path / "c.txt").write_text("0\t1\tWren\n")
    with pytest.raises(InputError, match='both annotate the recording "c"'):
        read_any_annotations(tmp_path)


def test_detections_that_analyze_left_in_raven_tables_are_no_annotations(tmp_path, caplog):
    """They lie beside the recordings, and so beside what people made, unless -o is given."""
    caplog.set_level(logging.INFO, "britekit")
    rows = formats.grouped([("Wren", "Wren", "", 0.0, 3.0, 0.9, False)])
    content = formats.get("raven").render(formats.Recording("a"), rows, formats.Facts(100, 8000))
    (tmp_path / "a.selections.txt").write_bytes(content)
    (tmp_path / "b.txt").write_text("0\t1\tOwl\n")
    assert len(read_any_annotations(tmp_path)) == 2  # corrected by a person and brought here
    (tmp_path / "manifest.yaml").write_text("classes: []\n")
    assert rows_of(read_any_annotations(tmp_path)) == [("b", "Owl", 0.0, 1.0)]
    assert "a.selections.txt" in caplog.text
    assert len(read_any_annotations(tmp_path / "a.selections.txt")) == 1  # named by a person


def test_annotations_below_a_folder_are_told(tmp_path, caplog):
    for name in ("day", "labels", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.txt").write_text("0\t1\tOwl\n")
    (tmp_path / "labels" / "b.txt").write_text("0\t1\tOwl\n")
    (tmp_path / "labels" / "manifest.yaml").write_text("classes: []\n")
    (tmp_path / "notes" / "b.txt").write_text("It rained.\n")
    assert len(read_any_annotations(tmp_path)) == 1 and not caplog.text
    (tmp_path / "day" / "b.txt").write_text("0\t1\tOwl\n")
    assert len(read_any_annotations(tmp_path)) == 1
    assert "are not read (day)" in caplog.text


CLASSES = [
    ClassInfo("Wren", "WREN", "Troglodytes troglodytes", "twr"),
    ClassInfo("Owl", "OWL", "Strix aluco"),
    ClassInfo("OWL", "BIG"),
]


def test_reconciling_takes_name_then_code_then_alternate():
    reconciler = Reconciler(CLASSES)
    labels = ["Wren", "WREN", "Troglodytes troglodytes", "twr", "OWL", "BIG", "Strix aluco", ""]
    found = reconciler.reconcile(Annotation("r", label, 0, 1, row) for row, label in enumerate(labels))
    # "OWL" is the name of one class and the code of another: the name wins.
    assert [item.label for item in found] == ["Wren"] * 4 + ["OWL", "OWL", "Owl", ""]


def test_unknown_classes_are_told_once_with_file_and_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("recording,class,start_time,end_time\na,Wern,0,1\na,Owl,0,1\na,Wern,1,2\na,Xylophone,1,2\n")
    with pytest.raises(InputError) as caught:
        Reconciler(CLASSES).reconcile(read_any_annotations(path))
    assert str(caught.value) == (
        f'{path}, row 2: class "Wern" is not known (2 rows); did you mean "Wren"?; '
        f'{path}, row 5: class "Xylophone" is not known'
    )


def test_label_of_two_classes_is_refused():
    twice = [ClassInfo("A", "a", "Parus"), ClassInfo("B", "b", "Parus")]
    with pytest.raises(InputError, match='class "Parus" could be "A" or "B"'):
        Reconciler(twice).find("Parus")


def test_a_folder_that_may_not_be_opened_is_passed_over(tmp_path, monkeypatch):
    """lost+found of a disk, for instance."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "x.txt").write_text("1.0\t2.0\ta\n")
    real = os.stat

    def stat(path, *rest, **more):
        if "lost+found/" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert [item.label for item in read_any_annotations(tmp_path)] == ["a"]
