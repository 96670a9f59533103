"""Small recordings of other people, and a project with sources."""

import numpy as np
import pytest
import soundfile

from britekit.collect.web import Limits, Web

from .fake_sites import KEY, FakeSites

CLASSES = "Name,Code\nBee,B\nAnt,A\n"
HEADER = "class,source,query,limit,split\n"


def make_recording(path, seconds=1.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * 8000))
    soundfile.write(path, samples, 8000)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with two classes, two training recordings of each in ``archive/<class>``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "classes.csv").write_text(CLASSES)
    for place, name in enumerate(("Bee", "Ant")):
        for number in (1, 2):
            make_recording(tmp_path / "archive" / name / f"{name}{number}.wav", seed=10 * place + number)
    return tmp_path


@pytest.fixture
def sources(project):
    """Write the rows of ``data/sources.csv``."""

    def write(*rows, train=True):
        known = ["Bee,folder,archive/Bee,,train", "Ant,folder,archive/Ant,,train"] if train else []
        (project / "data" / "sources.csv").write_text(HEADER + "\n".join([*known, *rows]) + "\n")

    return write


@pytest.fixture
def site():
    """The sites, on this machine."""
    sites = FakeSites()
    yield sites
    sites.close()


@pytest.fixture
def web():
    """A session without pauses that knows the key."""
    limits = Limits(pause_s=0.0, retry_s=0.01, connect_s=2.0, read_s=2.0, whole_s=20.0)
    with Web(limits, [KEY]) as session:
        yield session


@pytest.fixture
def settings(site, tmp_path):
    """A file of settings that names the local sites."""
    path = tmp_path / "local.yaml"
    path.write_text(
        f"misc:\n  xeno_url: {site.address}/xc\n  inat_url: {site.address}/inat\n  request_pause: 0\n"
        f"  youtube_url: {site.address}/watch?v=\n  audioset_url: {site.address}/tables\n"
    )
    return str(path)
