"""Who may do what with a job, and when: two servers, dead ones, clocks, full disks."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from britekit.errors import InputError
from britekit.service.jobs.database import CommitUnknown, StoreUnavailable
from britekit.service.jobs.postgresql import _Statements
from britekit.service.jobs.store import MOST_ATTEMPTS, JobStore, QueueFull

DAY = 86400.0
FACTS = {"seconds": 4.0}


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request):
    """Where the jobs are: None for SQLite, in the folder of the uploads."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def another(tmp_path, address):
    """Open the store as one more server."""
    opened = []

    def open_store(keep_s=7 * DAY):
        opened.append(JobStore(tmp_path / "jobs", keep_s, address))
        return opened[-1]

    yield open_store
    for each in opened:
        each.close()


@pytest.fixture
def store(another):
    return another()


@pytest.fixture
def sqlite_store(tmp_path):
    opened = JobStore(tmp_path / "jobs", 7 * DAY)
    yield opened
    opened.close()


def add(store, source="/x.wav", token="", **given):
    return store.add(token=token, name="x", source=source, options={}, most_waiting=given.pop("most", 100), **given)


def test_a_job_is_taken_once_and_in_order(store, another):
    other = another()
    jobs = [add(store) for _ in range(4)]
    taken = [store.take(), other.take(), store.take(), other.take()]
    assert [x.id for x in taken] == [x.id for x in jobs] and store.take() is None
    assert store.counts() == {"queued": 0, "running": 4}
    late = [add(other), add(other)]
    assert store.ahead(late[1]) == 1
    assert [x.id for x in store.listed("", None, 2)] == [late[1].id, late[0].id]
    assert [x.id for x in store.listed("", jobs[1].number, 9)] == [jobs[0].id]


def test_only_the_owner_ends_a_job(store, another):
    add(store)
    job = store.take()
    other = another()
    assert not other.finish(job, FACTS, [b"theirs"], 1)
    assert other.recover() == 0, "its server lives"
    assert store.finish(job, FACTS, [b"ours"], 1)
    assert not store.finish(job, FACTS, [b"twice"], 1)
    assert list(other.pieces(job)) == [b"ours"]


def test_a_job_of_a_killed_server_is_taken_again(store, tmp_path, address):
    code = f"""
import pathlib, sys, time
from britekit.service.jobs.store import JobStore
store = JobStore(pathlib.Path({str(tmp_path / "jobs")!r}), 1.0, {address!r})
print(store.take().id, flush=True)
time.sleep(60)
"""
    wanted = add(store).id
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == wanted
    assert store.recover() == 0 and store.take() is None
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    deadline = time.monotonic() + 10
    while (count := store.recover()) == 0 and address and time.monotonic() < deadline:
        time.sleep(0.05)  # PostgreSQL notices a moment later
    assert count == 1
    job = store.take()
    assert job.id == wanted and job.attempts == 2
    process.stdout.close()


def test_a_recording_that_kills_servers_comes_last_and_is_given_up(store, tmp_path, monkeypatch):
    bad, good = add(store), add(store)
    monkeypatch.setattr(store._database, "is_alive", lambda owner: False)

    def die() -> None:
        """Pass a job to a server that is not there any more."""
        with store._database.writing() as db:
            db.execute("UPDATE job SET owner = 'gone' WHERE state = 'running'")
        store.recover()

    for _ in range(2):
        assert store.take().id == bad.id
        die()
    assert store.take().id == good.id, "others come first"
    die()
    for _ in range(MOST_ATTEMPTS - 2):
        store.give_back(store.take())
        job = next(x for x in iter(store.take, None) if x.id == bad.id)
        die()
    assert job.attempts == MOST_ATTEMPTS
    failed = store.get(bad.id, "")
    assert failed.state == "failed" and "5 servers ended" in failed.error
    assert store.get(good.id, "").state == "queued"


def test_a_stop_is_no_attempt(store):
    add(store)
    for _ in range(2 * MOST_ATTEMPTS):
        job = store.take()
        assert job.attempts == 1
        assert store.give_back(job)


