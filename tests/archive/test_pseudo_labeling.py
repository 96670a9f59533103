"""Windows of unlabeled recordings with the scores of a teacher, against scores computed by hand."""

import dataclasses
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.special import expit

from britekit.archive import pseudo_labeling, teacher_scores
from britekit.audio.decoding import read_audio
from britekit.audio.spectrogram import compute_spectrograms
from britekit.commands.pseudo_label import pseudo_label
from britekit.config import BaseConfig, to_dict
from britekit.datasets.pseudo_labels import read_pseudo_labels
from britekit.errors import InferenceError, InputError, ModelError
from tests.inference.conftest import write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

from .conftest import CLASSES, make_recordings
from .conftest import place as place  # noqa: PLC0414

SIZE = SMALL_AUDIO.spec_height, SMALL_AUDIO.spec_width
WEIGHTS = np.random.default_rng(8).normal(0, 0.6, (2, SMALL_AUDIO.spec_height))
BIAS = np.array([0.3, -0.4])
# Windows of 3 s without overlap, as long as a second remains; six is shorter than that.
STARTS = {"a/one": [0, 3, 6, 9], "a/two": [0], "b/three": [0, 3, 6], "b/four": [*range(0, 61, 3)], "five": [0]}
FILE = Path("data/pseudo.npz")


@pytest.fixture
def project(place):
    """A teacher whose scores are known, and its project; returns the folder of recordings."""
    cfg = BaseConfig(audio=SMALL_AUDIO)
    cfg.misc.classes_file, cfg.misc.ckpt_folder = "data/classes.csv", "models"
    plain = to_dict(cfg)
    settings = {"audio": plain["audio"], "misc": {"classes_file": "data/classes.csv", "ckpt_folder": "models"}}
    Path("data/test").mkdir(parents=True)
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    Path("data/classes.csv").write_text("Name,Code\nOwl,OWL\nWren,WREN\n")
    make_fake_member(Path("models"), CLASSES, weights_CH=WEIGHTS, bias_C=BIAS)
    return make_recordings(Path("data/unlabelled"))


def expected(path, start):
    """Return the teacher's scores of Owl and Wren, and the stored spectrogram, from the samples."""
    image = compute_spectrograms(read_audio(path).samples[0], [start], SMALL_AUDIO)[0][0].astype(np.float64)
    powered = image ** BaseConfig().infer.audio_power
    scores = expit(WEIGHTS @ powered.mean(axis=1) + BIAS)
    return scores[::-1], np.rint(image * 255)


def rows_of(labels):
    return {
        (labels.recordings[number], round(float(start), 6)): row
        for row, (number, start) in enumerate(zip(labels.row_recording, labels.starts, strict=True))
    }


def test_scores_are_those_of_the_teacher_to_a_power_in_the_order_of_the_classes(project, capsys):
    outcome = pseudo_label(output_path=str(FILE), power=1.5)
    labels = read_pseudo_labels(FILE, SIZE)
    assert [info.name for info in labels.classes] == ["Owl", "Wren"]
    rows = rows_of(labels)
    for name in STARTS:
        assert [start for recording, start in rows if recording == name] == pytest.approx(STARTS[name], abs=0.02)
    for (recording, start), row in rows.items():
        scores, image = expected(project / f"{recording}.wav", start)
        assert labels.probabilities[row] == pytest.approx(scores**1.5, abs=2e-4)
        assert np.abs(labels.images[row].astype(int) - image).max() <= 1
        assert labels.confidence[row] == pytest.approx(0.1 + 0.9 * max(scores**1.5), abs=2e-4)
    teacher = {item["name"]: item["sha256"] for item in labels.meta["teachers"]}
    import hashlib

    assert teacher == {"seed-1.onnx": hashlib.sha256(Path("models/seed-1.ckpt").read_bytes()).hexdigest()}
    assert outcome.kept == len(rows) == outcome.windows and outcome.recordings == 6
    assert f"kept = {len(rows)}" in capsys.readouterr().out
    assert not list(Path("data").glob(".*partial*"))


