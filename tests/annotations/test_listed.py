"""Annotations per block and per recording: every form accepted, every mistake named with its row."""

import pytest

from britekit.annotations.listed import read_block_annotations, read_recording_annotations
from britekit.errors import InputError


def write(path, text, ends="\n", mark=""):
    path.write_bytes((mark + text).replace("\n", ends).encode())
    return path


@pytest.mark.parametrize("column", ["block", "minute"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_blocks(tmp_path, column, ends, mark):
    text = f'{column},classes,recording\n1,"OVEN, WOTH",0123.wav\n\n2.0,,0123\n3,OVEN,"b,c"\n'
    found = read_block_annotations(write(tmp_path / "a.csv", text, ends, mark))
    assert [(x.recording, x.block, x.labels, x.row) for x in found] == [
        ("0123", 1, ("OVEN", "WOTH"), 2), ("0123", 2, (), 4), ("b,c", 3, ("OVEN",), 5),
    ]  # fmt: skip
    assert found[1].where.endswith("a.csv, row 4")


def test_recordings_and_old_codes(tmp_path):
    path = write(tmp_path / "a.csv", 'recording,classes\nx,"OLD,OVEN, ,NEW"\ny,\n')
    found = read_recording_annotations(path, {"OLD": "NEW"})
    assert [(x.recording, x.labels) for x in found] == [("x", ("NEW", "OVEN")), ("y", ())]


@pytest.mark.parametrize("block", ["0", "-1", "1.5", "one", "", "1e1"])
def test_what_is_no_block_is_named(tmp_path, block):
    path = write(tmp_path / "a.csv", f"recording,block,classes\nx,1,A\nx,{block},A\n")
    with pytest.raises(InputError, match="a.csv, row 3: block is"):
        read_block_annotations(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording,classes\nx,A\n", '"block"'),
        ("recording,block\nx,1\n", '"classes"'),
        ("recording;blocks;classes\nx;1;A\n", 'has no column "recording", "block", "classes"'),
        ("recording,class,start_time,end_time\nx,A,0,1\n", "per segment"),
        ("recording,block,classes\n,1,A\n", "row 2: the recording is empty"),
        ("recording,block,minute,classes\nx,1,1,A\n", "both a column block and a column minute"),
        ("recording,block,classes\nx,1,A\nx,1,B\n", "rows 2 and 3 list different classes"),
        ("recording,block,classes\nx,1,A,B\n", "row 2"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_block_annotations(write(tmp_path / "a.csv", text))


def test_a_repeated_row_counts_once_and_is_named(tmp_path, caplog):
    path = write(tmp_path / "a.csv", 'recording,classes\nx,"A,B"\nx,"B,A"\n')
    assert len(read_recording_annotations(path)) == 1
    assert "rows 3" in caplog.text
