"""A probe on another project's embedder in everything that takes members: labels, tests, ensembles, the service."""

from __future__ import annotations

import asyncio
import csv
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from britekit import service
from britekit.annotations.scores import ScoreTable
from britekit.archive import probe as probing
from britekit.commands.analyze import analyze
from britekit.commands.analyze_db import analyze_db
from britekit.commands.embed import embed
from britekit.commands.ensemble import ensemble
from britekit.commands.probe import probe
from britekit.commands.rpt_test import rpt_test
from britekit.errors import BriteKitError
from britekit.inference.model_files import resolve_for_models
from britekit.service.analysis import Analyst
from britekit.service.contents import write_contents
from britekit.service.limits import Limits
from tests.archive.foreign import write_onnx
from tests.archive.test_probe import annotated  # noqa: F401
from tests.inference.conftest import place  # noqa: F401


@pytest.fixture
def probes(annotated: Path, monkeypatch) -> Path:  # noqa: F811
    """Two probes that differ, and annotations beside half of the recordings."""
    write_onnx(Path("e"))
    embed(input_path="recordings", archive="archive", model="e/embedder.yaml")
    methods = probing._methods()
    for name in ("prototypes", "logistic"):
        monkeypatch.setattr(probing, "_methods", lambda n=name: {k: v for k, v in methods.items() if k.startswith(n)})
        probe(archive="archive", annotations_path=str(annotated), output_path=f"probes/{name}.probe")
    with open(annotated) as file:
        header, *rows = csv.reader(file)
    with open("recordings/0/annotations.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if int(row[0][1:]) % 2 == 0)])
    Path("c.yaml").write_text("infer:\n  min_score: 0.0\nmisc:\n  ckpt_folder: probes\n")
    return Path("probes")


def test_labels_tests_and_ensembles(probes):
    for folder in ("probes", "probes/logistic.probe", "probes/prototypes.probe"):
        analyze(cfg_path="c.yaml", input_path="recordings/0", output_path=f"out/{Path(folder).stem}", ckpt_path=folder)
    scores = {
        name: ScoreTable.load(Path(f"out/{name}/scores.npz")).scores for name in ("probes", "logistic", "prototypes")
    }
    np.testing.assert_allclose(scores["probes"], (scores["logistic"] + scores["prototypes"]) / 2, atol=1e-6)
    assert np.abs(scores["logistic"] - scores["prototypes"]).max() > 0.01
    found = rpt_test(
        cfg_path="c.yaml", annotations_path="recordings/0/annotations.csv", label_dir="out/probes", output_path="report"
    )
    assert found is None or found
    figures = json.loads(next(Path("report").rglob("figures.json")).read_text())
    assert figures["macro_pr"] > 0.9  # tones of two frequencies, which the embedder tells apart
    ensemble(
        cfg_path="c.yaml", annotations_path="recordings/0/annotations.csv", ckpt_path="probes", ensemble_size=2,
        num_tries=5, save_dir="chosen",
    )  # fmt: skip
    assert sorted(path.name for path in Path("chosen").glob("*.probe")) == ["logistic.probe", "prototypes.probe"]


def test_the_service_gives_the_same_scores_and_states_the_licence(probes):
    cfg, members = resolve_for_models("c.yaml", None)
    contents = write_contents(cfg, members, Path("bento"))
    assert [path.name for path in contents.exports] == ["logistic.probe", "prototypes.probe"]
    assert json.loads(Path("bento/facts.json").read_text())["licences"] == ["CC BY-NC-SA 4.0"]
    analyze(cfg_path="c.yaml", input_path="recordings/0", output_path="out", ckpt_path="probes")
    table = ScoreTable.load(Path("out/scores.npz"))
    analyst = Analyst(contents, Limits())
    try:
        result = asyncio.run(analyst.analyze(Path("recordings/0/r0.wav"), "key"))
        assert analyst.facts()["members"][0]["licence"] == "CC BY-NC-SA 4.0"
        np.testing.assert_array_equal(result.scores, table.scores[: len(result.starts)])
    finally:
        analyst.close()


def test_stored_spectrograms_are_no_sound(probes):
    from britekit.audio.files import find_recordings
    from britekit.config import BaseConfig
    from britekit.database.session import open_database
    from britekit.datasets.adding import extract_folder
    from tests.inference.fakes import SMALL_AUDIO

    with open_database("t.db", "create") as session:
        extract_folder(session, BaseConfig(audio=SMALL_AUDIO), find_recordings("recordings/0"), "Owl")
    with pytest.raises(BriteKitError, match="a probe that takes sound cannot score stored spectrograms"):
        analyze_db(cfg_path="c.yaml", db_path="t.db", output_path="views")


@pytest.mark.slow
@pytest.mark.xdist_group("service")
def test_a_package_serves_the_same_scores_and_brings_the_runtime(probes, place, monkeypatch):  # noqa: F811
    """OpenVINO is not there for the package, so that the embedder needs a runtime of its own in the image."""
    from britekit.commands.package import package
    from britekit.inference import runtimes
    from tests.service.running import serving

    analyze(cfg_path="c.yaml", input_path="recordings/0", output_path="out", ckpt_path="probes")
    table = ScoreTable.load(Path("out/scores.npz"))

    def refuse(*args):
        raise RuntimeError("no such operation")

    with monkeypatch.context() as without:
        without.setattr(runtimes, "_openvino", refuse)
        package(cfg_path="c.yaml", output_path="probes.bento", name="probes")
    with tarfile.open("probes.bento") as archive:
        wanted = archive.extractfile("./env/python/requirements.txt").read().decode().splitlines()
        inside = archive.extractfile("./src/britekit/service/requirements.txt").read().decode().splitlines()
        parts = json.loads(archive.extractfile("./src/sbom.cdx.json").read())["components"]
    pinned = Path(service.__file__).with_name("embedders.txt").read_text().splitlines()[1:]
    assert {"ai-edge-litert==2.3.0", "onnxruntime==1.32.0"} <= set(pinned)
    assert set(pinned) <= set(wanted) & set(inside)
    assert {line.partition("==")[0] for line in pinned} <= {part["name"] for part in parts}
    with serving(["--bento", str(place / "probes.bento")], place) as server:
        found = server.post("detections", Path("recordings/0/r0.wav"), min_score=0).json()["detections"]
    rows = np.flatnonzero(table.row_recording == table.recordings.index("r0"))
    assert len(found) == 2 * len(rows)
    for each in found:
        row = rows[np.argmin(np.abs(table.starts[rows] - each["start"]))]
        column = [info.name for info in table.classes].index(each["class_name"])
        assert each["score"] == pytest.approx(float(table.scores[row, column]), abs=1e-4)


def test_an_ordinary_package_brings_no_other_runtime(probes):
    from britekit.service.bento import needs_own_runtime

    assert not needs_own_runtime(sorted(probes.glob("*.probe")))
