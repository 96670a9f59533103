"""What people see of results: their repr, data frames and pictures."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn import metrics as reference

import britekit as bk
from britekit.config import BaseConfig
from britekit.training.results import FoldResult, TrainResult
from tests.evaluation.made_sets import simulate


def size_of(picture) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture._repr_png_())).size


def test_audio_of_a_file_and_of_an_array_are_the_same(tmp_path):
    samples = 0.1 * np.random.default_rng(1).standard_normal((2, 3 * 22050)).astype(np.float32)
    soundfile.write(tmp_path / "two.wav", samples.T, 22050, subtype="FLOAT")
    cfg = BaseConfig()
    cfg.audio.sampling_rate = 16000
    read, made = bk.Audio.from_file(tmp_path / "two.wav", cfg), bk.Audio.from_array(samples, 22050, cfg.audio)
    np.testing.assert_array_equal(read.signal, made.signal)
    assert len(read.signal) == 48000
    assert repr(read) == "<Audio two.wav: 3.0 s, 2 channels at 22050 Hz>"
    assert repr(made) == "<Audio array of 66150 samples: 3.0 s, 2 channels at 22050 Hz>"
    assert repr(bk.Audio(cfg=cfg)) == "<Audio: nothing loaded>"
    (whole,), _ = read.get_spectrograms([1.0], spec_duration=2.0)
    picture = read.plot(1.0, path=tmp_path / "plot.jpeg")
    assert size_of(picture) == Image.open(tmp_path / "plot.jpeg").size == (960, 480)
    picture.save(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes() == picture.png and whole is not None
    with pytest.raises(bk.InputError, match="no audio at 9 s; the recording has 3.00 s"):
        read.plot(9.0)


@pytest.mark.parametrize(("samples", "rate"), [(np.zeros((2, 2, 2)), 8000), ([0.0, np.nan], 8000), ([0.0, 0.1], 0)])
def test_samples_that_are_no_sound(samples, rate):
    with pytest.raises(bk.InputError, match="expected finite numbers"):
        bk.Audio.from_array(samples, rate)


def test_a_test_and_a_calibration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, scores = simulate(tmp_path, recordings=10)
    paths = (tmp_path / "annotations.csv", None, "labels", tmp_path / "out")
    tester = bk.PerSegmentTester(*paths, 0.5, cfg=BaseConfig())
    table = tester.report.to_dataframe().set_index("class")
    assert table.pr_auc.mean() == pytest.approx(reference.average_precision_score(truth, scores))
    assert table.positives.to_dict() == dict(zip(table.index, truth.sum(axis=0), strict=True))
    for column, name in enumerate(table.index):
        found = scores[:, column] >= 0.5
        assert table.precision[name] == pytest.approx(truth[found, column].mean())
        assert table.recall[name] == pytest.approx(found[truth[:, column] == 1].mean())
    micro = reference.roc_auc_score(truth.ravel(), scores.ravel())
    assert repr(tester.report).startswith("<UnitReport: 200 segments of 10 recordings, ")
    assert f"micro_roc {micro:.3f}" in repr(tester.report)
    assert size_of(tester.report.plot(tmp_path / "pr.pdf")) == (600, 600)
    assert (tmp_path / "pr.pdf").read_bytes().startswith(b"%PDF")
    result = tester.do_calibration()
    bins = result.to_dataframe()
    assert bins[bins.calibration == "before"]["count"].sum() == (scores >= 0.4).sum()
    assert repr(result).startswith("<CalibrationResult: σ(") and size_of(result.plot())


def test_training(tmp_path):
    epochs = [{"epoch": k, "loss": 1 / (k + 1), "lr": 0.1, "val_loss": None, "val_roc": 0.5} for k in range(3)]
    result = TrainResult([FoldResult(None, epochs)], 1 / 3, 12.0, 5.0, "cpu", 7, 1)
    assert repr(result) == "<TrainResult: 3 epochs of 1 spectrogram in 12.0 s on cpu; loss 0.3333>"
    assert result.to_dataframe().loss.tolist() == [1, 1 / 2, 1 / 3]
    assert size_of(result.plot())


def test_database(tmp_path):
    with bk.TrainingDatabase(str(tmp_path / "t.db")) as db:
        db.insert_class(1, "Robin")
        assert repr(db).endswith("t.db: 1 class, 0 recordings, 0 segments, 0 spectrograms>")
