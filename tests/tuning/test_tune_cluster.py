"""`tune --engine ray`: the tables of a local search, also when a node dies; and who is blamed on a played cluster."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from britekit.cli import main
from britekit.config import BaseConfig
from britekit.errors import InputError, TrainingError
from britekit.tuning import cluster as tuning_cluster
from britekit.tuning.cluster import ClusterError, RayTrials, run_here
from tests.inference.test_cluster import cluster  # noqa: F401 a fixture
from tests.service.running import ROOT
from tests.tracking.offline_runs import read_runs
from tests.tuning.test_training_trials import SETTINGS
from tests.tuning.test_training_trials import project as trained  # noqa: F401 a fixture

pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")
NOTRAIN = ["tune", "--notrain", "-a", "test/annotations.csv", "-m", "micro_roc", "-p", "p.yaml"]
TABLES = ("metrics-summary.csv", "metrics-details.csv", "best.yaml")


def tables(folder):
    return {name: (Path(folder) / name).read_bytes() for name in TABLES}


@pytest.mark.soak
def test_equal_tables_with_a_worker_and_a_node_killed(project, cluster, capsys):  # noqa: F811
    Path("p.yaml").write_text("- {name: audio_power, type: float, bounds: [0.1, 2.0], step: 0.1}\n")
    assert main([*NOTRAIN, "-o", "local"]) == 0
    killed = []

    def rows():
        with contextlib.suppress(OSError):
            return len(Path("out/metrics-details.csv").read_text().splitlines()) - 1
        return 0

    def kill():
        end = time.monotonic() + 500
        while time.monotonic() < end and len(killed) < 2:
            if not killed and rows() >= 2:
                for process in psutil.process_iter():
                    with contextlib.suppress(psutil.Error):
                        if process.cmdline()[:1] == ["ray::run_here"] and process.cwd() == str(project):
                            process.kill()
                            killed.append("worker")
                            break
            elif killed and rows() >= 7:
                cluster.remove_node(cluster.second, allow_graceful=False)
                killed.append("node")
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    assert main([*NOTRAIN, "-o", "out", "--engine", "ray", "--address", cluster.address]) == 0
    killer.join()
    assert killed == ["worker", "node"] and tables("out") == tables("local")
    found = capsys.readouterr()
    assert "best audio_power" in found.out and "was lost (WorkerCrashedError); it goes to another" in found.err


@pytest.mark.soak
def test_equal_tables_of_trials_that_train(trained, cluster):  # noqa: F811
    """Also with spectrograms of their own."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as the nodes have
    Path("p.yaml").write_text(
        "- {name: max_freq, type: int, bounds: [3000, 3800], step: 800}\n"
        "- {name: learning_rate, type: categorical, choices: [0.002, 0.004]}\n"
    )
    command = ["tune", "-a", "test/annotations.csv", "-p", "p.yaml", "--extract"]
    assert main([*command, "-o", "local"]) == 0
    assert main([*command, "-o", "out", "--engine", "ray", "--address", cluster.address]) == 0
    torch.set_num_threads(before)
    assert tables("out") == tables("local")
    configs = [yaml.safe_load(path.read_text()) for path in Path("logs").glob("version_*/config.yaml")]
    assert len(configs) == 8 and {c["train"]["model_type"] for c in configs} == {SETTINGS["train"]["model_type"]}


