"""Errors that callers of public britekit also catch as errors of the standard library."""

from __future__ import annotations

import sqlite3

from britekit.errors import DatabaseError, InputError


class MissingFile(InputError, FileNotFoundError):
    """A file that does not exist."""


class ExistingFile(InputError, FileExistsError):
    """A file that would be overwritten."""


class UnusableFile(InputError, ValueError):
    """A file that is damaged, of another kind or of an unknown version."""


class UnknownArea(InputError, KeyError):
    """A code that no area has."""

    __str__ = Exception.__str__


class UnknownParent(InputError, ValueError):
    """The code of a parent that no area has."""


class RefusedRow(DatabaseError, sqlite3.IntegrityError):
    """A row that the schema refuses."""
