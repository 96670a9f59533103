"""What each format writes: frozen columns, read back by other programs' readers and by our own."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas
import pytest

from britekit import formats
from britekit.errors import InputError
from britekit.format_names import format_names
from britekit.formats import Facts, Recording, in_pieces

BOX = "Selection|View|Channel|Begin Time (s)|End Time (s)|Low Freq (Hz)|High Freq (Hz)"
DETECTIONS = (
    "recording site start end time_start time_end class code score probability model threshold latitude longitude"
    " channel"
)
# (format, version) to columns: they change with the version only, since people's scripts read them.
COLUMNS = {
    ("aoef", 1): "recordings|clip_annotations|sound_event_annotations|sound_events",
    ("audacity", 1): "(start) (end) (label)",
    ("birdnet", 1): "(start) (end) (name) (confidence)",
    ("csv", 1): "recording name start_time end_time score",
    ("detections", 2): DETECTIONS,
    ("detections-parquet", 2): DETECTIONS,
    ("jsonl", 1): "recording label class_name class_code start_time end_time score confirmed",
    ("kaleidoscope", 1): "INDIR|FOLDER|IN FILE|OFFSET|DURATION|TOP1MATCH|TOP1DIST",
    ("parquet", 1): "recording label class_name class_code start_time end_time score confirmed",
    ("raven", 1): f"{BOX}|Annotation|Score",
    ("raven-all", 1): f"{BOX}|Begin Path|Begin File|File Offset (s)|Annotation|Score",
    ("textgrid", 1): "xmin, xmax|text",
}  # fmt: skip
FACTS = Facts(100, 8000)
ODD = 'a, "b";\tc'
RECORDINGS = [Recording("dawn", "/field/dawn.wav", 60.0), Recording("site 1/dusk", "/field/site 1/dusk.MP3", 30.5)]
LABELS = {
    "dawn": [
        ("OVEN", "Ovenbird", "OVEN", 10.0, 13.0, 0.9234567, False),
        ("AMRO", "American Robin", "AMRO", 2.25, 5.25, 0.5, False),
        ("OVEN", "Ovenbird", "OVEN", 0.0, 1 / 3, 1.0, False),
    ],
    "site 1/dusk": [("AMRO", "American Robin", "AMRO", 1.5, 4.5, 0.25, True)],
}


def written(name, recordings=RECORDINGS, labels=LABELS, facts=FACTS):
    """Return what a format writes about recordings, in one file."""
    out = io.BytesIO()
    writer = formats.get(name).writer(out, facts)
    for recording in recordings:
        for rows in formats.grouped(labels[recording.name]):
            writer.add(recording, rows)
        writer.end(recording)
    writer.close()
    return out.getvalue()


def table(name, **options):
    return list(csv.DictReader(io.StringIO(written(name, **options).decode(), newline=""), strict=True))


@pytest.mark.parametrize("name", formats.names())
def test_columns_are_frozen(name):
    form = formats.get(name)
    listed = COLUMNS[name, form.version]
    assert list(form.columns) == listed.split("|" if "|" in listed else None)
    assert form.name == name and all(form.columns.values())
    assert not form.table or form.writer


@pytest.mark.parametrize(
    "name", [name for name in formats.written() if "parquet" not in name and name not in ("audacity", "jsonl")]
)
def test_the_header_is_these_columns(name):
    separator = "\t" if name.startswith("raven") else ","
    assert written(name).decode().split("\n")[0].split(separator) == list(formats.get(name).columns)


def test_audacity():
    assert written("audacity", RECORDINGS[:1]) == (
        b"2.25\t5.25\tAMRO;0.500\n0.00\t0.33\tOVEN;1.000\n10.00\t13.00\tOVEN;0.923\n"
    )
    assert formats.get("audacity").render(RECORDINGS[0], [], FACTS) == b""


def test_csv():
    assert written("csv").decode() == (
        "recording,name,start_time,end_time,score\ndawn,AMRO,2.25,5.25,0.500000\ndawn,OVEN,0.0,0.333333,1.000000\n"
        "dawn,OVEN,10.0,13.0,0.923457\nsite 1/dusk,AMRO,1.5,4.5,0.250000\n"
    )


def test_raven_is_a_table_by_time():
    rows = list(csv.DictReader(io.StringIO(written("raven", RECORDINGS[:1]).decode()), delimiter="\t"))
    assert [row["Selection"] for row in rows] == ["1", "2", "3"]
    assert [float(row["Begin Time (s)"]) for row in rows] == [0.0, 2.25, 10.0]
    assert {(row["Low Freq (Hz)"], row["High Freq (Hz)"]) for row in rows} == {("100.0", "8000.0")}
    assert rows[2]["Annotation"] == "OVEN" and rows[2]["Score"] == "0.923457"


@pytest.mark.parametrize("channel", [None, 2])
def test_raven_names_the_channel_that_was_analyzed(channel):
    content = written("raven", [replace(RECORDINGS[0], channel=channel)])
    rows = list(csv.DictReader(io.StringIO(content.decode()), delimiter="\t"))
    assert {row["Channel"] for row in rows} == {str(channel or 1)} and len(rows) == 3


def test_raven_for_all_counts_through_the_recordings(tmp_path):
    content = written("raven-all")
    rows = list(csv.DictReader(io.StringIO(content.decode()), delimiter="\t"))
    assert [row["Selection"] for row in rows] == ["1", "2", "3", "4"]
    # dusk begins where dawn ends, after 60 s
    assert [float(row["Begin Time (s)"]) for row in rows] == [0.0, 2.25, 10.0, 61.5]
    assert [float(row["File Offset (s)"]) for row in rows] == [0.0, 2.25, 10.0, 1.5]
    assert rows[3]["Begin Path"] == "/field/site 1/dusk.MP3" and rows[3]["Begin File"] == "dusk.MP3"
    (tmp_path / "x.txt").write_bytes(content)
    found = [(a.recording, a.label, a.start, a.end) for a in formats.read_any_annotations(tmp_path / "x.txt")]
    assert found == [
        ("dawn", "OVEN", 0.0, pytest.approx(1 / 3, abs=1e-6)), ("dawn", "AMRO", 2.25, 5.25),
        ("dawn", "OVEN", 10.0, 13.0), ("dusk", "AMRO", 1.5, 4.5),
    ]  # fmt: skip


def test_labels_below_the_threshold_are_marked(tmp_path):
    facts = Facts(100, 8000, marks=True)
    assert written("audacity", RECORDINGS[1:], facts=facts) == b"1.50\t4.50\tAMRO;0.250;confirmed\n"
    assert [row["confirmed"] for row in table("csv", facts=facts)] == ["0", "0", "0", "1"]
    assert list(table("csv", facts=facts)[0]) == [*formats.get("csv").columns, *formats.get("csv").marked]
    for name in ("raven", "raven-all"):
        content = written(name, RECORDINGS[1:], facts=facts).decode()
        (row,) = csv.DictReader(io.StringIO(content), delimiter="\t")
        assert row["Confirmed"] == "yes" and list(row) == [*formats.get(name).columns, "Confirmed"]
    assert formats.is_detections("a.selections.txt", content.split("\n")[0]) is False
    header = written("raven", facts=facts).decode().split("\n")[0]
    assert formats.is_detections("a.selections.txt", header)
    assert list(table("kaleidoscope", facts=facts)[0]) == list(formats.get("kaleidoscope").columns)
    (tmp_path / "dusk.txt").write_bytes(written("audacity", RECORDINGS[1:], facts=facts))
    assert formats.read_any_annotations(tmp_path / "dusk.txt")[0].label == "AMRO"
    rows = [json.loads(line)["confirmed"] for line in written("jsonl").decode().splitlines()]
    assert rows == pandas.read_parquet(io.BytesIO(written("parquet")))["confirmed"].tolist()


def test_kaleidoscope():
    assert table("kaleidoscope")[0] == {
        "INDIR": "/field", "FOLDER": "", "IN FILE": "dawn.wav", "OFFSET": "2.25", "DURATION": "3.0",
        "TOP1MATCH": "AMRO", "TOP1DIST": "0.500000",
    }  # fmt: skip
    last = table("kaleidoscope")[-1]
    assert (last["INDIR"], last["FOLDER"], last["IN FILE"]) == ("/field", "site 1", "dusk.MP3")
    assert last["TOP1DIST"] == "0.750000"


def test_json_lines_carry_further_columns():
    rows = [json.loads(line) for line in written("jsonl").decode().splitlines()]
    assert list(rows[0]) == list(formats.get("jsonl").columns)
    assert rows[2] == {
        "recording": "dawn", "label": "OVEN", "class_name": "Ovenbird", "class_code": "OVEN",
        "start_time": 10.0, "end_time": 13.0, "score": 0.923457, "confirmed": False,
    }  # fmt: skip
    more = formats.Rows("A", "A", "", [0.0], [1.0], [0.5], [False], {"site": ["pond \U0001f426"]})
    (line,) = formats.get("jsonl").render(RECORDINGS[0], [more], FACTS).decode().splitlines()
    assert json.loads(line)["site"] == "pond \U0001f426"


def test_parquet_is_typed_and_reads_as_a_data_frame():
    frame = pandas.read_parquet(io.BytesIO(written("parquet")))
    assert list(frame.columns) == list(formats.get("parquet").columns)
    assert frame["start_time"].dtype == frame["end_time"].dtype == np.float64 and frame["score"].dtype == np.float32
    assert frame["recording"].tolist() == ["dawn", "dawn", "dawn", "site 1/dusk"]
    assert frame["end_time"].tolist() == [5.25, 1 / 3, 13.0, 4.5]
    assert frame["class_name"].tolist()[1:3] == ["Ovenbird", "Ovenbird"]
    assert len(pandas.read_parquet(io.BytesIO(formats.get("parquet").render(RECORDINGS[0], [], FACTS)))) == 0


@pytest.mark.parametrize("odd", [ODD, "line\nbreak", "carriage\rreturn", "both\r\n", '"quoted"', "\u2028", "semi;0.5"])
def test_no_name_breaks_a_table(odd, tmp_path):
    labels = {odd: [(odd, odd, odd, 0.0, 1.0, 0.5, False)]}
    recordings = [Recording(odd, f"/x/{odd}.wav", 2.0)]
    options = {"recordings": recordings, "labels": labels}
    (row,) = table("csv", **options)
    assert row["recording"] == row["name"] == odd
    (row,) = table("kaleidoscope", **options)
    assert (row["IN FILE"], row["TOP1MATCH"]) == (f"{odd}.wav", odd)
    (line,) = written("jsonl", **options).decode().split("\n")[:-1]
    assert json.loads(line)["label"] == odd
    assert pandas.read_parquet(io.BytesIO(written("parquet", **options)))["label"].tolist() == [odd]
    for name in ("raven", "raven-all", "audacity"):
        content = written(name, **options).decode()
        assert len(content.splitlines()) == (1 if name == "audacity" else 2), name
        assert len({line.count("\t") for line in content.splitlines()}) == 1
    if odd == "semi;0.5":
        (tmp_path / "x_scores.txt").write_bytes(written("audacity", **options))
        assert formats.read_any_annotations(tmp_path / "x_scores.txt")[0].label == odd


def test_rows_survive_the_journal():
    rng = np.random.default_rng(1)
    starts = np.sort(rng.uniform(0, 1e5, 200_000))
    scores = rng.random(200_000, dtype=np.float32)
    rows = list(in_pieces("Ü", "Übel", "UB", starts, starts + 3, scores, scores < np.float32(0.1)))
    assert [len(piece) for piece in rows] == [65536, 65536, 65536, 3392]
    content = b"".join(piece.to_bytes() for piece in rows)
    found = list(formats.read_rows(io.BytesIO(b"xy" + content), 0))
    assert found == []
    stream = io.BytesIO(b"xy" + content)
    stream.seek(2)
    found = list(formats.read_rows(stream, 2 + len(content)))
    assert [x for piece in found for x in piece.starts] == starts.tolist()
    assert [x for piece in found for x in piece.scores] == scores.tolist()
    assert [x for piece in found for x in piece.confirmed] == (scores < np.float32(0.1)).tolist()
    assert {(piece.label, piece.class_name, piece.class_code) for piece in found} == {("Ü", "Übel", "UB")}


def test_choosing():
    assert [form.name for form in formats.chosen("both")] == ["audacity", "csv"]
    assert [form.name for form in formats.chosen("r, PAR")] == ["parquet", "raven"]
    assert [form.name for form in formats.chosen("raven-all,csv,c")] == ["csv", "raven-all"]
    for wrong in ("x", "", "csv,", "birdnet", "textgrid"):
        with pytest.raises(InputError, match=r"--rtype .* is not one of audacity, csv, .*both"):
            formats.chosen(wrong)
    with pytest.raises(InputError, match='did you mean "raven"'):
        formats.get("ravn")


def test_what_programs_wrote_is_no_annotation():
    for name in ("a_scores.txt", "scores.csv", "scores.jsonl", "kaleidoscope.csv", "scores.selections.txt"):
        assert formats.is_detections(name), name
    for name in ("a.BirdNET.results.txt", "BirdNET_SelectionTable.txt", "a.birdnet.results.csv"):
        assert formats.is_detections(name), name
    for name in ("a.txt", "annotations.csv", "a.selections.txt", "a.Table.1.selections.txt"):
        assert not formats.is_detections(name), name
    assert formats.is_detections("a.selections.txt", "\t".join(formats.get("raven").columns))


def test_names_are_those_of_the_modules_though_none_is_imported():
    assert format_names(written=True) == tuple(n for n in formats.names() if formats.get(n).writer is not None)
    code = "import sys; import britekit.commands.analyze; print([m for m in sys.modules if 'britekit.formats' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
