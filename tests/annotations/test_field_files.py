"""Annotation files as people save them: read where that is safe, else refused, never passed over."""

import logging

import pytest

from britekit.errors import InputError
from britekit.formats import read_any_annotations, read_folder

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tAnnotation"
ROW = "1\tSpectrogram 1\t1\t12.5\t14.0\t1000.5\tWREN"
CSV = "recording,class,start_time,end_time"
LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 30.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "birds"
        xmin = 0
        xmax = 30.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 12.5
            text = ""
        intervals [2]:
            xmin = 12.5
            xmax = 14.0
            text = "WREN"
        intervals [3]:
            xmin = 14.0
            xmax = 30.5
            text = ""
    item [2]:
        class = "TextTier"
        name = "moments"
        xmin = 0
        xmax = 30.5
        points: size = 0
"""
SHORT_GRID = (
    '"ooTextFile"\n"TextGrid"\n0\n30.5\n<exists>\n1\n"IntervalTier"\n"birds"\n0\n30.5\n3\n'
    '0\n12.5\n""\n12.5\n14.0\n"WREN"\n14.0\n30.5\n""\n'
)


def commas(text):
    return text.replace("12.5", "12,5").replace("14.0", "14,0").replace("1000.5", "1000,5")


@pytest.mark.parametrize(
    "name, text, note",
    [
        ("x.txt", "12,500000\t14,000000\tWREN\n", "decimal commas"),
        ("x.txt", "12.5 14.0 WREN\n", "separated by spaces"),
        ("x.txt", "12.5    14.0    WREN\n\\    1000.0    8000.0\n", "separated by spaces"),
        ("x.txt", "12.5;14.0;WREN\n", "separated by semicolons"),
        ("x.txt", "12,5;14,0;WREN\n", "decimal commas"),
        ("x.txt", "12.5,14.0,WREN\n", "separated by commas"),
        ("x.txt", "start\tend\tlabel\n12.5\t14.0\tWREN\n", "row 1 is a heading"),
        ("x.txt", "# by JD, 2023\n12.5\t14.0\tWREN\n", "row 1 is a heading"),
        ("x.csv", "12.5,14.0,WREN\n", "separated by commas"),
        ("x.LABELS.TXT", "12.5\t14.0\tWREN;0.93\n", ""),
        ("x.Table.1.selections.txt", commas(f"{RAVEN}\n{ROW}\n"), "decimal commas"),
        ("x.Table.1.selections.txt", f"By JD\n\n{RAVEN}\n{ROW}\n", "row 1 is a heading"),
        ("x.Table.1.selections.csv", f"{RAVEN}\n{ROW}\n".replace("\t", ","), "separated by commas"),
        ("x.Table.1.selections.csv", commas(f"{RAVEN}\n{ROW}\n").replace("\t", ";"), "semicolons"),
        ("x.Table.1.selections.txt", f"{RAVEN}\n{ROW}\n".replace("\t", "    "), "separated by spaces"),
        ("x.Table.1.selections_JD.txt", f"{RAVEN}\n{ROW}\n", ""),
        ("annotations.csv", f"{CSV}\nx,WREN,12.5,14.0\n".replace(",", ";"), "semicolons"),
        ("annotations.csv", commas(f"{CSV}\nx,WREN,12.5,14.0\n".replace(",", ";")), "decimal"),
        ("annotations.csv", f"Annotated by JD\n{CSV}\nx.wav,WREN,12.5,14.0\n", "row 1 is a heading"),
        ("annotations.txt", f"{CSV}\nx,WREN,12.5,14.0\n".replace(",", "\t"), "tabs"),
        ("x.TextGrid", LONG_GRID, ""),
        ("x.TextGrid", SHORT_GRID, ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_read_and_said_once(tmp_path, caplog, name, text, note, encoding):
    (tmp_path / "x.wav").touch()
    (tmp_path / name).write_text(text, encoding=encoding)
    caplog.set_level(logging.INFO, "britekit")
    (item,) = read_any_annotations(tmp_path)
    assert (item.recording, item.label, item.start, item.end) == ("x", "WREN", 12.5, 14.0)
    messages = [record.getMessage() for record in caplog.records]
    assert sum(name in text for text in messages) <= 2 and len(set(messages)) == len(messages)
    if note:
        assert sum(note in text for text in messages) == 1
    assert (encoding == "utf-16") == any("UTF-16" in text for text in messages)
    (named,) = read_any_annotations(tmp_path / name)
    assert named == item


def test_windows_1252_names_the_class(tmp_path, caplog):
    caplog.set_level(logging.INFO, "britekit")
    (tmp_path / "x.txt").write_bytes("1\t2\tMésange bleue\n".encode("cp1252"))
    assert read_any_annotations(tmp_path)[0].label == "Mésange bleue"
    assert "Windows-1252" in caplog.text


@pytest.mark.parametrize(
    "name, text, message",
    [
        # Numbers that may mean something else
        ("x.txt", "1,020\t1,040\tWREN\n950\t960\tWREN\n", 'row 1: start is "1,020"'),
        ("x.txt", "1.5\t2,5\tWREN\n", 'row 1: end is "2,5"'),
        ("x.txt", "1,234.5\t1,236.0\tWREN\n", 'row 1: start is "1,234.5"'),
        # Lines that are no heading
        ("x.txt", "12.5x\t14\tWREN\n15\t16\tWREN\n", "row 1: .* is not an Audacity label"),
        ("x.txt", "12.5\t14\tWREN\n15.16 WREN\n", "row 2: .* is not an Audacity label"),
        ("x.txt", "0:12.5\t0:14.0\tWREN\n", "row 1: .* looks like a label"),
        ("x.txt", "WREN|12.5|14.0\nWREN;12;14\n", "row 2: .* looks like a label"),
        # Tables with other columns
        ("labels.csv", "file,species,start,end\nx.wav,WREN,12.5,14\n", "row 1: .*table of annotations"),
        ("notes.csv", "filename;label;begin_s;duration_s\nx.wav;WREN;12,5;1,5\n", "row 1: .*of annotations"),
        ("calls.tsv", "Tag\tStartTime\tEndTime\nWREN\t12.5\t14\n", "row 1: .*table of annotations"),
        ("x.Table.1.selections.txt", f"{RAVEN}\n{ROW[:-5]}\n".replace("\t", "    "), "row 2: 6 cells"),
        ("x.TextGrid", LONG_GRID[: LONG_GRID.index("xmax = 14.0")], "cut off"),
        ("x.TextGrid", LONG_GRID.replace("points: size = 0", 'points: size = 1\n1.5\n"hi"'), "a moment"),
        ("x.xlsx", "PK", "looks like annotations"),
        ("annotations.ods", "PK", "looks like annotations"),
        ("x.txt", "1\t2\tA\x00\n", "line 1: not text"),
    ],
)  # fmt: skip
def test_refused_with_file_and_row(tmp_path, name, text, message):
    (tmp_path / "x.wav").touch()
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"(?s){name}.*{message}"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "name, text, warned",
    [
        ("README.txt", "Recorded in 2019 and 2020, by Smith, at 3 sites.\nSee also the map.\n", False),
        ("CONFIG.TXT", "Device ID : 24E144085F256349\nSample rate (Hz) : 48000\nGain : Medium\n", False),
        ("recordings.csv", "recording,licence\nx,CC0\n", False),
        ("analyzed.csv", "recording,site,start,end\nx,pond,0,60\n", False),
        ("SMA_Summary.txt", "DATE,TIME,LAT,,LON,,POWER(V)\n2021-May-01,18:00:00,47.1,N,8.5,E,5.1\n", True),
        ("weather.csv", "day,mean,least,rain\n1,12.5,8.0,0\n", True),
        ("x.txt", "It rained all night.\n", True),
        ("x.json", "{}", True),
        ("measurements.xlsx", "PK", True),
    ],
)
def test_texts_about_something_else(tmp_path, caplog, name, text, warned):
    (tmp_path / "x.wav").touch()
    (tmp_path / name).write_text(text)
    assert not read_folder(tmp_path).files
    assert (name in caplog.text) == warned


def test_a_second_table_is_named(tmp_path, caplog):
    (tmp_path / "annotations.csv").write_text(f"{CSV}\nx,WREN,1,2\n")
    (tmp_path / "more.csv").write_text(f"{CSV}\ny,WREN,1,2\n")
    assert [item.recording for item in read_any_annotations(tmp_path)] == ["x"]
    assert "only annotations.csv is read, not more.csv" in caplog.text


def test_a_table_of_a_renamed_recording(tmp_path, caplog):
    caplog.set_level(logging.INFO, "britekit")
    (tmp_path / "x.wav").touch()
    (tmp_path / "x.Table.1.selections.txt").write_text(f"{RAVEN}\tBegin File\n{ROW}\tREC0001.WAV\n")
    assert read_any_annotations(tmp_path)[0].recording == "x"
    assert '"Begin File" names REC0001.WAV; read as x' in caplog.text
