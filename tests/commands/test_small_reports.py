"""rpt-ann, rpt-labels, rpt-iou, rpt-epochs and plot-test as typed."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from britekit.annotations.scores import ScoreTable
from britekit.cli import main
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def printed(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


def last_error(capsys):
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    return error


# Two recordings of 4 s in one Raven table: 3.0 to 4.0 s of A and 0 to 1.5 s of B; 1 to 2 s of B.
BOXES = (
    "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tSpecies\n"
    "1\t3.0\t5.5\tA.wav\tB.wav\t3.0\tOWL\n2\t5.0\t6.0\tB.wav\tB.wav\t1.0\tOWL\n"
)


def two_recordings():
    for name in "AB":
        write_recording(Path(f"rec/{name}.wav"), 4.0)
    Path("rec/both.selections.txt").write_text(BOXES)


ANNOTATIONS = "recording,class,start_time,end_time\na,OWL,0,10\na,OWL,4,6\na,WREN,2.5,3\nb,OWL,5,8\nc,,,\n"


class TestAnnotations:
    def test_overlaps_count_once(self, capsys):
        Path("a.csv").write_text(ANNOTATIONS)
        assert main(["rpt-ann", "-a", "a.csv", "-o", "out"]) == 0
        assert rows_of("out/test_summary.csv") == [["class", "seconds"], ["OWL", "13.0"], ["WREN", "0.5"]]
        assert rows_of("out/test_details.csv")[1:] == [
            ["a", "OWL", "10.0"], ["a", "WREN", "0.5"], ["b", "OWL", "3.0"],
        ]  # fmt: skip
        assert printed(capsys.readouterr().out) == {"recordings": "3", "classes": "2", "seconds": "13.5"}

    def test_a_box_over_two_recordings_counts_in_both(self, capsys):
        two_recordings()
        assert main(["rpt-ann", "-a", "rec", "-o", "out"]) == 0
        assert rows_of("out/test_details.csv")[1:] == [["A", "OWL", "1.0"], ["B", "OWL", "2.0"]]
        Path("rec/A.wav").unlink()
        assert main(["rpt-ann", "-a", "rec", "-o", "out"]) == 0
        assert "1 boxes end in another recording, but the length of the first is not known" in capsys.readouterr().err
        assert rows_of("out/test_details.csv")[1:] == [["A", "OWL", "2.5"], ["B", "OWL", "1.0"]]

    def test_a_call_of_forty_milliseconds_is_not_zero(self, capsys):
        Path("a.csv").write_text("recording,class,start_time,end_time\na,BAT,1,1.04\na,OWL,1,2.04\na,OWL,3,3.6\n")
        assert main(["rpt-ann", "-a", "a.csv", "-o", "out"]) == 0
        assert rows_of("out/test_summary.csv")[1:] == [["BAT", "0.04"], ["OWL", "1.6"]]

    def test_audacity_labels(self):
        Path("notes").mkdir()
        Path("notes/a.txt").write_text("0\t10\tOWL\n4\t6\tOWL\n")
        assert main(["rpt-ann", "-a", "notes", "-o", "out"]) == 0
        assert rows_of("out/test_details.csv")[1:] == [["a", "OWL", "10.0"]]

    def test_old_codes_are_renamed(self):
        Path("a.csv").write_text(ANNOTATIONS + "a,OWL1,9,12\n")
        Path("params.yaml").write_text("misc: {map_codes: {OWL1: OWL}}\n")
        assert main(["rpt-ann", "-a", "a.csv", "-o", "out"]) == 0
        assert rows_of("out/test_summary.csv")[1:] == [["OWL", "15.0"], ["WREN", "0.5"]]

    @pytest.mark.parametrize("text", ["recording,class,start_time,end_time\n", "recording,class\na,b\n"])
    def test_nothing_to_sum(self, text, capsys):
        Path("a.csv").write_text(text)
        assert main(["rpt-ann", "-a", "a.csv", "-o", "out"]) == 1
        assert "a.csv" in last_error(capsys) and not Path("out").exists()


class TestLabels:
    def write(self):
        Path("labels").mkdir()
        Path("labels/a_scores.txt").write_text("0\t3\tOWL;0.9\n2\t5\tOWL;0.8\n6\t9\tWREN;0.85\n0\t3\tX;0.1\n")
        Path("labels/b_scores.txt").write_text("")

    def test_time_per_class_and_recording(self):
        self.write()
        assert main(["rpt-labels", "-l", "labels", "-o", "out", "--min_score", "0.8"]) == 0
        assert rows_of("out/summary.csv") == [["class", "seconds"], ["OWL", "5.0"], ["WREN", "3.0"]]
        assert rows_of("out/details.csv") == [["recording", "OWL", "WREN"], ["a", "5.0", "3.0"], ["b", "0.0", "0.0"]]
        assert rows_of("out/recordings.csv") == [["recording", "classes"], ["a", "OWL WREN"], ["b", ""]]
        assert main(["rpt-labels", "-l", "labels", "-o", "out", "-m", "0.82"]) == 0
        assert rows_of("out/classes.csv")[1:] == [["OWL", "3.0"], ["WREN", "3.0"]]

    def test_old_codes_are_renamed(self):
        self.write()
        Path("params.yaml").write_text("misc: {map_codes: {WREN: OWL}}\n")
        assert main(["rpt-labels", "-l", "labels", "-o", "out", "--min_score", "0.8"]) == 0
        assert rows_of("out/summary.csv")[1:] == [["OWL", "8.0"]]

    def test_labels_that_were_never_made_are_told(self, capsys):
        self.write()
        Path("labels/manifest.yaml").write_text("inference: {min_score: 0.8}\n")
        assert main(["rpt-labels", "-l", "labels", "-o", "out", "-m", "0.5"]) == 0
        assert "was made with a min_score of 0.8" in capsys.readouterr().err
        assert main(["rpt-labels", "-l", "labels", "-o", "out", "-m", "0.8"]) == 0
        assert "was made with" not in capsys.readouterr().err

    def test_the_settings_give_the_threshold(self):
        self.write()
        Path("params.yaml").write_text("infer:\n  min_score: 0.0\n")
        assert main(["rpt-labels", "-l", "labels", "-o", "out"]) == 0
        assert [row[0] for row in rows_of("out/summary.csv")] == ["class", "OWL", "WREN", "X"]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [(["-m", "0.95"], "the highest has 0.900"), (["-m", "2"], "min_score"), (["-l", "gone"], "gone")],
    )
    def test_bad_input(self, options, expected, capsys):
        self.write()
        assert main(["rpt-labels", "-l", "labels", "-o", "out", *options]) == 1
        assert expected in last_error(capsys) and not Path("out").exists()


class TestOverlap:
    def write(self):
        Path("a.csv").write_text(ANNOTATIONS)
        Path("labels").mkdir()
        Path("labels/a_scores.txt").write_text("1\t3\tOWL;0.9\n3\t5\tOWL;0.7\n20\t22\tOWL;0.5\n0\t9\tX;0.9\n")
        Path("labels/b_scores.txt").write_text("6\t8\tOWL;0.65\n")

    def test_figures_by_hand(self, capsys):
        self.write()
        assert main(["rpt-iou", "-a", "a.csv", "-l", "labels", "-o", "out", "--incr", "0.1"]) == 0
        # a: OWL 0-10; b: OWL 5-8; WREN is no class of the labels, X is not annotated
        by = {float(row[0]): float(row[1]) for row in rows_of("out/thresholds.csv")[1:]}
        assert len(by) == 11
        assert by[0.5] == pytest.approx((4 / 10 + 0 + 2 / 3) / 3, abs=6e-4)
        assert by[0.6] == pytest.approx((4 / 10 + 2 / 3) / 2, abs=6e-4)
        assert by[0.7] == pytest.approx((4 / 10 + 0) / 2, abs=6e-4)
        assert by[0.9] == pytest.approx((2 / 10 + 0) / 2, abs=6e-4) and by[1.0] == 0
        figures = printed(capsys.readouterr().out)
        assert float(figures["iou"]) == pytest.approx(by[0.6], abs=1e-3) and figures["threshold"] == "0.6"
        area = np.trapezoid([by[k] for k in sorted(by)], sorted(by))
        assert float(figures["area"]) == pytest.approx(area, abs=1e-3)
        assert rows_of("out/recordings.csv") == [
            ["recording", "iou_max", "iou_0.6", "iou_0.8"], ["a", "0.400", "0.400", "0.200"],
            ["b", "0.667", "0.667", "0.000"],
        ]  # fmt: skip
        assert '"WREN"' in Path("out/summary.txt").read_text()

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--incr", "0"], "--incr"), (["--incr", "nan"], "--incr"), (["--incr", "1e-9"], "--incr"),
            (["--start", "0.9", "--end", "0.1"], "--start"), (["--t1", "1.5"], "--t1"),
            (["--end", "0.7"], "--t2"), (["-l", "gone"], "gone"),
        ],
    )  # fmt: skip
    def test_bad_input(self, options, expected, capsys):
        self.write()
        assert main(["rpt-iou", "-a", "a.csv", "-l", "labels", "-o", "out", *options]) == 1
        assert expected in last_error(capsys) and not Path("out").exists()

    def test_thresholds_between_steps_are_reported_exactly(self, capsys):
        self.write()
        options = ["--incr", "0.25", "--t1", "0.7", "--t2", "0.95"]
        assert main(["rpt-iou", "-a", "a.csv", "-l", "labels", "-o", "out", *options]) == 0
        figures = printed(capsys.readouterr().out)
        # at 0.75, the nearest step, the label of score 0.7 is gone
        assert float(figures["iou at 0.7"]) == pytest.approx((4 / 10 + 0) / 2, abs=1e-3)
        assert float(figures["iou at 0.95"]) == 0
        thresholds = [float(row[0]) for row in rows_of("out/thresholds.csv")[1:]]
        assert thresholds == [0, 0.25, 0.5, 0.7, 0.75, 0.95, 1]

    @pytest.mark.parametrize("by", ["sound", "analyzed.csv"])
    def test_a_box_over_two_recordings_counts_in_both(self, by):
        two_recordings()
        Path("labels").mkdir()
        Path("labels/A_scores.txt").write_text("2.5\t4\tOWL;0.9\n")
        Path("labels/B_scores.txt").write_text("0\t2\tOWL;0.9\n")
        if by == "analyzed.csv":
            Path("labels/analyzed.csv").write_text("recording,seconds\nA,4\nB,4\n")
            for name in "AB":
                Path(f"rec/{name}.wav").unlink()
        assert main(["rpt-iou", "-a", "rec", "-l", "labels", "-o", "out"]) == 0
        assert [row[:2] for row in rows_of("out/recordings.csv")[1:]] == [["A", "0.667"], ["B", "1.000"]]

    def test_recordings_without_labels_are_told(self, capsys):
        self.write()
        Path("a.csv").write_text(ANNOTATIONS + "bb,OWL,5,8\n")
        assert main(["rpt-iou", "-a", "a.csv", "-l", "labels", "-o", "out"]) == 0
        assert "no labels for bb: counted as 0" in capsys.readouterr().err
        assert "no labels for bb: counted as 0" in Path("out/summary.txt").read_text()

    def test_labels_cut_at_a_score_are_told(self, capsys):
        self.write()
        Path("labels/manifest.yaml").write_text("classes: [{name: OWL}, {name: X}]\ninference: {min_score: 0.5}\n")
        typed = ["rpt-iou", "-a", "a.csv", "-l", "labels", "-o", "out"]
        assert main(typed) == 0
        assert "no labels have scores below 0.5" in capsys.readouterr().err
        assert "no labels have scores below 0.5" in Path("out/summary.txt").read_text()
        assert main([*typed, "--start", "0.5"]) == 0
        assert "no labels have scores below" not in capsys.readouterr().err

    def test_a_name_goes_before_an_alternate_of_another_class(self):
        self.write()
        listed = "Name,Code,AltName,AltCode\nOWL,,,\nX,,,OWL\n"
        Path("classes.csv").write_text(listed)
        Path("c.yaml").write_text("misc: {classes_file: classes.csv}\n")
        assert main(["rpt-iou", "-c", "c.yaml", "-a", "a.csv", "-l", "labels", "-o", "out"]) == 0
        assert rows_of("out/recordings.csv")[2] == ["b", "0.667", "0.667", "0.000"]

    def test_other_classes(self, capsys):
        self.write()
        Path("a.csv").write_text("recording,class,start_time,end_time\na,OWLS,0,10\n")
        assert main(["rpt-iou", "-a", "a.csv", "-l", "labels", "-o", "out"]) == 1
        assert 'did you mean "OWL"' in last_error(capsys)


class TestEpochs:
    def write(self):
        folder = Path("run")
        for epoch in (0, 3, 12):
            make_fake_member(folder, CLASSES, name=f"v1-e{epoch}", seed=epoch)
        rng = np.random.default_rng(0)
        lines = ["recording,class,start_time,end_time"]
        for k, seconds in enumerate([30.0, 12.0, 21.0]):
            write_recording(Path(f"test/r{k}.wav"), seconds, k)
            lines += [
                f"r{k},{info.code},{a:.2f},{a + 2:.2f}" for info in CLASSES[:2] for a in rng.uniform(0, seconds - 2, 3)
            ]
        Path("test/annotations.csv").write_text("\n".join(lines) + "\n")
        return folder

    def test_each_checkpoint_is_scored_by_itself(self, capsys):
        self.write()
        assert main(["rpt-epochs", "-i", "run", "-a", "test/annotations.csv", "-o", "out"]) == 0
        figures = printed(capsys.readouterr().out)
        table = rows_of("out/training_scores.csv")
        assert table[0] == ["epoch", "PR-AUC", "ROC-AUC"] and [row[0] for row in table[1:]] == ["0", "3", "12"]
        assert Image.open("out/training_scores.jpeg").size[0] > 400
        best = max(table[1:], key=lambda row: float(row[2]))
        assert figures["best epoch by ROC-AUC"] == best[0] and figures["best ROC-AUC"] == best[2]
        # the same by analyze and scikit-learn
        assert main(
            ["analyze", "-i", "test", "-o", "scores", "--min-score", "0", "--ckpt", "run/v1-e3.ckpt"]
        ) == 0  # fmt: skip
        scores = ScoreTable.load("scores/scores.npz")
        truth = np.zeros(scores.scores.shape, dtype=bool)
        codes = [info.code for info in scores.classes]
        for row in rows_of("test/annotations.csv")[1:]:
            where = scores.row_recording == scores.recordings.index(row[0])
            starts = scores.starts
            heard = (starts + scores.duration >= float(row[2]) + 0.3) & (float(row[3]) - starts >= 0.3)
            truth[where & heard, codes.index(row[1])] = True
        assert float(table[2][2]) == pytest.approx(
            reference.roc_auc_score(truth.ravel(), scores.scores.ravel()), abs=1e-4
        )
        assert float(table[2][1]) == pytest.approx(
            reference.average_precision_score(truth.ravel(), scores.scores.ravel()), abs=1e-4
        )

    def test_bad_input(self, capsys):
        folder = self.write()
        command = ["rpt-epochs", "-a", "test/annotations.csv", "-o", "out", "-i"]
        assert main([*command, "nowhere"]) == 1 and "nowhere" in last_error(capsys)
        (folder / "x-e03.ckpt").write_bytes((folder / "v1-e3.ckpt").read_bytes())
        assert main([*command, "run"]) == 1 and "both have epoch 3" in last_error(capsys)
        Path("none").mkdir()
        (folder / "v1-e0.ckpt").rename("none/last.ckpt")
        assert main([*command, "none"]) == 1 and "no checkpoint with an epoch" in last_error(capsys)
        assert not Path("out").exists()


class TestPictures:
    def write(self):
        write_recording(Path("test/a.wav"), 20.0)
        Path("test/notes.csv").write_text(
            f"recording,class,start_time,end_time\na,OWL,{2 * LENGTH},{2 * LENGTH + 0.5}\n"
            f"a,OWL,{LENGTH - 0.1},{LENGTH + 1}\na,A/B,0,1\ngone,OWL,0,1\n"
        )
        Path("params.yaml").write_text("audio:\n" + "".join(f"  {key}: {value}\n" for key, value in AUDIO.items()))

    def test_a_folder_per_class(self, capsys):
        self.write()
        assert main(["plot-test", "-a", "test/notes.csv", "-o", "plots"]) == 0
        found = sorted(path.relative_to("plots").as_posix() for path in Path("plots").rglob("*.jpeg"))
        assert found == ["A_B/a-0.00.jpeg", f"OWL/a-{LENGTH:.2f}.jpeg", f"OWL/a-{2 * LENGTH:.2f}.jpeg"]
        out, err = capsys.readouterr()
        assert "Plotted 3 spectrograms" in out and '"gone"' in err
        assert main(["plot-test", "-a", "test/notes.csv", "-o", "plots"]) == 0
        assert "Plotted 0 spectrograms" in capsys.readouterr().out

    def test_old_codes_are_renamed(self):
        self.write()
        with open("params.yaml", "a") as file:
            file.write("misc: {map_codes: {A/B: OWL}}\n")
        assert main(["plot-test", "-a", "test/notes.csv", "-o", "plots"]) == 0
        assert len(list(Path("plots/OWL").iterdir())) == 3 and len(list(Path("plots").iterdir())) == 1
        assert main(["plot-test", "-a", "test/notes.csv", "-o", "plots", "--name", "A/B"]) == 0
        assert len(list(Path("plots").glob("*.jpeg"))) == 3

    def test_one_class(self):
        self.write()
        assert main(["plot-test", "-a", "test/notes.csv", "-o", "plots", "--name", "OWL", "--ndims"]) == 0
        assert len(list(Path("plots").glob("*.jpeg"))) == 2

    @pytest.mark.parametrize(
        ("options", "expected"),
        [(["--name", "OWLS"], 'did you mean "OWL"'), (["-a", "gone.csv"], "gone.csv"), (["--power", "0"], "power")],
    )
    def test_bad_input(self, options, expected, capsys):
        self.write()
        assert main(["plot-test", "-a", "test/notes.csv", "-o", "plots", *options]) == 1
        assert expected in last_error(capsys) and not Path("plots").exists()


LENGTH = SMALL_AUDIO.spec_duration
AUDIO = {
    key: getattr(SMALL_AUDIO, key)
    for key in ("spec_duration", "spec_height", "spec_width", "sampling_rate", "min_freq", "max_freq")
}