def test_a_student_may_look_at_smaller_spectrograms_than_its_teacher(project):
    small = dataclasses.replace(SMALL_AUDIO, spec_height=16, spec_width=32)
    Path("small.yaml").write_text(yaml.safe_dump({"audio": {"spec_height": 16, "spec_width": 32}}))
    pseudo_label(cfg_path="small.yaml", output_path=str(FILE), power=1.0)
    labels = read_pseudo_labels(FILE, (16, 32))
    assert len(labels.starts) == sum(map(len, STARTS.values()))
    for (recording, start), row in rows_of(labels).items():
        path = project / f"{recording}.wav"
        assert labels.probabilities[row] == pytest.approx(expected(path, start)[0], abs=2e-4)
        image = compute_spectrograms(read_audio(path).samples[0], [start], small)[0][0].astype(np.float64)
        assert np.abs(labels.images[row].astype(int) - np.rint(image * 255)).max() <= 1


def test_frames_of_a_window_are_those_of_the_teacher(project):
    make_fake_member(Path("models"), CLASSES, weights_CH=WEIGHTS, bias_C=BIAS, frames=12, name="seed-1")
    pseudo_label(output_path=str(FILE), power=2.0)
    labels = read_pseudo_labels(FILE, SIZE)
    assert labels.frames.shape == (len(labels.starts), 2, 12)
    row = rows_of(labels)["a/one", 3.0]
    image = compute_spectrograms(read_audio(project / "a/one.wav").samples[0], [3.0], SMALL_AUDIO)[0][0]
    powered = image.astype(np.float64) ** BaseConfig().infer.audio_power
    columns = np.arange(64) * 12 // 64
    pooled = np.stack([powered[:, columns == place].mean(axis=1) for place in range(12)], axis=1)
    scores = expit(WEIGHTS @ pooled + BIAS[:, None])[::-1]
    assert labels.frames[row].astype(float) == pytest.approx(scores**2, abs=2e-3)


def test_too_many_windows_are_drawn_by_confidence_and_some_without_a_call_stay(project):
    pseudo_label(output_path=str(FILE), num=10)
    few = read_pseudo_labels(FILE)
    assert len(few.starts) == 10
    pseudo_label(output_path="all.npz")
    everything = read_pseudo_labels("all.npz")
    assert set(rows_of(few)) <= set(rows_of(everything))
    # Over many draws a window is taken first as often as its confidence is of the sum of all.
    first = np.zeros(3)
    weights = np.array([[0.9, 0.0], [0.0, 0.3], [0.0, 0.0]])
    confident = 0.1 + 0.9 * weights.max(axis=1)
    for seed in range(3000):
        recipe = pseudo_labeling.Recipe(1.0, 1, seed)
        chosen = pseudo_labeling._choose(_Fixed(weights), ["x"], recipe, True, pseudo_labeling.Outcome())
        first[chosen["x"][0]] += 1
    assert first / 3000 == pytest.approx(confident / confident.sum(), abs=0.03)


class _Fixed:
    def __init__(self, scores):
        self._scores = scores

    def scores(self, name):
        return self._scores


def test_a_killed_run_continues_to_the_same_bytes(project, monkeypatch):
    pseudo_label(output_path="whole.npz", num=12)
    score = teacher_scores.run_metered

    for stop_after in (1, 3):

        def killed(*arguments, stop_after=stop_after):
            for number, item in enumerate(score(*arguments)):
                if number == stop_after:
                    raise KeyboardInterrupt
                yield item

        monkeypatch.setattr(teacher_scores, "run_metered", killed)
        with pytest.raises(KeyboardInterrupt):
            pseudo_label(output_path=str(FILE), num=12)
        assert not FILE.exists() and Path("data/.pseudo.npz.partial").is_dir()
    monkeypatch.setattr(teacher_scores, "run_metered", score)
    outcome = pseudo_label(output_path=str(FILE), num=12)
    assert outcome.continued == 4
    assert FILE.read_bytes() == Path("whole.npz").read_bytes()
    assert not Path("data/.pseudo.npz.partial").exists()


