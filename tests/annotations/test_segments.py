import pytest

from britekit.annotations.names import strip_extension
from britekit.annotations.segments import Annotation, read_annotations, write_annotations
from britekit.errors import InputError

HEADER = "recording,class,start_time,end_time\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_text_times_and_silent_recordings(tmp_path):
    path = write(tmp_path / "a.csv", HEADER + "0123,A,1,2.5\n0123,, , \n\nx,B,.5,1e1\n")
    assert read_annotations(path, {"B": "NEW"}) == [
        Annotation("0123", "A", 1.0, 2.5, 2),
        Annotation("0123", "", 0.0, 0.0, 3),
        Annotation("x", "NEW", 0.5, 10.0, 5),
    ]


@pytest.mark.parametrize(
    "row, message",
    [
        ("r,A,2,1", "row 2: end_time 1 is not after start_time 2"),
        ("r,A,1,1", "row 2: end_time"),
        ("r,A,-1,1", "row 2: start_time is -1"),
        ("r,A,nan,1", 'row 2: start_time is "nan"'),
        ("r,A,1,inf", 'row 2: end_time is "inf"'),
        ("r,A,1,", 'row 2: end_time is ""'),
        (",A,1,2", "row 2: the recording is empty"),
        ("r,A,2,1\n" * 7, "row 6: .*and 2 more"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    with pytest.raises(InputError, match=f"a.csv.*{message}"):
        read_annotations(write(tmp_path / "a.csv", HEADER + row + "\n"))


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(InputError, match='a.csv has no column "class", "end_time"'):
        read_annotations(write(tmp_path / "a.csv", "recording,classes,start_time\n"))


def test_an_extension_is_dropped(tmp_path):
    path = write(tmp_path / "a.csv", HEADER + "a.WAV,A,1,2\na,A,3,4\nb.flac,A,1,2\n2024.05.01,A,1,2\n")
    recordings = [item.recording for item in read_annotations(path)]
    assert recordings == ["a", "a", "b", "2024.05.01"]


def test_strip_extension_leaves_what_is_only_an_extension():
    assert strip_extension(".wav") == ".wav"
    assert strip_extension("deep/er/x.mp3") == "deep/er/x"


def test_writes_what_it_reads(tmp_path):
    annotations = [Annotation("r", "a,b", 0.125, 2.0, 2), Annotation("s", "", 0.0, 0.0, 3)]
    write_annotations(tmp_path / "deep" / "a.csv", annotations)
    assert read_annotations(tmp_path / "deep" / "a.csv") == annotations
