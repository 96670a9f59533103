"""Tables of detections, read by columns: equal to what the csv module and pyarrow say, row by row."""

import csv
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from britekit.annotations.detection_tables import read_batches
from britekit.annotations.label_table import read_label_table
from britekit.errors import InputError
from britekit.formats.detections import COLUMNS

NAMES = ["a", "sub/b", 'quo"te, comma', "new\nline", "Größe", " spaces "]
ROWS = [
    {
        "recording": NAMES[k % 6], "class": f"Species {k % 3}", "code": "" if k % 3 == 2 else f"S{k % 3}",
        "start": k * 1.5, "end": k * 1.5 + 3, "score": round(0.1 + k / 100, 2),
    }
    for k in range(40)
]  # fmt: skip


@pytest.fixture(params=["csv", "parquet"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path, request.param, ROWS)
    return tmp_path


def write(folder: Path, kind: str, rows: list[dict]) -> Path:
    path = folder / f"detections.{kind}"
    if kind == "csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(COLUMNS), restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    else:
        kinds = {"text": pyarrow.string(), "64-bit float": pyarrow.float64(), "32-bit integer": pyarrow.int32()}
        schema = pyarrow.schema([(name, kinds[meaning.partition(",")[0]]) for name, meaning in COLUMNS.items()])
        columns = [[row.get(name) or None if name == "code" else row.get(name) for row in rows] for name in COLUMNS]
        parquet.write_table(pyarrow.table(columns, schema=schema), path)
    return path


@pytest.mark.parametrize("codes", [False, True])
def test_read_row_by_row(folder: Path, codes: bool) -> None:
    (folder / "manifest.yaml").write_text(f"inference: {{label_field: {'codes' if codes else 'names'}}}\n")
    table = read_label_table(folder)
    found = [
        (table.recordings[r], table.names[n], float(a), float(b), round(float(s), 6))
        for r, n, a, b, s in zip(
            table.recording_M, table.name_M, table.start_M, table.end_M, table.score_M, strict=True
        )
    ]
    # A class without code is called by its name, and spaces at the ends never count.
    assert found == [
        (row["recording"].strip(), (codes and row["code"]) or row["class"], row["start"], row["end"], row["score"])
        for row in ROWS
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_channels_are_told_apart_where_asked(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{**row, "channel": 1 + (k + k // 6) % 2} for k, row in enumerate(ROWS)])
    table = read_label_table(tmp_path, channels=True)
    found = [(table.recordings[r], table.channels[r]) for r in table.recording_M]
    assert found == [(row["recording"].strip(), str(1 + (k + k // 6) % 2)) for k, row in enumerate(ROWS)]
    assert len(table.recordings) == 12
    merged = read_label_table(tmp_path)
    assert len(merged.recordings) == 6 and not merged.channels and len(merged) + merged.merged == len(ROWS)


def test_version_1_has_no_channels(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", ROWS)
    path.write_text(
        "\n".join(line.rpartition(",")[0] for line in path.read_text().replace("new\nline", "x").split("\n"))
    )
    table = read_label_table(tmp_path, channels=True)
    assert set(table.channels) == {""} and len(table) == len(ROWS)


def test_scores_csv_goes_first(folder: Path) -> None:
    (folder / "scores.csv").write_text("recording,name,start_time,end_time,score\nx,Wren,0,3,0.5\n")
    assert read_label_table(folder).recordings == ["x"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_rows(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [])
    assert len(read_label_table(tmp_path)) == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("change", [{"end": 1.0}, {"score": 1.5}, {"start": -1.0}, {"score": float("nan")}])
def test_impossible_values_name_their_row(tmp_path: Path, kind: str, change: dict) -> None:
    rows = [dict(row) for row in ROWS]
    rows[17] |= change
    path = write(tmp_path, kind, rows)
    with pytest.raises(InputError, match=rf"detections.{kind}, row 19: "):
        list(read_batches(path, "class"))


def test_what_is_no_table(tmp_path: Path) -> None:
    for name, content in (("detections.csv", "recording,start\na,1\n"), ("detections.parquet", "no parquet")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=name):
            list(read_batches(tmp_path / name, "class"))
