"""A power cut after a run that ended loses none of its labels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from britekit.cli import main
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import make_fake_member


def identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


@pytest.mark.skipif(os.name == "nt", reason="Windows flushes no directory")
@pytest.mark.parametrize("again", [False, True])
def test_labels_are_on_the_disk_before_the_manifest_says_so(place: Path, monkeypatch, again: bool):
    make_fake_member(Path("models/ckpt"), CLASSES)
    for number, name in enumerate(("a", "b", "north/c", "north/ridge/d")):
        write_recording(Path(f"rec/{name}.wav"), 6.0, number)
    command = ["analyze", "--recursive", "-i", "rec", "-o", "out", "-r", "raven,both", "-m"]
    if again:  # labels of an earlier run keep their names until the end
        assert main([*command, "0.6"]) == 0
    flushed: set[tuple[int, int]] = set()
    at_the_end: set[tuple[int, int]] = set()
    fsync, replace = os.fsync, os.replace

    def noting(handle: int) -> None:
        fsync(handle)
        flushed.add(identity(os.fstat(handle)))

    def renaming(source: str, target: str) -> None:
        if Path(target).name == "manifest.yaml":
            at_the_end.update(flushed)
        replace(source, target)
        if not Path(target).name.startswith("manifest"):
            flushed.discard(identity(Path(target).parent.stat()))  # a new name, not yet on the disk

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(os, "replace", renaming)
    assert main([*command, "0"]) == 0
    labels = list(Path("out").rglob("*.txt"))
    assert len(labels) == 8
    for path in (*labels, *(Path("out", below) for below in ("north", "north/ridge"))):
        assert identity(path.stat()) in at_the_end, path
    assert identity(Path("out").stat()) in flushed
