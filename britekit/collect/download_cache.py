"""Cache the downloads of `collect` outside the pipeline's outs, so that nothing is requested twice.

DVC deletes outs before a stage runs, and a stage may be interrupted. So recordings from the network go to
``_local/downloads/<source>`` first, which Git and DVC ignore, and are copied from there. The folder may be deleted at
any time.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType

from britekit.collect.offers import ANY_CLASS, Offer, SourceRow
from britekit.collect.recording_folder import Remote, Store
from britekit.collect.recordings_table import FILE_NAME, Details, read_recordings_table
from britekit.collect.web import Limits, Web
from britekit.collect.xeno_canto import KEY_VARIABLE
from britekit.config.misc import MiscConfig
from britekit.errors import InputError

FOLDER = Path("_local", "downloads")
DEFAULT_LIMIT = 500
DEFAULT_RATE = 32000


class Downloads:
    """The session and the cache of one run of `collect`; a context manager.

    Parameters
    ----------
    misc
        Addresses and `request_pause`.
    project
        Project folder, which holds the cache and ``data/audioset``.
    licences
        Accepted licences; None for all.
    """

    def __init__(self, misc: MiscConfig, project: Path, licences: Sequence[str] | None = None) -> None:
        self.misc = misc
        self.project = project
        self.licences = licences
        self.key = os.environ.get(KEY_VARIABLE, "").strip()
        self.web = Web(Limits.paced(misc.request_pause), [self.key])
        self._stack = ExitStack()
        self._stores: dict[str, Store] = {}
        self._lock = Lock()

    def __enter__(self) -> "Downloads":
        self._stack.enter_context(self.web)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def directory(self, source: str) -> Path:
        """Return the cache folder of a source."""
        return self.project / FOLDER / source

    def known(self, source: str) -> dict[str, Details]:
        """Return the records of cached recordings, by stem."""
        return {row.recording: row.details for row in read_recordings_table(self.directory(source) / FILE_NAME)}

    def offer(self, row: SourceRow, remote: Remote) -> Offer:
        """Return a recording from the network as an offer."""
        return Offer(
            remote.file_name,
            row.class_name,
            remote.origin,
            partial(self._fetch, row.source, remote),
            remote.seconds,
            remote.details,
            partial(self._details, row.source, remote),
        )

    def _fetch(self, source: str, remote: Remote, target: Path) -> None:
        store = self._store(source)
        store.bring(remote)
        kept = store.find(remote)
        if kept is None:
            raise InputError(f"{remote.file_name} disappeared from {store.directory}; repeat the command")
        shutil.copyfile(kept, target)

    def _details(self, source: str, remote: Remote) -> Details:
        return self._store(source).details_of(remote)

    def _store(self, source: str) -> Store:
        with self._lock:
            if source not in self._stores:
                store = Store(self.directory(source), self.web)
                self._stores[source] = self._stack.enter_context(store)
            return self._stores[source]


def check_row(row: SourceRow, what: str) -> None:
    """Raise for a row without a single class or without a query.

    Raises
    ------
    InputError
    """
    if row.class_name == ANY_CLASS:
        raise InputError(f'source "{row.source}" needs a class; * is not one')
    if not row.query:
        raise InputError(f"the query is empty; expected {what}")
