"""ckpt-onnx as a person runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from britekit.cli import main
from tests.inference.test_export import make_checkpoint


def test_converts_a_checkpoint_and_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_checkpoint(tmp_path / "one.ckpt")
    assert main(["ckpt-onnx", "-i", str(tmp_path / "one.ckpt")]) == 0
    first = (tmp_path / "one.onnx").read_bytes()
    make_checkpoint(tmp_path / "two.ckpt", seed=1)
    assert main(["ckpt-onnx", "-i", str(tmp_path)]) == 0
    assert (tmp_path / "one.onnx").read_bytes() == first
    assert (tmp_path / "two.onnx").is_file()
    assert capsys.readouterr().out.count("largest difference") == 3


@pytest.mark.parametrize("name", ["none.ckpt", "", "notes.txt", "empty", "broken.ckpt"])
def test_one_sentence_for_what_cannot_be_converted(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.ckpt").write_bytes(b"PK\x03\x04 not really")
    assert main(["ckpt-onnx", "-i", str(tmp_path / name) if name else ""]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("Error: ") and errors.count("\n") == 1
    assert not list(tmp_path.glob("*.onnx"))
