"""The model folder: complete, the same twice, and refused with a sentence when something is missing."""

import hashlib
from pathlib import Path

import pytest
import yaml

from britekit.errors import InputError, ModelError
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.service.contents import read_contents, write_contents
from tests.inference.fakes import make_fake_member
from tests.service.tone_model import AUDIO, CLASSES, write_project


def gather(project: Path, folder: Path):
    return write_contents(*resolve_for_models(project, None), folder)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_round_trip_and_same_bytes_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calibration.yaml").write_text("coefficient: 1.2\nintercept: -0.1\n")
    (tmp_path / "ignore.txt").write_text("Noise\n")
    project = write_project(tmp_path, calibration="calibration.yaml")
    settings = yaml.safe_load(project.read_text())
    settings["misc"]["ignore_file"] = "ignore.txt"
    project.write_text(yaml.safe_dump(settings))
    contents = gather(project, tmp_path / "a")
    gather(project, tmp_path / "b")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert [path.name for path in contents.exports] == ["seed-1.onnx", "seed-2.onnx"]
    assert contents.cfg.infer.min_score == 0.5 and contents.cfg.audio.spec_duration == 2.0
    assert Path(contents.cfg.infer.calibration).read_text() == "coefficient: 1.2\nintercept: -0.1\n"
    assert Path(contents.cfg.misc.ignore_file).read_text() == "Noise\n"
    assert len((tmp_path / "a" / "classes.csv").read_text().splitlines()) == len(CLASSES) + 1
    assert str(tmp_path) not in "".join(path.read_text() for path in (tmp_path / "a").iterdir() if path.is_file())
    # It can be moved: nothing in it knows where it was made.
    (tmp_path / "a").rename(tmp_path / "moved")
    assert read_contents(tmp_path / "moved").cfg.infer.calibration.startswith(str(tmp_path / "moved"))


def test_the_default_ignore_file_may_be_missing_a_configured_one_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path)
    assert gather(project, tmp_path / "a").cfg.misc.ignore_file is None
    settings = yaml.safe_load(project.read_text())
    settings["misc"]["ignore_file"] = "mine.txt"
    project.write_text(yaml.safe_dump(settings))
    with pytest.raises(InputError, match="mine.txt"):
        gather(project, tmp_path / "b")


def test_names_given_to_classes_of_old_models_travel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path)
    settings = yaml.safe_load(project.read_text())
    settings["misc"] |= {"map_names": {"Low Tone": "Bass"}, "map_codes": {"LOWT": "BASS"}}
    project.write_text(yaml.safe_dump(settings))
    contents = gather(project, tmp_path / "a")
    first = load_ensemble(contents.cfg, contents.exports).classes[0]
    assert (first.name, first.code) == ("Bass", "BASS")
    assert (tmp_path / "a/classes.csv").read_text().splitlines()[1].startswith("Bass,BASS")


def test_members_may_list_their_classes_in_another_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path, members=1)
    make_fake_member(tmp_path / "models/ckpt", CLASSES[::-1], AUDIO, name="seed-2")
    assert len(gather(project, tmp_path / "a").exports) == 2
    make_fake_member(tmp_path / "models/ckpt", CLASSES[:2], AUDIO, name="seed-2")
    with pytest.raises(ModelError, match="other classes"):
        gather(project, tmp_path / "b")


def test_missing_calibration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nowhere.yaml.*britekit calibrate"):
        gather(write_project(tmp_path, calibration="nowhere.yaml"), tmp_path / "a")


def test_every_member_needs_an_export_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg, members = resolve_for_models(write_project(tmp_path), None)
    (tmp_path / "models/ckpt/seed-2.onnx").unlink()
    with pytest.raises(ModelError, match="ckpt-onnx"):
        write_contents(cfg, members, tmp_path / "a")


def test_export_of_another_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg, members = resolve_for_models(write_project(tmp_path), None)
    (tmp_path / "models/ckpt/seed-1.ckpt").write_bytes(b"trained again")
    with pytest.raises(ModelError, match="another checkpoint"):
        write_contents(cfg, members, tmp_path / "a")