def test_another_teacher_or_a_changed_recording_is_scored_again(project, monkeypatch, caplog):
    write = pseudo_labeling._write
    monkeypatch.setattr(pseudo_labeling, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        pseudo_label(output_path=str(FILE))
    monkeypatch.setattr(pseudo_labeling, "_write", write)
    write_recording(project / "five.wav", 4.0, seed=99)
    assert pseudo_label(output_path=str(FILE)).continued == 5
    pseudo_label(output_path="fresh.npz")
    assert FILE.read_bytes() == Path("fresh.npz").read_bytes()
    monkeypatch.setattr(pseudo_labeling, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        pseudo_label(output_path=str(FILE))
    monkeypatch.setattr(pseudo_labeling, "_write", write)
    make_fake_member(Path("models"), CLASSES, seed=3)
    assert pseudo_label(output_path=str(FILE)).continued == 0
    assert "the interrupted run is not continued, since members differs" in caplog.text


def test_tested_recordings_and_their_groups_are_refused(project, caplog):
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "\n")
    shutil.copyfile(project / "a/one.wav", "data/test/renamed.wav")
    write_recording(Path("data/test/five.wav"), 3.0, seed=50)
    write_recording(Path("data/test/other.wav"), 3.0, seed=51)
    Path("data/test/recordings.csv").write_text("recording,group\nother,hill\n")
    (project / "b/recordings.csv").write_text("recording,group\nthree,hill\n")
    outcome = pseudo_label(output_path=str(FILE))
    assert set(read_pseudo_labels(FILE).recordings) == {"a/two", "b/four"}
    refused = {Path(name).name: why for why, names in outcome.refused.items() for name in names}
    assert refused == {
        "one.wav": "is the test recording renamed.wav",
        "five.wav": "is a test recording",
        "three.wav": "is of the group hill of a test recording",
    }
    for name in refused:
        assert name in caplog.text


def test_nothing_left_is_an_error_that_says_why(project):
    for path in project.rglob("*.wav"):
        shutil.copyfile(path, Path("data/test", f"t-{path.name}"))
    with pytest.raises(InputError, match="no unlabeled recording that may be used: of 6, 1 is refused"):
        pseudo_label(output_path=str(FILE))
    assert not FILE.exists() and not list(Path("data").glob(".*partial*"))
    shutil.rmtree(project)
    with pytest.raises(InputError, match="is not a folder of unlabeled recordings; list unlabeled recordings"):
        pseudo_label(output_path=str(FILE))
    project.mkdir()
    (project / "recordings.csv").write_text("recording\n")
    with pytest.raises(InputError, match="holds no recording; list unlabeled"):
        pseudo_label(output_path=str(FILE))
    write_recording(project / "short.wav", 0.4)
    with pytest.raises(InputError, match="gives no window: all are too short"):
        pseudo_label(output_path=str(FILE))


def test_a_teacher_with_other_classes_or_windows_is_refused(project):
    Path("data/classes.csv").write_text("Name,Code\nOwl,OWL\nGull,GULL\n")
    with pytest.raises(ModelError, match='it lacks "Gull" and adds "Wren"; a teacher must know'):
        pseudo_label(output_path=str(FILE))
    Path("data/classes.csv").write_text("Name,Code\nOwl,OWL\nWren,WREN\n")
    settings = yaml.safe_load(Path("params.yaml").read_text())
    settings["audio"]["spec_duration"] = 4.0
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ModelError, match="scores windows of 3 s, but audio.spec_duration is 4 s"):
        pseudo_label(output_path=str(FILE))


