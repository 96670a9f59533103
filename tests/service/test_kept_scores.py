"""Scores of recent recordings: computed once, and few enough that memory stays where it is."""

import asyncio

import pytest

from britekit.inference.engine import Engine
from britekit.inference.model_files import resolve_for_models
from britekit.service import analysis
from britekit.service.analysis import Analyst
from britekit.service.contents import write_contents
from britekit.service.limits import Limits
from tests.service.tone_model import write_project, write_tones


@pytest.fixture
def analyst(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = write_contents(*resolve_for_models(write_project(tmp_path), None), tmp_path / "contents")
    analyst = Analyst(contents, Limits())
    yield analyst
    analyst.close()


@pytest.fixture
def submitted(monkeypatch):
    """The recordings the engine was given, in order."""
    names, submit = [], Engine.submit

    def counted(self, path, **options):
        names.append(path.name)
        return submit(self, path, **options)

    monkeypatch.setattr(Engine, "submit", counted)
    return names


def ask(analyst, path, key):
    return analyst.kept(key) or asyncio.run(analyst.analyze(path, key))


def test_the_oldest_recordings_go_first(analyst, submitted, tmp_path, monkeypatch):
    monkeypatch.setattr(analysis, "KEPT_RECORDINGS", 2)
    paths = [write_tones(tmp_path / f"{number}.wav", seed=number) for number in range(3)]
    first = ask(analyst, paths[0], "0")
    ask(analyst, paths[1], "1")
    assert ask(analyst, paths[0], "0") is first  # and is the younger one now
    ask(analyst, paths[2], "2")
    ask(analyst, paths[0], "0")
    assert submitted == ["0.wav", "1.wav", "2.wav"]
    ask(analyst, paths[1], "1")
    assert submitted == ["0.wav", "1.wav", "2.wav", "1.wav"]


def test_their_bytes_are_bounded(analyst, submitted, tmp_path, monkeypatch):
    path = write_tones(tmp_path / "0.wav")
    size = analysis._bytes_of(ask(analyst, path, "0"))
    monkeypatch.setattr(analysis, "KEPT_BYTES", 2 * size + 1)
    for digest in ("1", "2"):  # two fit, the one of before goes
        ask(analyst, path, digest)
    ask(analyst, path, "1")
    assert len(submitted) == 3
    ask(analyst, path, "0")
    assert len(submitted) == 4
    monkeypatch.setattr(analysis, "KEPT_BYTES", size - 1)
    ask(analyst, path, "3")
    ask(analyst, path, "3")
    assert len(submitted) == 6  # too large to be kept
