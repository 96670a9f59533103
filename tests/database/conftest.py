"""A database of each kind: a file of SQLite, and one on a PostgreSQL server started for the tests."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROLE = "britekit"


def server_programs():
    """Return the folder of PostgreSQL's programs, or None."""
    candidates = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    found = shutil.which("initdb")
    if found:
        candidates.append(str(Path(found).resolve().parent))
    for folder in candidates:
        if all(os.access(os.path.join(folder, name), os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
            return Path(folder)
    return None


def unprivileged():
    """Return the user to run the server as, which refuses to be run by root; None = ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("a PostgreSQL server does not run as root, and there is no other user here")


@pytest.fixture(scope="session")
def postgres_server():
    """A server on a socket in a temporary folder, without any port; yields the folder."""
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server program (initdb, pg_ctl) is installed here")
    user = unprivileged()
    # Not below pytest's folder: a socket's path has 107 bytes at most, and others may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="bk-pg-"))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    os.chmod(folder, 0o755)

    def call(*command):
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
        as_user = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_user
        )
        assert done.returncode == 0, Path(log.name).read_text()[-2000:]

    data = folder / "data"
    with open(folder / "out.log", "w") as log:
        try:
            call(str(programs / "initdb"), "-D", str(data), "-U", ROLE, "-A", "trust", "-E", "UTF8", "-N")
            settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
            call(str(programs / "pg_ctl"), "-D", str(data), "-o", settings, "-w", "-t", "60", "start")
            try:
                yield folder
            finally:
                call(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


_count = 0


@pytest.fixture
def postgres_url(postgres_server):
    """A new, empty database on the server, by its URL."""
    import psycopg

    global _count
    _count += 1
    name = f"birds_{os.getpid()}_{_count}"
    with psycopg.connect(host=str(postgres_server), user=ROLE, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://{ROLE}@/{name}?host={postgres_server}"
    with psycopg.connect(host=str(postgres_server), user=ROLE, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request, tmp_path):
    """Where a training database can be made: a path, then a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "t.db")
    return request.getfixturevalue("postgres_url")
