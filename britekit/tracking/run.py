"""Record one W&B run per stage: online with a key, else offline, and never at the cost of a result."""

from __future__ import annotations

import logging
import netrc
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from britekit.config import BaseConfig, to_shown_dict, without_password
from britekit.tracking.facts import experiment_name, hash_of_output, hashes_of, is_dvc_stage, main_root, provenance
from britekit.tracking.interrupted import OpenRun
from britekit.tracking.lineage import build_artifact

log = logging.getLogger(__name__)

_SERVER = "https://api.wandb.ai"
# Long enough for a slow login, short enough for a stage not to appear to hang.
_LOGIN_SECONDS = 20
_CONNECT_SECONDS = 3.0
_starting = threading.Lock()


class StageRun:
    """Records of a stage; without W&B, every method is a no-op.

    The first W&B error is logged as a warning, and recording stops: results matter more than records.
    """

    def __init__(self, run: Any = None) -> None:
        self._run = run
        self._linked, self._warned = True, False

    @property
    def active(self) -> bool:
        """Whether anything is recorded."""
        return self._run is not None

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        """Record numbers of one step of a curve."""
        self._try(lambda run: run.log(values, step=step))

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final figures."""
        self._try(lambda run: run.summary.update(values))

    def image(self, name: str, path: str | Path) -> None:
        """Record a picture file."""
        self._try(lambda run: run.log({name: _wandb().Image(str(path))}))

    def curve(self, name: str, x: str, y: str, points: Iterable[tuple[float, float]]) -> None:
        """Record a curve as a separate chart, in which W&B overlays several runs."""

        def draw(run: Any) -> None:
            run.define_metric(f"{name}/{x}", hidden=True)
            run.define_metric(f"{name}/{y}", step_metric=f"{name}/{x}", summary="none")
            for first, second in points:
                run.log({f"{name}/{x}": first, f"{name}/{y}": second})

        self._try(draw)

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Record a table; ``rows`` in the order of ``columns``."""
        data = [list(row) for row in rows]
        self._try(lambda run: run.log({name: _wandb().Table(columns=list(columns), data=data)}))

    def artifact(self, name: str, kind: str, paths: Iterable[str | Path], facts: dict[str, Any]) -> None:
        """Record files under a name, with their facts."""

        def store(run: Any) -> None:
            artifact = _wandb().Artifact(name, type=kind, metadata=facts)
            for path in paths:
                artifact.add_file(str(path))
            run.log_artifact(artifact)

        self._try(store)

    def use(self, path: str | Path, kind: str, md5: str) -> None:
        """Record an input, by its hash, in the graph of artifacts."""
        # The public `use_artifact` refuses offline runs, and waits for the server online.
        self._link(lambda run: run._log_artifact(build_artifact(_wandb(), path, kind, md5), use_after_commit=True))

    def output(self, path: str | Path, kind: str) -> None:
        """Record a file or folder that the stage wrote in the graph of artifacts; see `lineage` for its types.

        Call it when the files are final. A database at an address, and a folder outside a DVC project, have no hash and
        are left out; a run warns of its first such folder.
        """
        if self._run is None or not self._linked or "://" in str(path):
            return
        md5 = hash_of_output(path)
        if md5 is None:
            if not self._warned:
                log.warning("%s is not in W&B's graph of artifacts, since only DVC hashes folders; run dvc init", path)
            self._warned = True
        else:
            self._link(lambda run: run.log_artifact(build_artifact(_wandb(), path, kind, md5)))

    def _link(self, act: Callable[[Any], object]) -> None:
        """Record in the graph; an error ends the graph alone, not the curves of the run."""
        if self._run is None or not self._linked:
            return
        try:
            act(self._run)
        except Exception as error:  # W&B may raise anything
            log.warning("W&B's graph of artifacts is incomplete for this run: %s", _first_line(error))
            self._linked = False

    def finish(self, failed: bool = False) -> None:
        """End the run and flush its records."""
        self._try(lambda run: run.finish(exit_code=1 if failed else 0))
        self._run = None

    def _try(self, act: Callable[[Any], object]) -> None:
        if self._run is None:
            return
        try:
            act(self._run)
        except Exception as error:  # W&B may raise anything, which must not lose a result
            log.warning("W&B stopped recording this run: %s", _first_line(error))
            self._run = None