def test_results_age_by_time_that_passes_and_not_by_the_clock(sqlite_store, monkeypatch):
    store = sqlite_store
    add(store)
    job = store.take()
    store.finish(job, FACTS, [b"labels"], 1)
    store.expire()
    now = time.monotonic()
    for clock in (0.0, 4e9):  # in 1970, as after an empty battery, and in 2096
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        assert store.expire() == 0
    monkeypatch.setattr(time, "monotonic", lambda: now + 6.9 * DAY)
    assert store.expire() == 0 and list(store.pieces(job)) == [b"labels"]
    assert store.expires_in(store.get(job.id, "")) == pytest.approx(0.1 * DAY, rel=1e-2)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)  # the machine was started again
    assert store.expire() == 0
    monkeypatch.setattr(time, "monotonic", lambda: 5.0 + 0.2 * DAY)
    assert store.expire() == 1
    assert store.get(job.id, "").state == "expired" and list(store.pieces(job)) == []
    monkeypatch.setattr(time, "monotonic", lambda: 5.0 + 8 * DAY)
    store.expire()
    assert store.get(job.id, "") is None


def test_on_postgresql_results_age_in_steps_that_no_set_clock_can_exceed(postgres_url, tmp_path, monkeypatch):
    store = JobStore(tmp_path / "jobs", 2 * 3600.0, postgres_url)
    assert store._database.now() == pytest.approx(time.time(), abs=60)
    clock = [1000.0]
    monkeypatch.setattr(store._database, "now", lambda: clock[0])
    store.expire()
    add(store)
    job = store.take()
    store.finish(job, FACTS, [b"labels"], 1)
    for clock[0] in (4e9, 0.0, 4e9 + 1):  # ahead, back, ahead: two steps of an hour at most
        assert store.expire() == 0
    assert list(store.pieces(job)) == [b"labels"]
    clock[0] = 4e9 + 60
    assert store.expire() == 1 and list(store.pieces(job)) == []
    store.close()


def test_a_clock_set_back_changes_neither_order_nor_owner(store, another, monkeypatch):
    first = add(store)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    second = add(store)
    other = another()
    assert store.take().id == first.id and other.recover() == 0
    assert other.take().id == second.id


def test_a_store_that_was_deleted_takes_no_jobs(sqlite_store, tmp_path):
    """SQLite would go on in the deleted file, and lose all when the server ends."""
    store, upload = sqlite_store, tmp_path / "x.wav"
    add(store)
    upload.write_bytes(b"sound")
    (tmp_path / "jobs/jobs.sqlite").rename(tmp_path / "moved")
    for act in (store.take, lambda: add(store, source="", upload=upload)):
        with pytest.raises(StoreUnavailable, match="jobs.sqlite was deleted or replaced"):
            act()
    assert not list(store.recordings.iterdir())
    (tmp_path / "moved").rename(tmp_path / "jobs/jobs.sqlite")
    assert store.take().state == "running"


def test_a_full_disk_loses_nothing(sqlite_store):
    store = sqlite_store
    job_id = add(store).id
    job = store.take()
    db = store._database._connection
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to a disk that takes no more
    with pytest.raises(StoreUnavailable, match="no space left"):
        store.finish(job, FACTS, [b"x" * 100_000], 1)
    with pytest.raises(StoreUnavailable, match="no space left"):
        store.add(token="", name="x" * 50_000, options={}, most_waiting=9)
    assert store.get(job_id, "").state == "running" and list(store.pieces(job)) == []
    db.execute("PRAGMA max_page_count = 1000000")
    assert store.finish(job, FACTS, [b"x" * 100_000], 1)
    assert list(store.pieces(job)) == [b"x" * 100_000]


def test_one_key_is_one_job(store):
    first = add(store, request="k")
    assert add(store, request="k").id == first.id
    assert add(store, request="k", token="other").id != first.id
    assert store.submitted("", "k").id == first.id and store.submitted("", None) is None


def test_the_queue_has_an_end(store):
    add(store, most=1)
    with pytest.raises(QueueFull, match="1 jobs are waiting"):
        add(store, most=1)


def test_an_upload_goes_with_its_job(store, tmp_path):
    paths = []
    for _ in range(3):
        upload = tmp_path / "x.wav"
        upload.write_bytes(b"sound")
        paths.append(store.path_of(add(store, source="", upload=upload)))
    assert all(path.read_bytes() == b"sound" for path in paths) and not (tmp_path / "x.wav").exists()
    store.finish(store.take(), FACTS, [], 0)
    store.fail(store.take(), "not sound")
    store.cancel(store.take().id, "")
    assert not any(path.exists() for path in paths)


def test_uploads_that_no_job_wants_are_deleted_at_a_start(store, tmp_path, another):
    wanted = tmp_path / "x.wav"
    wanted.write_bytes(b"sound")
    kept = store.path_of(add(store, source="", upload=wanted))
    old, new = store.recordings / "old.wav", store.recordings / "new.wav"
    for path in (kept, old, new):
        path.write_bytes(b"sound")
    for path in (kept, old):
        os.utime(path, (1e9, 1e9))
    another(DAY)
    assert kept.exists() and new.exists() and not old.exists()