@pytest.mark.parametrize("command", ["tune", "pseudo-label"])
def test_no_cluster_at_the_address(project, capsys, command):
    Path("p.yaml").write_text("- {name: audio_power, type: categorical, choices: [1.0]}\n")
    arguments = {"tune": [*NOTRAIN, "-o", "out"], "pseudo-label": ["pseudo-label", "-i", "test", "-o", "x.npz"]}[
        command
    ]
    assert main([*arguments, "--engine", "ray", "--address", "127.0.0.1:1"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and '"127.0.0.1:1"' in errors[0] and errors[0].startswith("Error: no Ray cluster")
    assert main([*arguments, "--address", "127.0.0.1:1"]) == 1
    assert "--address is about a Ray cluster" in capsys.readouterr().err
    assert not Path("x.npz").exists()


class _TaskError(Exception):
    pass


class _LostError(Exception):
    pass


class PlayedRay:
    """Nodes named by letters; a task runs in the caller's thread and may be lost."""

    exceptions = SimpleNamespace(RayTaskError=_TaskError, RayError=_LostError)

    def __init__(self, nodes, lose=lambda node, seed: False):
        self.alive, self.lose, self.ran = set(nodes), lose, []

    def nodes(self):
        return [{"NodeID": 56 * name, "Alive": name in self.alive, "Resources": {"CPU": 1}} for name in "ab"]

    def remote(self, function):
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda *a: self._task(options, *a)))

    def _task(self, options, folder, make, cfg, seed):
        node = options["scheduling_strategy"].node_id[0]
        if self.lose(node, seed):
            return iter([_LostError("gone")])
        self.ran.append((node, seed))
        return run_here(folder, make, cfg, seed)

    def wait(self, streams, timeout):
        return streams, []

    def get(self, item):
        if isinstance(item, Exception):
            raise item
        return item

    def cancel(self, stream, force):
        pass


class Work:
    """Figures that depend on the seed, with two epochs before and a warning; 13 fails."""

    def run(self, cfg, seed, on_epoch):
        import logging

        for epoch in range(2):
            on_epoch({"epoch": epoch})
        logging.getLogger("britekit.somewhere").warning("seed %d is odd", seed)
        if seed == 13:
            raise InputError("thirteen")
        if seed == 14:
            raise KeyError("a bug")
        return {"macro_pr": seed / 100}


def make_work(_):
    return Work()


@pytest.fixture
def play(monkeypatch):
    def begin(played):
        monkeypatch.setattr(tuning_cluster, "connect", lambda _: (played, False))
        return RayTrials(make_work, True, None)

    return begin


def test_figures_epochs_warnings_and_errors_come_back(play, caplog):
    with play(PlayedRay("a")) as trials:
        epochs = []
        assert trials.run(BaseConfig(), 7, epochs.append) == {"macro_pr": 0.07}
        assert epochs == [{"epoch": 0}, {"epoch": 1}] and "seed 7 is odd" in caplog.text
        with pytest.raises(InputError, match="^thirteen$"):
            trials.run(BaseConfig(), 13, epochs.append)
        with pytest.raises(TrainingError, match="a bug"):
            trials.run(BaseConfig(), 14, epochs.append)


def test_a_lost_run_goes_to_another_node_and_a_deadly_one_is_given_up(play, caplog):
    played = PlayedRay("ab", lambda node, seed: node == "a" and played.alive.discard("a") is None)
    with play(played) as trials:
        assert trials.run(BaseConfig(), 7, lambda _: None) == {"macro_pr": 0.07}
        assert played.ran == [("b", 7)] and "was lost (_LostError); it goes to another" in caplog.text
    with play(PlayedRay("ab", lambda node, seed: True)) as trials, pytest.raises(TrainingError, match="lost 3 times"):
        trials.run(BaseConfig(), 7, lambda _: None)


def test_a_cluster_without_nodes_or_with_other_packages_ends_the_search(play, monkeypatch):
    monkeypatch.setattr(tuning_cluster, "_PATIENCE_SECONDS", 0.0)
    with play(PlayedRay("")) as trials, pytest.raises(ClusterError, match="had no node for"):
        trials.share(lambda: trials.run(BaseConfig(), 7, lambda _: None))
    here = tuning_cluster._facts()
    answers = iter([["britekit 0.1"], here])
    monkeypatch.setattr(tuning_cluster, "_facts", lambda: next(answers))
    with (
        play(PlayedRay("a")) as trials,
        pytest.raises(ClusterError, match="node aaaaaaaa has britekit 0.1; here it is"),
    ):
        answers = iter([["britekit 0.1"], here, here])
        trials.run(BaseConfig(), 7, lambda _: None)


