"""A table that grows by whole rows while a command runs, without duplicate keys.

Each row is appended in a single write, so a killed command leaves whole rows. Columns and rows of other programs are
kept.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from britekit.errors import InputError
from britekit.files import csv_text, write_text, writing


class CsvLog:
    """A growing table; thread-safe, for one process at a time.

    Raises `InputError` if the file exists and is not such a table.

    Parameters
    ----------
    keys
        Columns that identify a row.
    """

    def __init__(self, path: Path, columns: Sequence[str], keys: Sequence[str]) -> None:
        self._path = path
        self._columns = tuple(columns)
        self._keys = tuple(keys)
        self._lock = Lock()
        self._header, self._rows = _read(path, keys)
        missing = [name for name in columns if name not in self._header]
        self._stale = bool(self._rows or self._header) and bool(missing)
        self._header += missing
        self._places = {self._key(row): place for place, row in enumerate(self._rows)}

    def __contains__(self, key: Sequence[str]) -> bool:
        return tuple(key) in self._places

    def get(self, *key: str) -> dict[str, str] | None:
        """Return the row with these keys, or None."""
        place = self._places.get(key)
        return None if place is None else dict(self._rows[place])

    def add(self, row: Mapping[str, str]) -> None:
        """Write a row; update our columns if it exists and differs."""
        clean = {name: " ".join(str(row.get(name, "")).split()) for name in self._columns}
        with self._lock:
            place = self._places.get(self._key(clean))
            if place is not None:
                if all(self._rows[place].get(name, "") == clean[name] for name in self._columns):
                    return
                self._rows[place] |= clean
                self._rewrite()
                return
            self._places[self._key(clean)] = len(self._rows)
            self._rows.append(clean)
            if self._stale or not self._path.exists():
                self._rewrite()
            else:
                self._append(clean)

    def _key(self, row: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(row.get(name, "") for name in self._keys)

    def _cells(self, row: Mapping[str, str]) -> list[str]:
        return [row.get(name, "") for name in self._header]

    def _rewrite(self) -> None:
        write_text(self._path, csv_text([self._header, *map(self._cells, self._rows)]))
        self._stale = False

    def _append(self, row: Mapping[str, str]) -> None:
        text = csv_text([self._cells(row)])
        with writing(self._path), open(self._path, "rb+", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                # an editor may omit the last line end
                closed = file.read(1) == b"\n"
            else:
                closed = True
            file.write((b"" if closed else b"\n") + text.encode())


def _read(path: Path, keys: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            rows = [{name: value for name, value in row.items() if name} for row in reader]
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}; correct or move it") from None
    if header and keys[0] not in header:
        raise InputError(f'{path} has no column "{keys[0]}", so no rows can be added; move it')
    if len(set(header)) < len(header):
        raise InputError(f"{path} has a duplicate column, so no rows can be added; keep one of each")
    return header, rows
