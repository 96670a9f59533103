"""Facts of a run: revision, hashes, places."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from britekit.errors import InputError
from britekit.tracking import facts
from britekit.tracking.metrics_file import write_figures, write_metrics


def test_hashes_are_of_files_as_they_are_and_of_folders_as_dvc_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n"
        "  use:\n    cmd: x\n    deps:\n    - {path: data/training.db, hash: md5, md5: old}\n"
        "    - {path: data/sources.csv, hash: md5, md5: old}\n"
        "  make:\n    cmd: x\n    outs:\n    - {path: data/training.db, hash: md5, md5: new}\n"
        "    - {path: data/test, hash: md5, md5: abc.dir}\n"
    )
    (tmp_path / "plain.txt").write_text("x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/sources.csv").write_text("x")  # changed since the stage that read it has ended
    monkeypatch.chdir(tmp_path)
    found = facts.hashes_of(["data/training.db", "data/sources.csv", "data/test/", "plain.txt", "absent"])
    assert found == {
        "data/training.db": "new",
        "data/sources.csv": "9dd4e461268c8034f5c8564e155c67a6",
        "data/test": "abc.dir",
        "plain.txt": "9dd4e461268c8034f5c8564e155c67a6",
    }


@pytest.mark.parametrize(
    "text", ["<<<<<<< HEAD\nschema: '2.0'\n", "[" * 99999, "stages: [1]\n", "stages: {a: {deps: 3}}\n"]
)
def test_a_damaged_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "dvc.lock").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read"):
        facts.hashes_of(["data/training.db"])


def test_a_large_file_that_dvc_has_hashed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large.bin").write_bytes(b"x" * 1000)
    # In processes of their own: in this one DVC may log to the output that an earlier test captured.
    for arguments in (["init", "--no-scm", "-q"], ["add", "-q", "large.bin"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)
    monkeypatch.setattr(facts, "_LARGE_BYTES", 1000)
    reading = facts.hashlib.file_digest
    read: list[str] = []
    monkeypatch.setattr(facts.hashlib, "file_digest", lambda file, kind: read.append(file.name) or reading(file, kind))
    expected = hashlib.md5(b"x" * 1000).hexdigest()
    assert facts.hashes_of(["large.bin"]) == {"large.bin": expected} and not read
    Path("large.bin").unlink()
    Path("large.bin").write_bytes(b"y" * 1000)  # as long, but another
    assert facts.hashes_of(["large.bin"]) == {"large.bin": hashlib.md5(b"y" * 1000).hexdigest()}
    Path("new.bin").write_bytes(b"z" * 2000)
    assert facts.hashes_of(["new.bin"]) == {"new.bin": hashlib.md5(b"z" * 2000).hexdigest()}
    assert len(read) == 2


def test_provenance_names_the_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert facts.provenance()["revision"] is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert facts.provenance()["revision"] is None  # no commit yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert facts.provenance()["revision"] == head


def test_metrics_are_rounded_and_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_metrics("m/test.json", {"a": 1 / 3, "b": np.float32(0.5), "c": float("nan"), "d": {"e": [2 / 3]}, "n": 3})
    read = json.loads(Path("m/test.json").read_text())
    assert read == {"a": 0.3333, "b": 0.5, "c": None, "d": {"e": [0.6667]}, "n": 3}
    write_figures("m/figures.json", {"a": 1 / 3})
    read = json.loads(Path("m/figures.json").read_text())
    assert read["a"] == 0.333333 and "version" in read and "revision" in read