def test_what_is_not_a_store_is_refused(tmp_path):
    (tmp_path / "jobs.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(InputError, match="is damaged"):
        JobStore(tmp_path, DAY)
    (tmp_path / "jobs.sqlite").unlink()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="another version"):
        JobStore(tmp_path, DAY)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        JobStore(tmp_path / "file" / "jobs", DAY)


def lose_connection(store, postgres_url):
    """End the server's session, as a restart of PostgreSQL does."""
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as other:
        named = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
        assert other.execute(named, (store.owner[:63],)).fetchone() == (True,)


def test_a_lost_connection_loses_no_job(postgres_url, tmp_path):
    """A server connects again and still owns its jobs, unless another took them meanwhile."""
    store, other = (JobStore(tmp_path / "jobs", DAY, postgres_url) for _ in range(2))
    jobs = [add(store), add(store)]
    first, second = store.take(), store.take()
    lose_connection(store, postgres_url)
    with pytest.raises(StoreUnavailable, match=r"postgresql://.* cannot be used now"):
        store.note_progress(first, 1.0, 2.0)
    assert store.note_progress(first, 1.0, 2.0) and other.recover() == 0
    lose_connection(store, postgres_url)
    assert other.recover() == 2
    again = other.take()
    assert again.id == jobs[0].id
    with pytest.raises(StoreUnavailable):
        store.finish(first, FACTS, [b"late"], 1)
    assert not store.finish(first, FACTS, [b"late"], 1) and not store.finish(second, FACTS, [b"late"], 1)
    assert other.finish(again, FACTS, [b"once"], 1) and list(store.pieces(again)) == [b"once"]
    store.close()
    other.close()


def test_a_commit_whose_answer_was_lost(postgres_url, tmp_path, monkeypatch):
    store = JobStore(tmp_path / "jobs", DAY, postgres_url)
    wanted, execute = add(store).id, _Statements.execute

    def torn(self, statement, values=()):
        done = execute(self, statement, values)
        if statement == "COMMIT":
            monkeypatch.undo()
            lose_connection(store, postgres_url)
            execute(self, "SELECT 1")
        return done

    monkeypatch.setattr(_Statements, "execute", torn)
    with pytest.raises(CommitUnknown, match="was lost during a change"):
        store.take()
    assert store.get(wanted, "").state == "running"
    job = store.take()
    assert (job.id, job.attempts) == (wanted, 1) and store.take() is None
    upload = tmp_path / "x.wav"
    upload.write_bytes(b"sound")
    monkeypatch.setattr(_Statements, "execute", torn)
    with pytest.raises(CommitUnknown):
        add(store, source="", upload=upload, request="k")
    known = add(store, source="", request="k")
    assert store.path_of(known).read_bytes() == b"sound", "the client asks again and is answered with that job"
    store.close()


def test_a_folder_of_a_dead_server_is_deleted(postgres_url, tmp_path):
    store = JobStore(tmp_path / "jobs", DAY, postgres_url)
    (tmp_path / "jobs/server-gone-1").mkdir()
    other = JobStore(tmp_path / "jobs", DAY, postgres_url)
    assert store.scratch.is_dir() and not (tmp_path / "jobs/server-gone-1").exists()
    for each in (store, other):
        each.close()
    assert not list((tmp_path / "jobs").glob("server-*"))


def test_what_is_not_a_postgresql_store_is_refused(postgres_url, tmp_path):
    import psycopg

    with pytest.raises(InputError, match=r"postgresql://me:\*\*\*@127.0.0.1:1/x cannot be used now") as caught:
        JobStore(tmp_path, DAY, "postgresql://me:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError, match="not a usable PostgreSQL address"):
        JobStore(tmp_path, DAY, "postgresql://host/x?nonsense=1")
    JobStore(tmp_path, DAY, postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE britekit_jobs.version SET format = 99")
    with pytest.raises(InputError, match="another version"):
        JobStore(tmp_path, DAY, postgres_url)


def test_two_threads_on_one_store(store):
    """A thread that reads between the statements of another's transaction must not see half of it."""
    import threading

    ids = [add(store).id for _ in range(40)]
    taken: list[str] = []

    def work() -> None:
        while (job := store.take()) is not None:
            taken.append(job.id)
            store.finish(job, FACTS, [job.id.encode()], 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)
    assert all(list(store.pieces(store.get(x, ""))) == [x.encode()] for x in ids)