@contextmanager
def stage_run(
    stage: str,
    cfg: BaseConfig,
    inputs: Mapping[Any, str] | None = None,
    group: str | None = None,
    name: str | None = None,
    continues: bool = False,
) -> Iterator[StageRun]:
    """Record one stage as a W&B run: group = experiment, job type = stage, config = settings and hashes.

    The project is named after its folder. Training runs differ by a tag, their seed, so that W&B averages the runs of
    one group and job type. Active inside a DVC stage, or if ``WANDB_MODE`` or ``WANDB_PROJECT`` is set. Without a key,
    runs are offline, below ``wandb/`` of the user's repository; W&B's environment variables take precedence.

    Parameters
    ----------
    inputs
        Files and folders that the stage read, with their types (see `lineage`); their hashes are recorded, and those
        whose hash is not known are listed. A database at an address is left out.
    group, name
        Group and name of the run; by default the experiment and the stage.
    continues
        Whether the stage continues what it was doing when it was interrupted; then its run goes on as well.
    """
    inputs = {path: kind for path, kind in (inputs or {}).items() if "://" not in str(path)}
    started = _start(stage, cfg, inputs, group, name, continues)
    run = StageRun(started and started.run)
    if started is not None:
        for path, kind in inputs.items():
            if (md5 := started.hashes.get(Path(path).as_posix())) is not None:
                run.use(path, kind, md5)
    done = False
    try:
        yield run
        done = True
    finally:
        run.finish(failed=not done)
        if started is not None and started.open is not None:
            started.open.close(done)


def link_in_registry(cfg: BaseConfig, name: str, path: Path, alias: str, facts: dict[str, Any]) -> str | None:
    """Record a file as an artifact and link it in W&B's registry of models; return why that was not done, or None."""
    run = None
    try:
        if (started := _start("promote", cfg, [path])) is None:
            return "not linked: W&B is switched off"
        run = started.run
        if run.offline:
            return "not linked: W&B is offline"
        artifact = _wandb().Artifact(name, type="model", metadata=facts)
        artifact.add_file(str(path))
        run.link_artifact(run.log_artifact(artifact), f"wandb-registry-model/{name}", aliases=[alias])
    except Exception as error:  # W&B may raise anything; the tags are there all the same
        return f"not linked: {_first_line(error)}"
    finally:
        if run is not None:
            run.finish()
    return None


@dataclass(frozen=True)
class _Started:
    run: Any
    hashes: dict[str, str]
    open: OpenRun | None


