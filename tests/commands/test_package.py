"""``package``: one file with everything in it, nothing left elsewhere."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml

from britekit.commands.package import package
from britekit.errors import BriteKitError, ConfigError, InputError, ModelError
from tests.service.running import ROOT, Running, free_port, serving
from tests.service.test_attacks import _answers as answers
from tests.service.test_reliability import until
from tests.service.tone_model import write_project, write_tones


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    project = write_project(folder)
    for name in ("home", "tmp", "work"):
        (folder / name).mkdir()
    environment = {**os.environ, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "britekit",
        "package",
        "-c",
        str(project),
        "-o",
        "out/tones.bento",
        "--name",
        "tones",
    ]
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, time.monotonic() - began


def test_says_what_was_made_and_how_to_serve_it(packaged):
    folder, output, seconds = packaged
    facts = dict(line.split(" = ", 1) for line in output.splitlines())
    assert facts["bento"] == "out/tones.bento" and facts["tag"].startswith("tones:")
    assert facts["members"] == "2" and facts["classes"] == "3"
    assert facts["serve"] == "britekit serve --bento out/tones.bento"
    assert int(facts["bytes"]) == (folder / "work/out/tones.bento").stat().st_size < 2_000_000
    assert seconds < 60  # 5 s when nothing else runs


def test_nothing_is_left_elsewhere(packaged):
    folder, _, _ = packaged
    assert list((folder / "home").iterdir()) == [] == list((folder / "tmp").iterdir())
    assert [path.name for path in (folder / "work").iterdir()] == ["out"]
    assert sorted(path.name for path in (folder / "work/out").iterdir()) == ["card.md", "tones.bento"]


def test_what_is_inside(packaged):
    folder, _, _ = packaged
    with tarfile.open(folder / "work/out/tones.bento") as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
        wanted = archive.extractfile("./env/python/requirements.txt").read().decode().splitlines()
        texts = [
            archive.extractfile(member).read().decode()
            for member in archive.getmembers()
            if member.isfile() and "/britekit/" not in member.name and member.name.endswith((".yaml", ".json", ".csv"))
        ]
    assert {"src/model/exports/seed-1.onnx", "src/model/settings.yaml", "src/model/classes.csv"} <= names
    assert "src/britekit/service/app.py" in names and "src/britekit/service/static/page.html" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".ckpt", ".db"))]
    packages = {line.partition("==")[0].lower() for line in wanted if "==" in line}
    assert {"openvino", "soundfile", "soxr", "av", "bentoml", "scipy"} <= packages
    assert not {name for name in packages if name.startswith(("torch", "nvidia-c", "lightning", "triton"))}
    assert str(folder) not in "".join(texts)
    assert {"src/model/card.md", "src/sbom.cdx.json"} <= names


def test_the_bento_serves_what_it_was_packaged_with(packaged, tmp_path):
    folder, _, _ = packaged
    with serving(["--bento", str(folder / "work/out/tones.bento")], tmp_path) as server:
        answer = server.post("detections", write_tones(tmp_path / "x.wav"))
        assert [x["label"] for x in answer.json()["detections"]] == ["LOWT", "HIGT"]
        facts = server.get("model").json()
        assert facts["name"] == "tones" and facts["settings"]["min_score"] == 0.5


def test_the_list_is_part_of_the_lock():
    def versions(path: Path) -> dict[str, str]:
        lines = [line.strip() for line in path.read_text().splitlines() if "==" in line]
        return {name.lower().replace("_", "-"): version for name, _, version in (x.partition("==") for x in lines)}

    lock = versions(ROOT / "requirements/lock.txt")
    serve = versions(ROOT / "britekit/service/requirements.txt")
    serve |= versions(ROOT / "britekit/service/embedders.txt")
    assert serve and {name: lock.get(name) for name in serve} == serve
    assert (ROOT / "requirements/serve.txt").read_text().endswith("-r ../britekit/service/requirements.txt\n")


def test_the_list_has_all_that_its_packages_need():
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    paths = [ROOT / "britekit/service" / name for name in ("requirements.txt", "embedders.txt")]
    lines = [line for path in paths for line in path.read_text().splitlines()]
    listed = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    for name in sorted(listed):
        for text in requires(name) or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert need.name.lower().replace("_", "-") in listed, f"{name} needs {need.name}"


def test_a_file_that_is_no_card_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path)
    (tmp_path / "card.md").write_text("# Mine\n")
    with pytest.raises(InputError, match="card.md is not a model card"):
        package(cfg_path=str(project), output_path="x.bento")
    assert (tmp_path / "card.md").read_text() == "# Mine\n" and not (tmp_path / "x.bento").exists()


def test_no_exports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path)
    for path in (tmp_path / "models/ckpt").glob("*.onnx"):
        path.unlink()
    # A checkpoint without an export cannot be packaged; what it says depends on whether it is one at all.
    with pytest.raises(BriteKitError):
        package(cfg_path=str(project), output_path="x.bento")
    for path in (tmp_path / "models/ckpt").glob("*.ckpt"):
        path.unlink()
    with pytest.raises(ModelError, match="britekit train"):
        package(cfg_path=str(project), output_path="x.bento")
    assert not (tmp_path / "x.bento").exists()


def test_a_failed_build_leaves_the_previous_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bento").write_text("previous")
    project = write_project(tmp_path, calibration="missing.yaml")
    with pytest.raises(InputError, match=r"missing\.yaml"):
        package(cfg_path=str(project), output_path="x.bento")
    assert (tmp_path / "x.bento").read_text() == "previous"


def test_bad_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="bento_name"):
        package(cfg_path=str(write_project(tmp_path)), output_path="x.bento", name="Not a Name")


def with_a_docker(folder: Path, monkeypatch, code: int) -> Path:
    """Put a program named docker first on the PATH; it notes what it is told and what it gets."""
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    noted = folder / "noted"
    program.write_text(
        f'#!/bin/sh\nfor word; do echo "$word"; done > {noted}\nls "$word" > {noted}.files\nexit {code}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return noted


def test_the_image(tmp_path, monkeypatch, capsys):
    """What Docker is asked for. The image itself: scripts/container_test.sh."""
    monkeypatch.chdir(tmp_path)
    noted = with_a_docker(tmp_path, monkeypatch, 0)
    package(cfg_path=str(write_project(tmp_path)), output_path="x.zip", name="tones", containerize=True)
    words = noted.read_text().splitlines()
    tag = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("image = ")).split()[-1]
    assert words[0] == "build" and {tag, "tones", "BENTO=x.zip"} <= set(words)
    assert Path(words[words.index("--file") + 1]).read_text().count("HEALTHCHECK") == 1
    assert Path(f"{noted}.files").read_text() == "x.zip\n"


def test_an_image_that_cannot_be_built(tmp_path, monkeypatch, capsys):
    """BentoML's own builder says nothing then, and the command told how to run what is not there."""
    monkeypatch.chdir(tmp_path)
    with_a_docker(tmp_path, monkeypatch, 3)
    with pytest.raises(ModelError, match="x.bento is written, but docker could not.*exit code 3"):
        package(cfg_path=str(write_project(tmp_path)), output_path="x.bento", containerize=True)
    assert tarfile.is_tarfile(tmp_path / "x.bento") and "image" not in capsys.readouterr().out