def test_a_project_that_a_node_does_not_see(play, monkeypatch, tmp_path):
    monkeypatch.setattr(tuning_cluster.os, "getcwd", lambda: str(tmp_path / "absent"))
    with play(PlayedRay("a")) as trials, pytest.raises(ClusterError, match="node aaaaaaaa: .*absent cannot be entered"):
        trials.run(BaseConfig(), 7, lambda _: None)


def test_threads_share_the_places_and_an_error_ends_all(play):
    taken = iter(range(6))
    done, lock = [], threading.Lock()
    with play(PlayedRay("ab")) as trials:

        def take():
            while True:
                with lock:
                    seed = next(taken, None)
                if seed is None:
                    return
                done.append(trials.run(BaseConfig(), seed, lambda _: None)["macro_pr"])

        trials.share(take)
        assert sorted(done) == [seed / 100 for seed in range(6)]
        waiting = threading.Event()

        def fail():
            if not waiting.is_set():
                waiting.set()
                raise ClusterError("no more")
            while True:
                trials.run(BaseConfig(), 1, lambda _: None)

        with pytest.raises(ClusterError, match="no more"):
            trials.share(fail)


def test_trials_in_hand_are_put_back_when_the_cluster_is_lost(project, monkeypatch, capsys):
    """The next call, here, runs them."""
    Path("p.yaml").write_text("- {name: audio_power, type: categorical, choices: [0.5, 1.0]}\n")
    monkeypatch.setattr(tuning_cluster, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(tuning_cluster, "connect", lambda _: (PlayedRay(""), False))
    assert main([*NOTRAIN, "-o", "out", "--engine", "ray"]) == 1
    assert capsys.readouterr().err.startswith("Error: the Ray cluster had no node")
    assert main([*NOTRAIN, "-o", "out"]) == 0
    rows = Path("out/metrics-summary.csv").read_text().splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == {"audio_power=0.5", "audio_power=1.0"} and len(rows) == 2
    assert all(row.split(",")[2] and row.endswith(",") for row in rows), "figures, and no error"


@pytest.mark.soak
def test_trials_at_the_same_time_are_runs_of_their_own(project, monkeypatch):
    """W&B would give all threads the first run."""
    Path("p.yaml").write_text("- {name: audio_power, type: float, bounds: [0.4, 1.6], step: 0.4}\n")
    monkeypatch.setattr(tuning_cluster, "connect", lambda _: (PlayedRay("ab"), False))
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main([*NOTRAIN, "-o", "out", "--engine", "ray"]) == 0
    runs = read_runs(Path())
    assert sorted(run.summary["trial"] for run in runs) == [1, 2, 3, 4] and {run.exit_code for run in runs} == {0}
    rows = {
        int(row[0]): row for row in (line.split(",") for line in Path("out", TABLES[0]).read_text().splitlines()[1:])
    }
    for run in runs:
        row = rows[run.summary["trial"]]
        assert run.config["infer"]["audio_power"] == pytest.approx(float(row[1].partition("=")[2]))
        assert f"{run.summary['macro_pr']:.4f}" == row[2] and run.name == f"trial-{row[0]}"


@pytest.mark.soak
def test_an_interrupt_puts_trials_back(project, cluster):  # noqa: F811
    """Ctrl-C ends the runs of all nodes soon; the next call does them."""
    Path("p.yaml").write_text("- {name: audio_power, type: float, bounds: [0.1, 1.6], step: 0.1}\n")
    command = [sys.executable, "-m", "britekit", *NOTRAIN, "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--engine", "ray", "--address", cluster.address], stdout=subprocess.PIPE, text=True, env=environment
    )
    for line in process.stdout:
        if line.startswith("trial 3:"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert main([*NOTRAIN, "-o", "out"]) == 0
    rows = Path("out", TABLES[0]).read_text().splitlines()[1:]
    assert len({row.split(",")[1] for row in rows}) == len(rows) == 16 and all(row.endswith(",") for row in rows)
