"""The DVC remote on a real S3 server: push, clone, pull, and a push that is killed half-way."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import Project

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.timeout(600)]

KEY, SECRET = "britekit-test", "only-for-this-test"


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Serve ``folder`` by S3 and yield the endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "bucket").mkdir(parents=True)
    rclone = Path(sys.executable).parent / "rclone"
    command = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", str(folder)]
    with open(folder.parent / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
            except urllib.error.HTTPError:
                break  # it answers: access denied
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def stored(folder: Path) -> int:
    """Return the number of objects in the store."""
    return sum(path.is_file() for path in (folder / "bucket").rglob("*"))


def use_remote(project: Project, endpoint: str) -> None:
    """Configure the remote as the README says; keys stay out of Git."""
    project.dvc("remote", "add", "--force", "--default", "store", "s3://bucket/project")
    project.dvc("remote", "modify", "store", "endpointurl", endpoint)
    project.environment |= {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_push_killed_and_repeated_then_clone_and_pull(done_project: Project, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with s3_server(store) as endpoint:
        project = done_project.clone("with-remote")
        # The clone borrows the cache, so that there is something to push without running the pipeline again.
        project.dvc("cache", "dir", "--local", str(done_project.folder / ".dvc/cache"))
        project.dvc("checkout")
        use_remote(project, endpoint)
        project.commit("remote")

        push = subprocess.Popen(
            [sys.executable, "-m", "dvc", "push", "--jobs", "1"], cwd=project.folder, env=project.environment
        )
        deadline = time.monotonic() + 60
        while stored(store) < 3 and push.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert push.poll() is None, "the push ended before it could be killed"
        push.send_signal(signal.SIGKILL)
        push.wait()
        interrupted = stored(store)

        project.dvc("push")
        assert stored(store) > interrupted >= 3
        assert "in sync" in project.dvc("status", "-c").stdout

        other = project.clone("elsewhere")
        other.environment = project.environment
        other.dvc("pull")
        assert "in sync" in other.dvc("status", "-c").stdout
        assert "up to date" in other.dvc("status").stdout
        for name in ("data/training.db", "models/ckpt/seed-1.ckpt", "models/britekit-ensemble.bento"):
            assert (other.folder / name).read_bytes() == (done_project.folder / name).read_bytes()
    for clone in (project, other):
        shutil.rmtree(clone.folder)