def _start(
    stage: str,
    cfg: BaseConfig,
    inputs: Iterable[str | Path],
    group: str | None = None,
    name: str | None = None,
    continues: bool = False,
) -> _Started | None:
    given = os.environ.get
    mode = given("WANDB_MODE", "").lower()
    asked = is_dvc_stage() or mode or given("WANDB_PROJECT") or given("WANDB_SWEEP_ID") or stage == "promote"
    if mode == "disabled" or not asked:
        return None
    # Keep W&B off the terminal: no banner, no link, no login prompt.
    os.environ.setdefault("WANDB_SILENT", "true")
    paths = [Path(path).as_posix() for path in inputs]
    hashes = hashes_of(paths)
    facts: dict[str, Any] = {**provenance(), "stage": given("DVC_STAGE", stage), "inputs": hashes}
    if missing := [path for path in paths if path not in hashes]:
        facts["inputs_without_hash"] = missing
    folder = Path(given("WANDB_DIR") or main_root())
    seed = f"seed-{cfg.train.seed}" if stage == "train" and cfg.train.seed is not None else ""
    open_run = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wandb = _wandb()
        # A run that W&B's own variables name, such as one of a sweep, is theirs to continue.
        if continues and not given("WANDB_RUN_ID") and not given("WANDB_RESUME"):
            open_run = OpenRun(folder, facts["stage"], stage, group, name, to_shown_dict(cfg), hashes)
            open_run.take()
        before = open_run.before if open_run is not None else {}
        arguments: dict[str, Any] = {
            "project": given("WANDB_PROJECT") or _project_name(),
            "group": given("WANDB_RUN_GROUP") or before.get("group") or group or experiment_name(),
            "job_type": given("WANDB_JOB_TYPE") or stage,
            "name": given("WANDB_NAME") or name or facts["stage"],
            "config": {**to_shown_dict(cfg), "provenance": facts},
            "dir": str(folder),
        }
        mode = mode or ("online" if _key() and _reachable() else "offline")
    except Exception as error:  # an unwritable folder, or a broken installation of W&B
        log.warning("this run is not recorded by W&B: %s", _first_line(error))
        if open_run is not None:
            open_run.close(done=False)
        return None
    # For a wrong key, the exporter of W&B's own metrics logs additional lines.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    for attempt in dict.fromkeys((mode, "offline")):
        same = attempt == "online" and before.get("online")
        arguments["tags"] = [seed] if seed else []
        if before and not same:
            arguments["tags"].append(f"resume_of:{before['id']}")
        resumed = {"id": before["id"], "resume": "allow"} if same else {}
        if not resumed and given("WANDB_RUN_ID"):  # W&B reads it only once per process
            resumed = {"id": given("WANDB_RUN_ID")}
        try:
            # Trials on a cluster are runs at the same time; by default W&B would return the first to all.
            settings = wandb.Settings(init_timeout=_LOGIN_SECONDS, console="off", silent=True, reinit="create_new")
            with _starting, _shown_arguments():
                run = wandb.init(mode=attempt, settings=settings, **arguments, **resumed)
            if open_run is not None:
                open_run.note(run)
            return _Started(run, hashes, open_run)
        except Exception as error:  # a wrong key, an unreachable server, a full disk
            more = "" if attempt == "offline" else ": the run is kept offline"
            log.warning("W&B could not start %s (%s)%s", attempt, _first_line(error), more)
    if open_run is not None:
        open_run.close(done=False)
    return None


def _project_name() -> str:
    """Return the name of the project's folder, without characters that W&B rejects."""
    return re.sub(r"[/\\#?%:]", "-", main_root().name)[:128] or "britekit"


@contextmanager
def _shown_arguments() -> Iterator[None]:
    """Hide passwords in database URLs from W&B, which records the command line."""
    given = sys.argv
    sys.argv = [without_password(argument) for argument in given]
    try:
        yield
    finally:
        sys.argv = given


def _wandb() -> Any:
    import wandb  # 1.5 s

    return wandb


def _key() -> str | None:
    """Return the key in the environment or in the .netrc file, as written by ``wandb login``, or None."""
    if os.environ.get("WANDB_API_KEY"):
        return os.environ["WANDB_API_KEY"]
    host = urlsplit(os.environ.get("WANDB_BASE_URL", _SERVER)).hostname
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in map(os.path.expanduser, places):
        if host and os.path.isfile(path):
            try:
                found = netrc.netrc(path).authenticators(host)
            except (netrc.NetrcParseError, OSError) as error:
                log.warning("%s cannot be read (%s): this run is kept offline", path, type(error).__name__)
                continue
            return found[2] if found is not None else None
    return None


def _reachable() -> bool:
    """Return whether the server accepts a connection; W&B itself would wait much longer."""
    address = urlsplit(os.environ.get("WANDB_BASE_URL", _SERVER))
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        log.warning("W&B's server %s cannot be reached (%s): the run is kept offline", address.hostname, error)
        return False
    return True


def _first_line(error: BaseException) -> str:
    """Return the first line of an error, with any API key removed."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    key = _key()
    return text.replace(key, "***") if key else text