def test_half_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="britekit package"):
        read_contents(tmp_path)
    gather(write_project(tmp_path), tmp_path / "a")
    (tmp_path / "a/exports/seed-1.onnx").unlink()
    with pytest.raises(ModelError, match=r"seed-1\.onnx"):
        read_contents(tmp_path / "a")


def test_a_calibration_of_another_backend_is_told(tmp_path, monkeypatch, caplog):
    """As where the pipeline ran on a GPU: the stages analyze and package then differ."""
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path, calibration="calibration.yaml")
    text = "coefficient: 1.2\nintercept: -0.1\nbackend: "
    (tmp_path / "calibration.yaml").write_text(text + "openvino\n")
    gather(project, tmp_path / "a")
    assert not caplog.records
    (tmp_path / "calibration.yaml").write_text(text + "torch\n")
    gather(project, tmp_path / "b")
    assert "fitted on scores of torch" in caplog.text and "infer.backend: openvino" in caplog.text


def test_a_calibration_of_other_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path, calibration="calibration.yaml")
    text = "coefficient: 1.2\nintercept: -0.1\nmembers:\n"
    hashes = [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((tmp_path / "models/ckpt").glob("*.ckpt"))]
    (tmp_path / "calibration.yaml").write_text(text + "".join(f"- sha256: {value}\n" for value in hashes))
    assert gather(project, tmp_path / "a").cfg.infer.calibration
    (tmp_path / "calibration.yaml").write_text(text + f"- sha256: {hashes[0]}\n")
    with pytest.raises(InputError, match="other models"):
        gather(project, tmp_path / "b")


def test_what_a_bento_says_of_its_training_and_test(tmp_path, monkeypatch):
    """All of it from files of the pipeline: packaging adds neither time nor revision of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    locked = "{path: data/training.pkl, md5: 0123456789abcdef0123456789abcdef}"
    (tmp_path / "dvc.lock").write_text(f"stages:\n  train@1:\n    deps: [{locked}]\n")
    (tmp_path / "metrics").mkdir()
    noted = '{"epochs": 10, "spectrograms": 700, "revision": "abc", "date": "2026-03-04T05:06:07+00:00"}'
    (tmp_path / "results/runs").mkdir(parents=True)
    (tmp_path / "results/runs/train-1.json").write_text(noted)
    (tmp_path / "metrics/test.json").write_text('{"macro_pr": 0.83, "per_class": {"a": 1}, "revision": "abc"}')
    project = write_project(tmp_path)
    facts = gather(project, tmp_path / "a").facts
    assert facts["data"] == {"data/training.pkl": "0123456789abcdef0123456789abcdef"}
    first = facts["training"]["seed-1.onnx"]
    assert {k: first[k] for k in ("date", "revision", "epochs", "spectrograms")} == {
        "date": "2026-03-04T05:06:07+00:00", "revision": "abc", "epochs": 10, "spectrograms": 700,
    }  # fmt: skip
    assert facts["training"]["seed-2.onnx"]["revision"] is None  # was not trained by the pipeline
    assert facts["test"] is None  # no calibration says that the figures are those of these members
    write_project(tmp_path, calibration="calibration.yaml")
    (tmp_path / "calibration.yaml").write_text("coefficient: 1.2\nintercept: -0.1\n")
    assert gather(project, tmp_path / "b").facts["test"] == {"macro_pr": 0.83, "revision": "abc"}


def test_the_sample_recording_travels(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path)
    (tmp_path / "meadow.flac").write_bytes(b"sound")
    project.write_text(project.read_text() + "pipeline: {sample: meadow.flac}\n")
    assert gather(project, tmp_path / "a").sample.read_bytes() == b"sound"
    project.write_text(project.read_text().replace("meadow", "nowhere"))
    assert gather(project, tmp_path / "b").sample is None and "nowhere.flac" in caplog.text
