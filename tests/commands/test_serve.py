"""``serve``: what it refuses before anything is started."""

import socket
import tarfile

import pytest

from britekit.commands.serve import serve
from britekit.errors import InputError, ModelError
from tests.service.tone_model import write_project


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_no_models():
    with pytest.raises(ModelError, match="models/ckpt"):
        serve(port=3999)


def test_missing_bento():
    with pytest.raises(InputError, match=r"nowhere\.bento does not exist.*britekit package"):
        serve(bento_path="nowhere.bento")


def test_not_a_bento(tmp_path):
    (tmp_path / "x.bento").write_text("no archive")
    with pytest.raises(InputError, match=r"x\.bento cannot be unpacked"):
        serve(bento_path="x.bento")
    with tarfile.open(tmp_path / "y.bento", "w:gz") as archive:
        archive.add(tmp_path / "x.bento", "x")
    with pytest.raises(InputError, match="is not a Bento made by britekit"):
        serve(bento_path="y.bento")


def test_an_archive_cannot_write_elsewhere(tmp_path):
    with tarfile.open(tmp_path / "x.bento", "w:gz") as archive:
        (tmp_path / "evil").write_text("x")
        archive.add(tmp_path / "evil", "../../outside")
    with pytest.raises(InputError, match="cannot be unpacked"):
        serve(bento_path="x.bento")


def test_bento_and_settings_exclude_each_other():
    with pytest.raises(InputError, match="either --bento or -c"):
        serve(cfg_path="a.yaml", bento_path="b.bento")


def test_taken_port_and_odd_addresses(tmp_path):
    project = str(write_project(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot listen on 127.0.0.1.*--port"):
            serve(cfg_path=project, port=taken.getsockname()[1])
    with pytest.raises(InputError, match="is not a port"):
        serve(cfg_path=project, port=70000)
    with pytest.raises(InputError, match='host "no such host"'):
        serve(cfg_path=project, host="no such host")
