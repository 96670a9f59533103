"""analyze as a person runs it: outputs, options, failures."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from britekit.annotations.labels import read_labels
from britekit.annotations.scores import ScoreTable
from britekit.audio.threads import single_threaded_products
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.cli import main
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two members, three recordings, an ignore file, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    make_fake_member(Path("models/ckpt"), CLASSES)
    make_fake_member(Path("models/ckpt"), CLASSES[::-1], name="seed-2", seed=1)
    for number, seconds in enumerate([2.0, 10.0, 61.0]):
        write_recording(Path(f"rec/r{number}.wav"), seconds, number)
    Path("data").mkdir()
    Path("data/ignore.txt").write_text("# not these\nNoise\n")
    return tmp_path


def analyze(*arguments: str) -> int:
    return main(["analyze", *arguments])


def content(folder: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }


def test_a_test_run_holds_every_score():
    assert analyze("-i", "rec", "-o", "out", "--min-score", "0") == 0
    texts = ["r0_scores.txt", "r1_scores.txt", "r2_scores.txt"]
    assert sorted(content("out")) == ["analyzed.csv", "manifest.yaml", *texts, "scores.csv", "scores.npz"]
    cfg, paths = resolve_for_models(None, {"misc.force_cpu": True})
    ensemble = load_ensemble(cfg, paths)
    table = ScoreTable.load("out/scores.npz")
    assert table.recordings == ["r0", "r1", "r2"]
    assert table.seconds.tolist() == [2.0, 10.0, 61.0]
    assert [info.name for info in table.classes] == ["Wren", "Owl"]
    assert table.duration == 3.0
    assert "seed-2.onnx" in table.meta["members"] and table.meta["backend"] == "openvino"
    labels = {(x.recording, x.name, x.start): x.score for x in read_labels("out")}
    assert len(labels) == table.scores.size
    for number in range(3):
        mine = table.row_recording == number
        with single_threaded_products():  # as in the engine, to the last bit
            batches = list(Windows(f"rec/r{number}.wav", cfg.audio, WindowGrid(3.0, 3.0, 1.0)).batches())
        assert table.starts[mine].tolist() == [start for batch in batches for start in batch.starts]
        expected = np.concatenate([ensemble.score(batch.spectrograms)[0] for batch in batches])[:, :2]
        assert table.scores[mine].tobytes() == np.ascontiguousarray(expected).tobytes()
        for start, row in zip(table.starts[mine], expected, strict=True):
            for code, score in zip(("WREN", "OWL"), row, strict=True):
                assert labels[f"r{number}", code, start] == pytest.approx(float(score), abs=6e-7)


def test_manifest_tells_what_was_done():
    assert analyze("-i", "rec", "-o", "out", "-m", "0.3", "--overlap", "1.5") == 0
    text = Path("out/manifest.yaml").read_text()
    assert text.startswith("#") and str(Path.cwd()) not in text
    manifest = yaml.safe_load(text)
    assert manifest["classes"] == [{"name": "Wren", "code": "WREN"}, {"name": "Owl", "code": "OWL"}]
    assert manifest["inference"]["min_score"] == 0.3 and manifest["inference"]["overlap"] == 1.5
    assert manifest["audio"]["spec_height"] == SMALL_AUDIO.spec_height
    assert manifest["backend"] == "openvino"
    for number in (1, 2):
        model = manifest[f"model {number}"]
        assert model["file"] == f"seed-{number}.onnx" and len(model["sha256"]) == 64
        assert model["train"]["sed_fps"] == 4 and model["audio"]["spec_width"] == 64
    assert not Path("out/scores.npz").exists()


def test_same_bytes_whatever_the_threads():
    for threads in ("1", "4"):
        assert analyze("-i", "rec", "-o", f"out{threads}", "-m", "0", "--threads", threads) == 0
    assert content("out1") == content("out4")


def test_default_output_and_types():
    assert analyze("-i", "rec", "-r", "audacity") == 0
    assert Path("rec/r0_scores.txt").exists() and not Path("rec/scores.csv").exists()
    assert analyze("-i", "rec/r1.wav", "-o", "one", "--rtype", "csv") == 0
    assert sorted(content("one")) == ["analyzed.csv", "manifest.yaml", "scores.csv"]
    assert analyze("-i", "rec", "-r", "birdnet") == 1


def test_raven_tables_are_read_by_the_reader_of_selections():
    assert analyze("-i", "rec", "-o", "out", "-m", "0.3", "-r", "raven,csv") == 0
    assert sorted(content("out")) == [
        "analyzed.csv", "manifest.yaml", "r0.selections.txt", "r1.selections.txt", "r2.selections.txt", "scores.csv"
    ]  # fmt: skip
    expected = {(x.recording, x.name, x.start, x.end) for x in read_labels("out")}
    found = set()
    for number in range(3):
        lines = Path(f"out/r{number}.selections.txt").read_text().splitlines()
        assert lines[0].split("\t")[:5] == ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"]
        cells = [line.split("\t") for line in lines[1:]]
        assert [row[0] for row in cells] == [str(n) for n in range(1, len(cells) + 1)]
        assert [float(row[3]) for row in cells] == sorted(float(row[3]) for row in cells)
        found |= {(f"r{number}", row[7], float(row[3]), float(row[4])) for row in cells}
    assert found == expected and expected


def test_show_prints_the_first_window_and_writes_nothing(capsys: pytest.CaptureFixture[str]):
    assert analyze("-i", "rec", "-o", "out", "--show", "--start", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "start_seconds = 1" and len(lines) == 4 and lines.pop() == "scores = not calibrated"
    scores = [float(line.partition(" = ")[2]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)
    assert not Path("out").exists()
    assert analyze("-i", "rec", "-o", "out", "-m", "0", "--start", "1") == 0
    table = ScoreTable.load("out/scores.npz")
    first = dict(zip((info.code for info in table.classes), table.scores[0].tolist(), strict=True))
    for line in lines[1:]:
        name, _, score = line.partition(" = ")
        assert float(score) == pytest.approx(first[name], abs=1e-6)


def test_the_input_may_stand_alone(capsys: pytest.CaptureFixture[str]):
    assert analyze("-i", "rec", "-o", "named") == 0
    assert analyze("rec", "-o", "alone") == 0
    assert (Path("alone") / "scores.csv").read_bytes() == (Path("named") / "scores.csv").read_bytes()
    capsys.readouterr()
    assert analyze("rec", "-i", "other", "-o", "both") == 1
    assert 'two inputs, "other" and "rec"' in capsys.readouterr().err


def test_an_old_table_does_not_outlive_the_labels_it_belonged_to():
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 0
    assert analyze("-i", "rec", "-o", "out", "-m", "0.5", "-r", "audacity") == 0
    assert sorted(content("out")) == [
        "analyzed.csv",
        "manifest.yaml",
        "r0_scores.txt",
        "r1_scores.txt",
        "r2_scores.txt",
    ]
    Path("mine").mkdir()
    Path("mine/scores.csv").write_text("not ours\n")
    assert analyze("-i", "rec", "-o", "mine", "-r", "audacity") == 0
    assert Path("mine/scores.csv").read_text() == "not ours\n"


def test_silence_gives_an_empty_label_file():
    assert analyze("-i", "rec", "-o", "out", "-m", "1") == 0
    assert Path("out/r0_scores.txt").read_bytes() == b""
    assert Path("out/scores.csv").read_text().count("\n") == 1


def test_bad_recordings_are_listed_and_the_rest_finished(capsys: pytest.CaptureFixture[str]):
    Path("rec/bad.wav").write_bytes(b"no sound")
    Path("rec/empty.wav").write_bytes(b"")
    Path("out").mkdir()
    Path("out/bad_scores.txt").write_text("0\t1\tOWL;0.9\n")
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 1
    errors = capsys.readouterr().err
    assert "rec/bad.wav" in errors and "rec/empty.wav" in errors
    assert "Error: 2 of 5 recordings could not be scored" in errors and "Traceback" not in errors
    assert ScoreTable.load("out/scores.npz").recordings == ["r0", "r1", "r2"]
    assert not Path("out/bad_scores.txt").exists()
    assert len({x.recording for x in read_labels("out")}) == 3


@pytest.mark.skipif(os.name != "posix", reason="other file systems do not allow such names")
def test_odd_names_read_back_and_a_name_that_is_too_long_fails_alone(capsys: pytest.CaptureFixture[str]):
    """Every table reads back with another program's reader: csv splits rows by the standard's rules."""
    odd = ["new\nline", "return\r", "both\r\n", 'quo"te', "tab\tx", "-x", "dot.", "com,ma", "sp ace", "CASE",
           "case", "caf\u00e9", "cafe", ";semi", "\u2028sep", "#hash"]  # fmt: skip
    fits, too_long = "f" * (255 - len("_scores.txt")), "L" * (256 - len("_scores.txt"))
    for name in [*odd, fits, too_long, " "]:
        os.link("rec/r0.wav", f"rec/{name}.wav")
    os.link("rec/r0.wav", b"rec/\xff.wav")
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 1
    errors = capsys.readouterr().err
    assert too_long in errors and "longer than the file system of out allows" in errors
    assert "white space" in errors and "2 of 23 recordings could not be scored" in errors
    good = {*odd, fits, "\\xff", "r0", "r1", "r2"}
    with open("out/scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {5} and {row[0] for row in rows[1:]} == good
    with open("out/failed.csv", newline="", encoding="utf-8") as file:
        failed = list(csv.reader(file))
    assert [row[0] for row in failed] == ["recording", " ", too_long]
    texts = {name.removesuffix("_scores.txt") for name in content("out") if name.endswith("_scores.txt")}
    assert texts == good
    # Only the table: the long name needs no file of its own.
    assert analyze("-i", f"rec/{too_long}.wav", "-o", "out", "-m", "0", "-r", "csv") == 0
    assert {x.recording for x in read_labels("out")} == {too_long}
    # The careful reader strips what stands at the ends of cells, and no more.
    assert analyze("-i", "rec", "-o", "more", "-m", "0") == 1
    assert {x.recording for x in read_labels("more")} == {name.strip() for name in good}


def test_recursive_names_by_path():
    write_recording(Path("rec/below/r0.wav"), 4.0)
    assert analyze("-i", "rec", "-o", "out", "-m", "0", "--recursive") == 0
    assert Path("out/below/r0_scores.txt").is_file()
    assert ScoreTable.load("out/scores.npz").recordings == ["below/r0", "r0", "r1", "r2"]


@pytest.mark.parametrize("pair", [("r0.wav", "r0.aiff"), ("\u00e4.wav", "a\u0308.wav"), ("b.wav", "b .wav")])
def test_names_that_nothing_can_tell_apart_fail_alone(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    stem = Path(pair[0]).stem
    Path("out").mkdir()
    Path(f"out/{stem}_scores.txt").write_text("0\t1\tOWL;0.9\n")  # of an earlier run
    for name in pair:
        if not Path("rec", name).exists():
            os.link("rec/r0.wav", f"rec/{name}")
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 1
    errors = capsys.readouterr().err
    assert "2 of" in errors
    with open("out/failed.csv", newline="", encoding="utf-8") as file:
        failed = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert set(failed) == {f"rec/{name}" for name in pair}
    assert f"{pair[1]} beside it has the same name without extension" in failed[f"rec/{pair[0]}"]
    assert {x.recording for x in read_labels("out")} == {"r0", "r1", "r2"} - {stem}
    assert not Path(f"out/{stem}_scores.txt").exists()
    # Mended: the interrupted run is continued.
    Path("rec", pair[1]).unlink()
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 0
    assert {x.recording for x in read_labels("out")} == {"r0", "r1", "r2", stem}
    assert not Path("out/failed.csv").exists()


def test_calibration_acts_on_labels_not_on_raw_scores(capsys: pytest.CaptureFixture[str]):
    assert analyze("-i", "rec", "-o", "raw", "-m", "0") == 0
    Path("cal.yaml").write_text("coefficient: 2\nintercept: 1\nclasses: {OWL: {coefficient: 0.5, intercept: 0}}\n")
    Path("mine.yaml").write_text("infer: {calibration: cal.yaml}\n")
    assert analyze("-i", "rec", "-o", "cal", "-m", "0.000001", "-c", "mine.yaml") == 0
    table = ScoreTable.load("raw/scores.npz")
    z = np.log(table.scores / (1 - table.scores.astype(float)))
    expected = 1 / (1 + np.exp(-np.stack([2 * z[:, 0] + 1, 0.5 * z[:, 1]], axis=1)))
    found = {(x.recording, x.start, x.name): x.score for x in read_labels("cal")}
    for row, (number, start) in enumerate(zip(table.row_recording, table.starts, strict=True)):
        for column, code in enumerate(("WREN", "OWL")):
            key = (f"r{number}", start, code)
            assert found.get(key, 0.0) == pytest.approx(expected[row, column], abs=2e-6)
    manifest = yaml.safe_load(Path("cal/manifest.yaml").read_text())
    assert manifest["calibration"]["coefficient"] == 2 and manifest["inference"]["calibration"] == "cal.yaml"

    capsys.readouterr()
    assert manifest["calibrated"] is True
    assert analyze("-i", "rec", "-o", "test", "-m", "0", "-c", "mine.yaml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "scores = calibrated (cal.yaml)"
    assert content("test")["scores.npz"] == content("raw")["scores.npz"]
    assert content("test")["scores.csv"] != content("raw")["scores.csv"]
    # --raw: as if there were neither a calibration nor scaling numbers.
    Path("both.yaml").write_text("infer: {calibration: cal.yaml, scaling_coefficient: 3}\n")
    assert analyze("-i", "rec", "-o", "again", "-m", "0", "-c", "both.yaml", "--raw") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "scores = not calibrated"
    assert content("again") == content("raw")
    raw = yaml.safe_load(Path("again/manifest.yaml").read_text())
    assert raw["calibrated"] is False and raw["inference"]["calibration"] is None


def test_the_calibration_of_the_project_is_applied_if_it_belongs_to_the_models(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in Path("models/ckpt").glob("*.ckpt")]
    members = "".join(f"- sha256: {value}\n" for value in hashes)
    Path("models/calibration.yaml").write_text(f"coefficient: 2\nintercept: 1\nmembers:\n{members}")
    assert analyze("-i", "rec", "-o", "raw", "-m", "0", "--raw") == 0
    capsys.readouterr()
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == "scores = calibrated (models/calibration.yaml)" and not shown.err
    raw, table = read_labels("raw"), {(x.recording, x.start, x.name): x.score for x in read_labels("out")}
    for x in raw:
        expected = 1 / (1 + np.exp(-(2 * np.log(x.score / (1 - x.score)) + 1)))
        assert table[x.recording, x.start, x.name] == pytest.approx(expected, abs=1e-5)
    # From another directory it is found beside the models.
    monkeypatch.chdir("rec")
    assert analyze("-i", "r0.wav", "-o", "out", "--ckpt", "../models/ckpt") == 0
    assert "scores = calibrated (../models/calibration.yaml)" in capsys.readouterr().out
    monkeypatch.chdir("..")
    # A stage of the pipeline would depend on a file that dvc.yaml does not name.
    monkeypatch.setenv("DVC_STAGE", "analyze")
    monkeypatch.setenv("DVC_ROOT", str(Path.cwd()))
    Path("seeds.yaml").write_text("pipeline: {seeds: [1, 2]}\n")
    assert analyze("-i", "rec", "-o", "stage", "-m", "0", "-c", "seeds.yaml") == 0
    assert content("stage")["scores.csv"] == content("raw")["scores.csv"]
    monkeypatch.delenv("DVC_STAGE")
    # One of the two models, or a file that names none: not applied, and said.
    capsys.readouterr()
    for text in (f"members:\n- sha256: {hashes[0]}\n", ""):
        Path("models/calibration.yaml").write_text(f"coefficient: 2\nintercept: 1\n{text}")
        assert analyze("-i", "rec", "-o", "out", "-m", "0") == 0
        shown = capsys.readouterr()
        assert "models/calibration.yaml was not fitted on the models" in shown.err
        assert shown.out.splitlines()[-1] == "scores = not calibrated"
        assert content("out")["scores.csv"] == content("raw")["scores.csv"]


def test_thresholds_of_classes(capsys: pytest.CaptureFixture[str]):
    Path("mine.yaml").write_text("infer: {calibration: cal.yaml}\n")
    Path("cal.yaml").write_text("coefficient: 1\nintercept: 0.5\n")
    assert analyze("-i", "rec", "-o", "all", "-m", "0", "-c", "mine.yaml") == 0
    wren = round(float(np.median([x.score for x in read_labels("all") if x.name == "WREN"])), 3)
    thresholds = f"thresholds: {{precision: 0.9, classes: {{Wren: {wren}, Owl: null}}}}\n"
    Path("cal.yaml").write_text(f"coefficient: 1\nintercept: 0.5\n{thresholds}")
    assert analyze("-i", "rec", "-o", "out", "-m", "0.55", "-c", "mine.yaml", "--thresholds") == 0
    assert "1 of 2 classes have no threshold of precision 0.9" in capsys.readouterr().err
    lowest = {"WREN": wren, "OWL": 0.55}
    expected = [x for x in read_labels("all") if x.score >= lowest[x.name]]
    assert read_labels("out") == expected and {x.name for x in expected} == {"WREN", "OWL"}
    assert yaml.safe_load(Path("out/manifest.yaml").read_text())["thresholds"] == {"Wren": wren, "Owl": 0.55}
    assert analyze("-i", "rec", "-o", "out", "--thresholds", "--raw") == 1
    assert analyze("-i", "rec", "-o", "out", "--thresholds") == 1
    assert "thresholds per class were requested, but scores are not calibrated" in capsys.readouterr().err


def test_labels_below_the_threshold_are_marked_in_every_output():
    Path("mine.yaml").write_text(
        "infer: {lower_min_if_confirmed: true, raise_min_to_confirm: 0.01, confirmed_if_seconds: 3}\n"
    )
    arguments = ("-i", "rec", "-m", "0.5", "-r", "both,raven")
    assert analyze(*arguments, "-o", "off") == 0 and analyze(*arguments, "-o", "on", "-c", "mine.yaml") == 0
    with open("on/scores.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header[-1] == "confirmed" and {row[5] for row in rows} == {"0", "1"}
    assert all((float(row[4]) < 0.5) == (row[5] == "1") for row in rows)
    plain = [",".join(row[:5]) for row in rows if row[5] == "0"]
    assert plain == Path("off/scores.csv").read_text().splitlines()[1:]
    number = sum(row[5] == "1" for row in rows)
    texts = [Path(f"on/r{k}_scores.txt").read_text() for k in range(3)]
    assert sum(text.count(";confirmed\n") for text in texts) == number
    tables = [Path(f"on/r{k}.selections.txt").read_text() for k in range(3)]
    assert all(text.splitlines()[0].endswith("\tConfirmed") for text in tables)
    assert sum(text.count("\tyes\n") for text in tables) == number
    # Both forms read back, and where it is off nothing changes.
    both = [sorted((x.recording, x.name, x.start) for x in read_labels("on"))]
    Path("on/scores.csv").unlink()
    assert both[0] == sorted((x.recording, x.name, x.start) for x in read_labels("on"))
    assert "confirmed" not in "".join(path.read_text() for path in Path("off").glob("*.[ct]*"))


def test_scaling_numbers_in_the_settings():
    Path("mine.yaml").write_text("infer: {scaling_coefficient: 1, scaling_intercept: 20}\n")
    assert analyze("-i", "rec", "-o", "out", "-m", "0.99", "-c", "mine.yaml") == 0
    windows = sum(len(list(Windows(f"rec/r{n}.wav", SMALL_AUDIO, WindowGrid(3.0, 3.0, 1.0)))) for n in range(3))
    assert len(read_labels("out")) == 2 * windows


def test_sed_labels(tmp_path: Path):
    for path in Path("models/ckpt").iterdir():
        path.unlink()
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    assert analyze("-i", "rec", "-o", "test", "-m", "0") == 0
    table = ScoreTable.load("test/scores.npz")
    labels = read_labels("test")
    assert table.duration == 3.0 and len(labels) == table.scores.size
    assert all(x.end == min(x.start + 3, table.seconds[table.recordings.index(x.recording)]) for x in labels)
    assert analyze("-i", "rec", "-o", "seg", "-m", "0.001", "--seg", "0.5") == 0
    assert {round(x.end - x.start, 6) for x in read_labels("seg")} == {0.5}
    assert analyze("-i", "rec", "-o", "runs", "-m", "0.001") == 0
    lengths = {round(x.end - x.start, 6) for x in read_labels("runs")}
    assert max(lengths) > 3.0


@pytest.mark.parametrize("arguments", [("-m", "0"), ("-m", "0", "--seg", "0.75"), ("-m", "0.2", "-r", "raven,both")])
@pytest.mark.parametrize("frames", [None, 12])
def test_same_bytes_with_scores_on_disk(
    frames: int | None, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    from britekit.inference import spilled_array

    for path in Path("models/ckpt").iterdir():
        path.unlink()
    make_fake_member(Path("models/ckpt"), CLASSES, frames=frames)
    assert analyze("-i", "rec", "-o", "memory", *arguments) == 0
    # Rows leave memory at once, are read three at a time, and columns come one by one.
    monkeypatch.setattr(spilled_array, "KEPT_BYTES", 8)
    monkeypatch.setattr(spilled_array, "_BLOCK_BYTES", 40)
    assert analyze("-i", "rec", "-o", "disk", *arguments) == 0
    assert content("memory") == content("disk")


@pytest.mark.parametrize(("text", "first"), [("4", 4.0), ("0:04", 4.0), ("0:00:04", 4.0)])
def test_start(text: str, first: float):
    assert analyze("-i", "rec/r1.wav", "-o", "out", "-m", "0", "--start", text) == 0
    assert ScoreTable.load("out/scores.npz").starts.tolist() == [first, first + 3]


def test_a_label_length_that_models_cannot_give_is_told(capsys: pytest.CaptureFixture[str]):
    assert analyze("-i", "rec/r1.wav", "-o", "out", "-m", "0", "--seg", "1") == 0
    assert "a segment_len (--seg) of 1 s has no effect" in capsys.readouterr().err
    assert ScoreTable.load("out/scores.npz").duration == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "nowhere"], "nowhere"),
        (["-i", "rec", "--ckpt", "nowhere"], "nowhere"),
        (["-i", "data"], "contains no recordings"),
        (["-i", "rec", "-m", "1.5"], "min_score"),
        (["-i", "rec", "--overlap", "3"], "infer.overlap"),
        (["-i", "rec", "--threads", "0"], "num_threads"),
        (["-i", "rec", "--seg", "-1"], "segment_len"),
        (["-i", "rec", "--start", "1:75"], "not a time"),
        (["-i", "rec", "-c", "other.yaml"], "ignore file gone.txt"),
        (["-i", "rec", "-c", "cal.yaml"], "calibration file gone.yaml"),
    ],
)
def test_one_sentence_for_what_cannot_be_done(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]):
    Path("other.yaml").write_text("misc: {ignore_file: gone.txt}\n")
    Path("cal.yaml").write_text("infer: {calibration: gone.yaml}\n")
    assert analyze(*arguments, "-o", "out") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and words in errors[0]
    assert not list(Path(".").glob("out/*"))


def test_the_default_ignore_file_may_be_missing():
    Path("data/ignore.txt").unlink()
    assert analyze("-i", "rec", "-o", "out", "-m", "0") == 0
    assert len(ScoreTable.load("out/scores.npz").classes) == 3


def test_other_classes_are_refused(capsys: pytest.CaptureFixture[str]):
    make_fake_member(Path("models/ckpt"), CLASSES[:2], name="seed-3")
    assert analyze("-i", "rec", "-o", "out") == 1
    assert 'lacks "Noise"' in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_is_noticed_at_once(capsys: pytest.CaptureFixture[str]):
    Path("out").mkdir(mode=0o500)
    assert analyze("-i", "rec", "-o", "out") == 1
    assert "out could not be written" in capsys.readouterr().err


def test_an_output_that_is_a_file(capsys: pytest.CaptureFixture[str]):
    Path("out").write_text("")
    assert analyze("-i", "rec", "-o", "out") == 1
    assert "out could not be written" in capsys.readouterr().err


def test_neither_torch_nor_anything_that_counts_users_is_imported(project: Path):
    code = (
        "import sys; from britekit.cli import main; code = main(['analyze', '-i', 'rec', '-o', 'out']); "
        "heavy = {'torch', 'onnx', 'lightning', 'pandas', 'sqlalchemy', 'matplotlib', 'wandb'}; "
        "heavy |= {'openvino_telemetry.main', 'openvino_telemetry.backend'}; heavy &= set(sys.modules); "
        "print(sorted(heavy)); sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_function_returns_the_sums():
    import britekit.commands.analyze  # the module's import must not hide the function

    summary = britekit.commands.analyze(input_path="rec", output_path="out")
    assert (summary.done, summary.failed, summary.audio_seconds) == (3, {}, 73.0)