def test_settings_file_is_yaml(packaged):
    folder, _, _ = packaged
    with tarfile.open(folder / "work/out/tones.bento") as archive:
        settings = yaml.safe_load(archive.extractfile("./src/model/settings.yaml"))
    assert settings["infer"]["backend"] == "openvino" and "audio" not in settings


@pytest.mark.parametrize(
    "suffix",
    [".bento", ".zip", pytest.param(".tar", marks=pytest.mark.soak), pytest.param(".tar.gz", marks=pytest.mark.soak)],
)
def test_the_same_ensemble_gives_the_same_bytes(tmp_path, monkeypatch, suffix):
    """Whatever the time, the folder and the process: as for every other stage of the pipeline."""
    monkeypatch.chdir(tmp_path)
    project = str(write_project(tmp_path))
    package(cfg_path=project, output_path=f"a{suffix}")
    time.sleep(1.1)  # times in archives count seconds
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    package(cfg_path=project, output_path=f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_bentoml_imports_and_serves_it(packaged, tmp_path):
    """As the guide says: import by its full path, then serve; the same application answers."""
    folder, _, _ = packaged
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "true"}
    (tmp_path / "home").mkdir()
    bentoml = [sys.executable, "-m", "bentoml"]
    command = [*bentoml, "import", str(folder / "work/out/tones.bento")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "imported" in done.stdout
    port = free_port()
    with open(tmp_path / "log", "wb") as log:
        served = subprocess.Popen(
            [*bentoml, "serve", "tones:latest", "--port", str(port)],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        server = Running(served, f"http://127.0.0.1:{port}", tmp_path, tmp_path / "log")
        assert until(lambda: answers(server), 60), (tmp_path / "log").read_text()
        answer = server.post("detections", write_tones(tmp_path / "x.wav"))
        assert [x["label"] for x in answer.json()["detections"]] == ["LOWT", "HIGT"]
        assert "britekit_audio_seconds_total 8.0" in server.get("metrics").text
        assert server.get("nowhere").json()["error"]
    finally:
        os.killpg(served.pid, signal.SIGTERM)
        served.wait(20)


def test_bentoml_does_not_start_a_model_that_cannot_be_loaded(packaged, tmp_path):
    folder, _, _ = packaged
    with tarfile.open(folder / "work/out/tones.bento") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "src/model/settings.yaml").write_text("infer: {min_scor: 1}")
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "true"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "service:Service", "--port", str(free_port())],
        cwd=tmp_path / "src", env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "min_scor" in line] == done.stderr.splitlines()
