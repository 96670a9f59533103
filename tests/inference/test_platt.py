"""Platt scaling against the formula by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.errors import InputError
from britekit.files import sha256_of
from britekit.inference.ensemble import load_ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.model_files import resolve_for_models
from britekit.inference.platt import Calibration, read_calibration
from tests.inference.fakes import make_fake_member


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.97])
def test_is_the_formula(p):
    expected = 1 / (1 + math.exp(-(1.7 * math.log(p / (1 - p)) - 0.4)))
    found = Calibration(1.7, -0.4).apply(np.array([[p]], np.float32))
    assert found.dtype == np.float32
    assert found[0, 0] == pytest.approx(expected, abs=1e-6)


def test_identity_changes_no_bit_and_zero_stays_zero():
    scores = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    assert Calibration().apply(scores).tobytes() == scores.tobytes()
    assert Calibration(1.0, 3.0).apply(np.zeros((2, 1), np.float32)).tolist() == [[0.0], [0.0]]
    ones = Calibration(0.5, 0.0).apply(np.ones((1, 1), np.float32))
    assert ones[0, 0] == pytest.approx(1 / (1 + math.exp(-0.5 * math.log((1 - 1e-7) / 1e-7))), abs=1e-6)


def test_a_class_has_its_own_values_by_code_or_name():
    classes = [ClassInfo("Wren", "WREN"), ClassInfo("Owl"), ClassInfo("Crow", "CROW")]
    calibration = Calibration(1.0, 0.0, {"WREN": (2.0, 0.0), "Owl": (1.0, 1.0)})
    found = calibration.apply(np.full((2, 3), 0.25, np.float32), classes)
    odds = 1 / 3
    expected = [odds**2 / (1 + odds**2), odds * math.e / (1 + odds * math.e), 0.25]
    np.testing.assert_allclose(found, [expected, expected], atol=1e-6)
    with pytest.raises(InputError, match="scores have 3 columns"):
        calibration.apply(np.zeros((2, 3), np.float32))


def test_reads_the_file(tmp_path: Path):
    path = tmp_path / "calibration.yaml"
    path.write_text("coefficient: 1.5\nintercept: -1\nclasses:\n  WREN: {coefficient: 2, intercept: 0.5}\ncells: 40\n")
    found = read_calibration(path)
    assert (found.coefficient, found.intercept) == (1.5, -1.0)
    assert found.per_class == {"WREN": (2.0, 0.5)}
    assert found.source == str(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a map"),
        ("- 1\n", "is not a map"),
        ("coefficient: 1\n", "intercept is None"),
        ("coefficient: .nan\nintercept: 0\n", "coefficient is nan"),
        ("coefficient: '1'\nintercept: 0\n", "coefficient is '1'"),
        ("coefficient: 0\nintercept: 0\n", "makes every score equal"),
        ("coefficient: 1\nintercept: 0\nclasses: [WREN]\n", "classes is not a map"),
        ("coefficient: 1\nintercept: 0\nclasses: {WREN: 2}\n", "class WREN"),
        ("coefficient: [1\n", "is not YAML"),
        ("[" * 99999, "is not YAML: text: nested too deeply"),
        ("coefficient: 2020-13-45\n", "coefficient"),
        ("!!python/object/apply:os.system [ls]\n", "is not YAML"),
    ],
)
def test_refuses_what_it_cannot_use(tmp_path: Path, text: str, words: str):
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_calibration(path)


def test_says_what_to_do_about_a_missing_file(tmp_path: Path):
    with pytest.raises(InputError, match="calibrate"):
        read_calibration(tmp_path / "none.yaml")


def test_a_calibration_of_other_models_is_told(place: Path, caplog: pytest.LogCaptureFixture):
    make_fake_member(Path("models/ckpt"), [ClassInfo("Wren", "WREN")])
    own = sha256_of("models/ckpt/seed-1.ckpt")
    for members, told in ((own,), False), ((own, "ab"), True), ((), False):
        listed = "".join(f"- sha256: {sha256}\n" for sha256 in members)
        Path("cal.yaml").write_text(f"coefficient: 2\nintercept: 1\nmembers:\n{listed}")
        cfg, paths = resolve_for_models(None, {"infer.calibration": "cal.yaml", "misc.force_cpu": True})
        caplog.clear()
        Labeler(cfg, load_ensemble(cfg, paths))
        assert ("other models" in caplog.text) is told