def test_recordings_that_vanish_or_score_nan_are_named_and_the_others_kept(project, monkeypatch):
    (project / "broken.wav").write_bytes(b"no sound")
    write = pseudo_labeling._write

    def vanish(*arguments):
        (project / "a/one.wav").unlink()
        write_recording(project / "b/four.wav", 5.0)  # shorter than when it was scored
        return write(*arguments)

    monkeypatch.setattr(pseudo_labeling, "_write", vanish)
    with pytest.raises(InferenceError, match="3 of 7 recordings could not be scored") as found:
        pseudo_label(output_path=str(FILE))
    assert "broken.wav" in str(found.value) and "cannot be read any more" in str(found.value)
    assert set(read_pseudo_labels(FILE).recordings) == {"a/two", "b/three", "five"}
    make_fake_member(Path("models"), CLASSES, weights_CH=np.full_like(WEIGHTS, np.nan), bias_C=BIAS)
    monkeypatch.setattr(pseudo_labeling, "_write", write)
    FILE.unlink()
    with pytest.raises(InputError, match=r"gives no window: of 6, 5 cannot be used .*NaN"):
        pseudo_label(output_path=str(FILE))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"output_path": "x.pkl"}, "ends in .npz"),
        ({}, "no output"),
        ({"number": 0}, "numbered from 1"),
        ({"number": 1, "ckpt_path": "models"}, "leave out --ckpt"),
        ({"output_path": "x.npz", "test_path": "absent"}, "not a folder"),
    ],
)
def test_wrong_use(project, options, reason):
    with pytest.raises(InputError, match=reason):
        pseudo_label(**options)


def spoil(change):
    """Write the file again with one array changed."""
    with zipfile.ZipFile(FILE) as archive:
        arrays = {name[:-4]: np.load(archive.open(name)) for name in archive.namelist()}
    change(arrays)
    np.savez(FILE, **arrays)


def set_nan(arrays):
    arrays["probabilities"][0, 0] = np.nan


def set_above(arrays):
    arrays["probabilities"][0, 0] = 1.5


def set_zero(arrays):
    arrays["confidence"][0] = 0


def set_version(arrays):
    arrays["format_version"] = np.asarray(9)


def shorten(arrays):
    arrays["starts"] = arrays["starts"][:-1]


def drop(arrays):
    del arrays["meta"]


def misname(arrays):
    arrays["row_recording"][0] = 99


def enlarge(arrays):
    arrays["spec_sizes"][0] += 1


def replace_picture(arrays):
    value = np.frombuffer(zlib.compress(bytes(7)), np.uint8)
    arrays["spec_values"] = np.concatenate([value, arrays["spec_values"][arrays["spec_sizes"][0] :]])
    arrays["spec_sizes"][0] = len(value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_nan, "outside 0 to 1"), (set_above, "outside 0 to 1"), (set_zero, "not above 0"),
        (set_version, "format version 9, expected 2"), (shorten, "starts has"), (drop, "lacks meta"),
        (misname, "not listed"), (enlarge, "spec_sizes name"), (replace_picture, "spectrogram 0 is not 32"),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_refused(project, change, reason):
    pseudo_label(output_path=str(FILE), num=5)
    spoil(change)
    with pytest.raises(InputError, match=reason):
        read_pseudo_labels(FILE, SIZE)


def test_what_is_no_such_file_is_refused(project):
    with pytest.raises(InputError, match="does not exist"):
        read_pseudo_labels(FILE)
    FILE.write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="not a readable file of pseudo-labels"):
        read_pseudo_labels(FILE)
    np.savez(FILE, format_version=np.array([object()], dtype=object))
    with pytest.raises(InputError, match="lacks"):
        read_pseudo_labels(FILE)


def test_softmax_scores_sum_to_one_again():
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    sharp = pseudo_labeling.sharpen(scores, 2.0, exclusive=True)
    assert sharp == pytest.approx(scores**2 / (scores**2).sum(axis=1, keepdims=True), abs=1e-6)
    assert json.dumps(sharp.sum(axis=1).round(5).tolist()) == "[1.0, 1.0]"
