"""Commands that add or remove one named row of a training database, and record that in data/curation.csv."""

from typing import Annotated, Optional, Protocol

from britekit.options import DbPath, opt


class Edit(Protocol):
    """A command that takes a database and a name."""

    def __call__(self, db_path: Optional[str] = None, name: str = "") -> None: ...


def adding(command: str, kind: str, table: str) -> Edit:
    """Return the function of a command that adds a `kind` to a class of ``britekit.database.schema``."""

    def edit(
        db_path: DbPath = None,
        name: Annotated[str, opt("--name", required=True, metavar="NAME", help=f"{kind} to add")] = "",
    ) -> None:
        from britekit.config import resolve
        from britekit.database import schema
        from britekit.database.named import add_named
        from britekit.datasets.curation_rows import about_name
        from britekit.datasets.hand_edits import edit_by_hand

        with edit_by_hand(db_path or resolve().train.train_db, "create") as edits:
            add_named(edits.session, getattr(schema, table), kind, name)
            edits.record(about_name(command, name))
        print(f'Added {kind} "{name}"')

    return _named(edit, command, f"Add a {kind}.")


def removal(command: str, kind: str, table: str, delete: str, takes: str = "") -> Edit:
    """Return the function of a command that removes a `kind` with ``britekit.database.deletion.<delete>``.

    Parameters
    ----------
    command
        Name on the command line and in data/curation.csv.
    kind
        What is removed, for messages.
    table
        Class of ``britekit.database.schema``.
    delete
        Function of ``britekit.database.deletion``.
    takes
        What goes with it, for the docstring.
    """

    def edit(
        db_path: DbPath = None,
        name: Annotated[str, opt("--name", required=True, metavar="NAME", help=f"{kind} to remove")] = "",
    ) -> None:
        from britekit.config import resolve
        from britekit.database import deletion, schema
        from britekit.database.named import require_named
        from britekit.datasets.curation_rows import about_name
        from britekit.datasets.hand_edits import edit_by_hand

        rows = getattr(schema, table)
        database = db_path or resolve().train.train_db
        with edit_by_hand(database, check=lambda s: require_named(s, rows, kind, name)) as edits:
            removed = getattr(deletion, delete)(edits.session, name)
            edits.record(about_name(command, name))
        for line in removed.lines():
            print(line)

    return _named(edit, command, f"Remove a {kind}{takes}; print the rows removed per table.")


def _named(edit: Edit, command: str, doc: str) -> Edit:
    name = command.replace("-", "_")
    edit.__name__ = edit.__qualname__ = name  # type: ignore[attr-defined]
    edit.__module__, edit.__doc__ = f"britekit.commands.{name}", doc
    return edit
