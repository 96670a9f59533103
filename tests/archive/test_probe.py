"""Probes against scikit-learn, and as members of `analyze`, tests, ensembles and packages."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.annotations.verdicts import Verdict, new_id, write_verdicts
from britekit.archive.classifiers import fit_logistic, fit_prototypes
from britekit.archive.labeled import Labeled, read_labeled
from britekit.archive.opening import open_model
from britekit.archive.probe import deal_folds, fit_probe
from britekit.archive.store import Archive
from britekit.audio.windows import Windows
from britekit.commands.analyze import analyze
from britekit.commands.embed import embed
from britekit.commands.probe import probe
from britekit.config import BaseConfig
from britekit.errors import InputError, ModelError
from tests.inference.conftest import place, write_recording  # noqa: F401

CLASSES = [ClassInfo("Owl", "Owl"), ClassInfo("Wren", "Wren")]


def synthetic(groups: int = 12, width: int = 20, seed: int = 0) -> Labeled:
    """Draw windows of groups; two classes lie in two directions, and every group has a shift of its own."""
    rng = np.random.default_rng(seed)
    group_N = np.repeat(np.arange(groups), 15)
    truth = rng.random((len(group_N), 2)) < 0.3
    means = rng.normal(0, 1, (2, width))
    vectors = rng.normal(3, 1, (len(group_N), width)) + rng.normal(0, 1, (groups, width))[group_N] + truth @ means
    return Labeled(vectors.astype(np.float32), truth, group_N, CLASSES, [])


@pytest.mark.parametrize("strength", [0.003, 0.3])
def test_logistic_regression_is_scikit_learns(strength):
    data = synthetic()
    found = fit_logistic(data.vectors_NF, data.truth_NC, strength)
    warm = fit_logistic(data.vectors_NF, data.truth_NC, strength, fit_logistic(data.vectors_NF, data.truth_NC, 0.01))
    for c in range(2):
        theirs = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8, max_iter=1000))
        theirs.fit(data.vectors_NF.astype(float), data.truth_NC[:, c])
        expected = theirs.decision_function(data.vectors_NF.astype(float))
        np.testing.assert_allclose(found.logits(data.vectors_NF)[:, c], expected, atol=2e-3)
        np.testing.assert_allclose(warm.logits(data.vectors_NF)[:, c], expected, atol=2e-3)


def test_prototypes_by_hand():
    data = synthetic()
    found = fit_prototypes(data.vectors_NF, data.truth_NC)
    x = data.vectors_NF.astype(float)
    seen = x - x.mean(axis=0)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    for c in range(2):
        prototype = seen[data.truth_NC[:, c]].mean(axis=0)
        cosine = seen @ prototype / np.linalg.norm(prototype)
        theirs = LogisticRegression(C=100.0, tol=1e-10).fit(cosine[:, None], data.truth_NC[:, c])
        expected = theirs.decision_function(cosine[:, None])
        np.testing.assert_allclose(found.logits(data.vectors_NF)[:, c], expected, atol=1e-3)


def test_folds_keep_groups_whole_and_spread_classes():
    data = synthetic(groups=23)
    fold_N = deal_folds(data.truth_NC, data.groups_N)
    assert all(len(set(fold_N[data.groups_N == group])) == 1 for group in range(23))
    per_fold = np.array([data.truth_NC[fold_N == fold].sum(axis=0) for fold in range(5)])
    assert len(per_fold) == 5 and per_fold.min() > 0.5 * per_fold.mean()


def test_cross_validation_is_scikit_learns():
    data = synthetic()
    fold_N = deal_folds(data.truth_NC, data.groups_N)
    found = fit_probe(data)
    expected = np.zeros(data.truth_NC.shape)
    for fold in range(5):
        out = fold_N == fold
        for c in range(2):
            theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, tol=1e-8, max_iter=1000))
            theirs.fit(data.vectors_NF[~out].astype(float), data.truth_NC[~out, c])
            expected[out, c] = theirs.decision_function(data.vectors_NF[out].astype(float))
    area = np.mean([average_precision_score(data.truth_NC[:, c], expected[:, c]) for c in range(2)])
    assert found.tried["logistic C=0.003"] == pytest.approx(area, abs=2e-3)
    assert found.tried[found.method] == max(found.tried.values()) > 0.6
    assert found.error_after < found.error_before + 0.02


def test_calibration_is_platts_scaling_of_the_scores():
    data = synthetic(groups=40)
    found = fit_probe(data)
    strength = float(found.method.partition("=")[2])
    plain = fit_logistic(data.vectors_NF, data.truth_NC, strength).logits(data.vectors_NF)
    calibrated = found.classifier.logits(data.vectors_NF)
    for c in range(2):
        a, b = np.polyfit(plain[:, c], calibrated[:, c], 1)
        np.testing.assert_allclose(calibrated[:, c], a * plain[:, c] + b, atol=2e-2)
    # Probabilities are right on average, as a calibrated score's must be.
    assert expit(calibrated).mean() == pytest.approx(data.truth_NC.mean(), abs=0.03)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: (d.truth_NC.fill(True), d)[1], 'class "Owl" is in every window'),
        (lambda d: (d.truth_NC.fill(False), d)[1], "no window of the archive holds enough"),
        (lambda d: (d.groups_N.fill(0), d)[1], "about one recording, or one group"),
        (lambda d: (d.truth_NC.__imul__((d.groups_N == 0)[:, None]), d)[1], "every class is heard in one recording"),
    ],
)
def test_what_does_not_suffice(change, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_probe(change(synthetic()))


def test_one_class_only_and_one_in_a_single_group(caplog):
    data = synthetic()
    one = Labeled(data.vectors_NF, data.truth_NC[:, :1], data.groups_N, CLASSES[:1], [])
    assert fit_probe(one).classifier.weights_CF.shape == (1, 20)
    data.truth_NC[:, 1] &= data.groups_N == 3
    with caplog.at_level(logging.WARNING):
        found = fit_probe(data)
    assert np.isnan(found.pr_auc_C).tolist() == [False, True]
    assert "fewer than two recordings" in caplog.text and "Wren" in caplog.text


# --- from recordings to members ---


def tone(path: Path, calls: dict[float, float], seconds: float, seed: int, rate: int = 8000) -> None:
    """Write noise with half-second tones: start to frequency."""
    import soundfile

    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    signal = 0.02 * rng.normal(size=len(time))
    for start, frequency in calls.items():
        inside = (time >= start) & (time < start + 0.5)
        signal += 0.3 * inside * np.sin(2 * np.pi * frequency * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, rate)


@pytest.fixture
def annotated(place: Path) -> Path:  # noqa: F811
    """Eight recordings of 30 s with tones of two frequencies, annotated."""
    rng = np.random.default_rng(5)
    rows = [("recording", "class", "start_time", "end_time")]
    for number in range(8):
        calls = {float(s): float(rng.choice([960.0, 2500.0])) for s in rng.choice(np.arange(0.5, 29, 1.5), 6, False)}
        tone(Path(f"recordings/{number % 2}/r{number}.wav"), calls, 30.0, number)
        rows += [(f"r{number}", "Owl" if f < 1000 else "Wren", f"{s}", f"{s + 0.5}") for s, f in calls.items()]
    with open("annotations.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return Path("annotations.csv")


def test_windows_hold_what_is_annotated(annotated):
    from tests.inference.fakes import make_fake_member

    make_fake_member(Path("models"), CLASSES)
    embed(input_path="recordings", archive="archive", model="models/seed-1.onnx")
    data = read_labeled(Archive("archive"), annotated, 3.0, BaseConfig())
    assert [info.name for info in data.classes] == ["Owl", "Wren"] and len(data.recordings) == 8
    with open("annotations.csv") as file:
        rows = list(csv.DictReader(file))
    expected = np.zeros(data.truth_NC.shape, bool)
    for place_, name in enumerate(data.recordings):
        for row in (row for row in rows if name.endswith(row["recording"])):
            start, end = float(row["start_time"]), float(row["end_time"])
            for window in range(10):  # half of the call, a quarter of a second, must lie in the window
                held = min(end, 3.0 * window + 3.0) - max(start, 3.0 * window) >= 0.25 - 1e-9
                expected[place_ * 10 + window, ["Owl", "Wren"].index(row["class"])] |= held
    np.testing.assert_array_equal(data.truth_NC, expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["logistic", "prototypes"])
def test_a_probe_on_a_checkpoint_is_a_member(annotated, monkeypatch, method):
    torch = pytest.importorskip("torch")
    from britekit.archive import probe as probing
    from tests.inference.test_export import make_checkpoint

    torch.set_num_threads(1)
    make_checkpoint(Path("models/ckpt/seed-1.ckpt"))
    embed(input_path="recordings", archive="archive", model="models/ckpt/seed-1.ckpt")
    methods = probing._methods()
    monkeypatch.setattr(probing, "_methods", lambda: {k: v for k, v in methods.items() if k.startswith(method)})
    found = probe(archive="archive", annotations_path=str(annotated), output_path="models/probe/p.ckpt")
    assert found.method.startswith(method) and found.classifier.head == {"logistic": "basic"}.get(method, method)
    stored = Archive("archive")
    for backend in ("torch", "openvino"):
        Path("c.yaml").write_text(f"infer:\n  backend: {backend}\n  min_score: 0.0\nmisc:\n  force_cpu: true\n")
        analyze(cfg_path="c.yaml", input_path="recordings", output_path=f"out-{backend}", ckpt_path="models/probe",
                recursive=True)  # fmt: skip
        table = ScoreTable.load(Path(f"out-{backend}/scores.npz"))
        assert [info.name for info in table.classes] == ["Owl", "Wren"]
        # Not the vectors of the archive: this network has random weights, so that its vectors hardly differ, and
        # 16 bits show in scores.
        embedder = open_model("archive")
        vectors = [
            embedder.score(batch.spectrograms)[0]
            for _, entry in sorted(stored.entries.items())
            for batch in Windows(f"recordings/{entry.file}", embedder.audio, embedder.grid()).batches()
        ]
        expected = expit(found.classifier.logits(np.concatenate(vectors)))
        np.testing.assert_allclose(table.scores, expected, atol=1e-3)
    again = probe(archive="archive", annotations_path=str(annotated), output_path="models/again/p.ckpt")
    assert again.method == found.method
    assert Path("models/again/p.ckpt").read_bytes() == Path("models/probe/p.ckpt").read_bytes()
    # The same sounds as verdicts about windows: "no" for the class that an annotated window does not hold.
    data = read_labeled(stored, annotated, 3.0, BaseConfig())
    rows = [row for name in data.recordings for row in range(stored.entries[name].windows)]
    names = [name for name in data.recordings for _ in range(stored.entries[name].windows)]
    write_verdicts("v.csv", [
        Verdict(id=new_id(), recording=name, name=info.name, verdict="yes" if heard else "no",
                start=3.0 * row, end=3.0 * row + 3, detection_start=3.0 * row, detection_end=3.0 * row + 3)
        for name, row, truth in zip(names, rows, data.truth_NC, strict=True)
        for info, heard in zip(CLASSES, truth, strict=True)
    ])  # fmt: skip
    judged = probe(archive="archive", verdicts="v.csv", output_path="models/judged/p.ckpt")
    assert judged.tried == pytest.approx(again.tried)
    np.testing.assert_allclose(judged.classifier.weights_CF, again.classifier.weights_CF, atol=1e-6)
    assert Path("models/judged/p.onnx").is_file()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"output_path": "p.onnx"}, "its probe needs a name that ends in .ckpt"),
        ({"output_path": "p.probe"}, "was made with a checkpoint"),
        ({"annotations_path": "none.csv"}, "none.csv does not exist"),
        ({"annotations_path": "other.csv"}, r"no annotation of other.csv is of a recording in archive .*elsewhere"),
        ({"annotations_path": "silent.csv"}, "contains no annotation of a sound"),
        ({"archive": "recordings"}, "recordings is not an archive"),
    ],
)
def test_refusals(annotated, given, sentence):
    from tests.inference.fakes import make_fake_member

    make_fake_member(Path("models"), CLASSES)
    embed(input_path="recordings", archive="archive", model="models/seed-1.onnx")
    Path("other.csv").write_text("recording,class,start_time,end_time\nelsewhere,Owl,0,1\n")
    Path("silent.csv").write_text("recording,class,start_time,end_time\nr1,,,\n")
    with pytest.raises(InputError, match=sentence):
        probe(**{"archive": "archive", "annotations_path": "annotations.csv", "output_path": "p.ckpt", **given})


def test_a_probe_needs_the_checkpoint(annotated):
    from tests.inference.fakes import make_fake_member

    make_fake_member(Path("models"), CLASSES)
    embed(input_path="recordings", archive="archive", model="models/seed-1.onnx")
    Path("models/seed-1.ckpt").unlink()
    with pytest.raises(ModelError, match=r"models/seed-1.ckpt, the checkpoint .* is not there.*--model"):
        probe(archive="archive", annotations_path="annotations.csv", output_path="p.ckpt")


def test_annotations_left_out_are_named(annotated, caplog):
    from tests.inference.fakes import make_fake_member

    make_fake_member(Path("models"), CLASSES)
    write_recording(Path("recordings/short.wav"), 0.4)
    embed(input_path="recordings", archive="archive", model="models/seed-1.onnx")
    with open("annotations.csv", "a") as file:
        file.write("gone,Owl,1,2\nshort,Owl,0,0.3\nr1,Owl,31,32\n")
    with caplog.at_level(logging.WARNING):
        data = read_labeled(Archive("archive"), "annotations.csv", 3.0, BaseConfig())
    assert "1 annotation of 1 recording not in archive and left out: gone" in caplog.text
    assert "1 recording too short for a window and left out: short" in caplog.text
    assert "begins after the end of the recording" in caplog.text
    assert len(data.recordings) == 8


def test_logit_of_a_calibrated_score():
    """Platt scaling of sigma(x) is a x + b before the sigmoid, which is why it can go into the weights."""
    x = np.linspace(-5, 5, 11)
    np.testing.assert_allclose(0.7 * logit(expit(x)) + 0.2, 0.7 * x + 0.2, atol=1e-9)
