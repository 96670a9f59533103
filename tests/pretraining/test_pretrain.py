"""`pretrain` as a whole: its checkpoint, training from it, killed runs, recordings that are left out, bad input."""

import csv
import logging
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from britekit.annotations.classes import ClassInfo
from britekit.commands.pretrain import pretrain
from britekit.config import BaseConfig, to_dict
from britekit.errors import InferenceError, InputError, ModelError
from britekit.models.checkpoint import load_checkpoint, read_archive
from britekit.pretraining import run, windows
from britekit.training import resume
from britekit.training.configured import make_recognizer
from tests.inference.conftest import write_recording
from tests.inference.fakes import SMALL_AUDIO

FOLDER, CKPT = Path("data/unlabelled"), Path("models/backbone.ckpt")
PRETRAIN = {"num_steps": 50, "batch_size": 4}
LENGTHS = {"a/one": 10.0, "a/two": 3.0, "b/three": 9.0}
CLASSES = [ClassInfo("Wren", "WREN"), ClassInfo("Owl", "OWL")]


def lay_out(root):
    settings = {
        "audio": to_dict(BaseConfig(audio=SMALL_AUDIO))["audio"],
        "train": {"model_type": "timm.test_efficientnet"},
        "pretrain": PRETRAIN,
        "misc": {"force_cpu": True},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(settings))
    for number, (name, seconds) in enumerate(LENGTHS.items()):
        write_recording(root / FOLDER / f"{name}.wav", seconds, seed=number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project in which an uninterrupted run was made, and its result."""
    root = tmp_path_factory.mktemp("pretrain")
    lay_out(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("DVC_STAGE", "WANDB_MODE", "WANDB_PROJECT"):
            patch.delenv(name, raising=False)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        result = pretrain()
        torch.set_num_threads(threads)
    return root, result


@pytest.fixture
def project(whole, tmp_path, monkeypatch):
    """A copy of that project, without results."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(resume, "SAVE_EVERY_S", 0.0)
    shutil.copy(whole[0] / "params.yaml", "params.yaml")
    shutil.copytree(whole[0] / FOLDER, FOLDER)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def configured(**train):
    cfg = BaseConfig(audio=SMALL_AUDIO)
    cfg.train.model_type, cfg.train.load_ckpt_path = "timm.test_efficientnet", str(CKPT)
    for name, value in train.items():
        setattr(cfg.train, name, value)
    return cfg


def test_the_loss_falls_and_is_drawn(whole):
    root, result = whole
    # Windows of 3 s without overlap; the last window ends with the recording.
    assert (result.recordings, result.windows) == (3, 4 + 1 + 3)
    rows = list(csv.DictReader((root / "models/backbone.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["25", "50"]
    assert float(rows[-1]["loss"]) == pytest.approx(result.loss) and result.loss < float(rows[0]["loss"])
    assert (root / "models/backbone.png").read_bytes().startswith(b"\x89PNG")
    assert list(root.glob("logs/pretrain/version_0/*/events.out.*"))
    assert not list((root / "logs/pretrain/resume").iterdir())


def test_the_checkpoint_holds_weights_and_plain_values_of_the_backbone(whole):
    root, _ = whole
    content, _ = read_archive(root / CKPT)  # weights-only
    assert content["hyper_parameters"]["train_class_names"] == [] and content["training_date"] is None
    assert all(name.startswith("backbone.") for name in content["state_dict"])
    with zipfile.ZipFile(root / CKPT) as archive:
        assert not [name for name in archive.namelist() if "models" in name]
    with pytest.raises(ModelError, match="backbone.ckpt is a pre-trained backbone without classes; train with"):
        load_checkpoint(root / CKPT)


@pytest.mark.parametrize("head", [None, "basic_sed"])
def test_training_starts_from_the_backbone_with_any_classes(whole, monkeypatch, caplog, head):
    monkeypatch.chdir(whole[0])
    given = read_archive(CKPT)[0]["state_dict"]
    for classes in (CLASSES[:1], CLASSES):
        recognizer = make_recognizer(configured(head_type=head), classes)
        own = recognizer.state_dict()
        assert given.keys() <= own.keys()
        assert all(torch.equal(own[name], value) for name, value in given.items())
        scores, _ = recognizer.eval()(torch.rand(2, 1, 32, 64))
        assert scores.shape == (2, len(classes))
    assert not caplog.records  # that the head is new is no surprise


@pytest.mark.parametrize(
    ("train", "audio", "sentence"),
    [
        ({"model_type": "effnet.1"}, {}, "holds timm.test_efficientnet, but train.model_type is effnet.1"),
        ({"front": "band_norm"}, {}, r"was pre-trained with train.front None \(now band_norm\)"),
        ({}, {"max_freq": 3000}, r"was pre-trained with audio.max_freq 3800 \(now 3000\); use those settings, or"),
    ],
)
def test_another_network_or_other_spectrograms_are_refused(whole, monkeypatch, train, audio, sentence):
    monkeypatch.chdir(whole[0])
    cfg = configured(**train)
    cfg.audio = type(cfg.audio)(**{**to_dict(cfg)["audio"], **audio})
    with pytest.raises(ModelError, match=sentence):
        make_recognizer(cfg, CLASSES)


class Killed(BaseException):
    pass


def test_a_killed_run_continues_to_the_same_bytes(whole, project, monkeypatch, caplog):
    call = run.pretrain

    def killed(*arguments, **named):
        def stop(row):
            if row["step"] == 30:
                raise Killed

        return call(*arguments, **named | {"on_step": stop})

    monkeypatch.setattr(run, "pretrain", killed)
    monkeypatch.setattr(run, "_WORTH_A_WORD", 1)
    with pytest.raises(Killed):
        pretrain()
    assert not CKPT.exists()
    assert "logs/pretrain/resume holds" in caplog.text and "interrupted runs" in caplog.text
    monkeypatch.setattr(run, "pretrain", call)
    caplog.clear()
    result = pretrain()
    assert "interrupted runs" not in caplog.text
    assert result.resumed_from_step == 25 and result.continued == 3
    assert CKPT.read_bytes() == (whole[0] / CKPT).read_bytes()
    assert Path("models/backbone.csv").read_text() == (whole[0] / "models/backbone.csv").read_text()


@pytest.mark.parametrize("spoilt", ["", "half a line", "recording"])
def test_windows_of_a_killed_run_are_used_up_to_what_differs(whole, project, spoilt):
    cfg, folder = BaseConfig(audio=SMALL_AUDIO), Path("work")
    named = {name: FOLDER / f"{name}.wav" for name in LENGTHS}
    first = windows.store_windows(named, cfg.audio, 100, folder)
    before, digest = first.images().copy(), first.digest
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    if spoilt == "half a line":
        journal.write_bytes(b"".join(lines[:1]) + lines[1][:20])
    elif spoilt == "recording":
        write_recording(named["b/three"], 6.0, seed=9)
    again = windows.store_windows(named, cfg.audio, 100, folder)
    assert again.continued == {"": 3, "half a line": 1, "recording": 2}[spoilt]
    if spoilt == "recording":
        assert again.counts == [4, 1, 2] and again.digest != digest
        assert np.array_equal(again.images()[:5], before[:5])
    else:
        assert again.digest == digest and np.array_equal(again.images(), before)


def test_too_many_windows_are_drawn_evenly(project, caplog):
    cfg = BaseConfig(audio=SMALL_AUDIO)
    named = {name: FOLDER / f"{name}.wav" for name in LENGTHS}
    assert windows.store_windows(named, cfg.audio, 6, Path("few")).counts == [2, 1, 2]
    two = windows.store_windows(named, cfg.audio, 2, Path("two"))
    assert two.counts == [1, 1] and len(two.unused) == 1
    assert f"1 of 3 recordings are not drawn, since pretrain.max_windows is 2: {two.unused[0]}" in caplog.text


def test_recordings_that_cannot_be_read_are_named_and_the_others_used(project, caplog, capsys):
    (FOLDER / "broken.wav").write_bytes(b"RIFF" + b"\1" * 400)
    write_recording(FOLDER / "a/blink.wav", 0.2)
    soundfile.write(FOLDER / "silence.wav", np.zeros(6 * 8000, np.float32), 8000)
    with pytest.raises(InferenceError, match="1 of 6 recordings could not be read .*broken.wav"):
        pretrain(steps=1)
    assert CKPT.is_file()
    told = capsys.readouterr().out.splitlines()
    for line in (
        "recordings = 3",
        "failed = 1",
        "too_short = 1",
        "without_sound = 1",
        "silent_windows = 2",
        "windows = 8",
        "steps = 25",
    ):
        assert line in told
    assert "broken.wav is left out" in caplog.text and "1 recordings are too short for a window" in caplog.text


def test_tested_recordings_and_their_groups_are_refused(project, caplog):
    Path("data/test").mkdir()
    shutil.copy(FOLDER / "a/two.wav", "data/test/other-name.wav")
    write_recording(Path("data/test/site7-1.wav"), 3.0)
    write_recording(FOLDER / "site7-9.wav", 3.0, seed=8)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["misc"]["group_regex"] = r"(site\d)-.*"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    result = pretrain(steps=1)
    assert result.recordings == 2 and result.refused == {
        "is of the group site7 of a test recording": [str(FOLDER / "site7-9.wav")],
        "is the test recording other-name.wav": [str(FOLDER / "a/two.wav")],
    }
    assert "1 recordings are refused, each is of the group site7" in caplog.text
    shutil.rmtree(FOLDER / "b")
    (FOLDER / "a/one.wav").unlink()
    with pytest.raises(InputError, match="no unlabeled recording that may be used: of 2, 1 is refused"):
        pretrain()


def nan_recording(path):
    path.parent.mkdir(parents=True)
    soundfile.write(path, np.full(6 * 8000, np.nan, np.float32), 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.parent.mkdir(parents=True), "holds no recording; list unlabeled recordings"),
        (lambda path: None, "is not a folder of unlabeled recordings"),
        (lambda path: write_recording(path, 2.0), r"gives 1 window with sound; pre-training needs two"),
        (lambda path: write_recording(path, 0.3), r"gives 0 windows with sound \(1 recording too short\)"),
        (
            lambda path: (path.parent.mkdir(parents=True), soundfile.write(path, np.zeros(48000, np.float32), 8000)),
            r"gives 0 windows with sound \(2 silent\)",
        ),
        (nan_recording, r"gives 0 windows with sound \(of 1, 1 cannot be used .*x.wav: "),
    ],
)
def test_recordings_that_give_too_little(project, make, sentence):
    make(Path("bad/x.wav"))
    with pytest.raises(InputError, match=sentence):
        pretrain(input_path="bad")
    assert not CKPT.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"output_path": "backbone.onnx"}, r"give it a name that ends in .ckpt"),
        ({"curve": "curve.png"}, r"give it a name that ends in .csv"),
        ({"test_path": "nowhere"}, "--test nowhere is not a folder"),
    ],
)
def test_options(project, options, sentence):
    with pytest.raises(InputError, match=sentence):
        pretrain(**options)


def test_a_rate_that_is_too_high_is_named(project):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["pretrain"]["learning_rate"] = 1e30
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(Exception, match=r"lower pretrain.learning_rate"):
        pretrain()


def test_two_equal_runs_at_once_do_not_meet(project, monkeypatch):
    def meanwhile(*arguments, **named):
        with pytest.raises(InputError, match="the same pre-training is running already"):
            pretrain()
        raise Killed

    monkeypatch.setattr(run, "store_windows", meanwhile)
    with pytest.raises(Killed):
        pretrain()


def test_nothing_is_stored_of_settings_that_are_off(project):
    """Checkpoints of training keep their bytes."""
    from britekit.config import to_shown_dict, without_defaults

    settings = without_defaults(to_shown_dict(BaseConfig()))
    assert "pretrain" not in settings and "pretrain" not in settings["pipeline"]
    logging.getLogger("britekit").debug("%s", sorted(settings))
