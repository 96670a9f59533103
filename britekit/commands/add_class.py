"""Add a class to a training database.

The database is created if it is missing. A name that is taken, a code of another class or an unknown category is
an error.

    britekit add-class --name "American Crow" --code AMCR --alt-name "Corvus brachyrhynchos"
"""

from typing import Annotated

from britekit.options import ClassName, DbPath, opt


def add_class(
    db_path: DbPath = None,
    category: Annotated[str, opt("--cat", metavar="NAME", help="category of the class (default: default)")] = "default",
    name: ClassName = "",
    code: Annotated[str, opt("--code", required=True, metavar="CODE", help="class code")] = "",
    alt_name: Annotated[str, opt("--alt-name", metavar="NAME", help="another name, usually the scientific one")] = "",
    alt_code: Annotated[str, opt("--alt-code", metavar="CODE", help="another code")] = "",
) -> None:
    """Add a class."""
    from britekit.annotations.classes import clean_name
    from britekit.config import resolve
    from britekit.database.classes import add_class as add
    from britekit.database.named import require_named
    from britekit.database.schema import Category
    from britekit.datasets.curation_rows import Decision
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.errors import InputError

    name, code = clean_name(name, "--name"), clean_name(code, "--code")
    alt_name, alt_code = clean_name(alt_name, "--alt-name"), clean_name(alt_code, "--alt-code")
    for option_name, value in (("--name", name), ("--code", code)):
        if not value:
            raise InputError(f"a class needs a {option_name[2:]}; give it with {option_name}")
    details = {"category": category, "code": code, "alt_name": alt_name, "alt_code": alt_code}
    with edit_by_hand(db_path or resolve().train.train_db, "create") as edits:
        category_id = require_named(edits.session, Category, "category", category)
        add(edits.session, name, code, category_id, alt_name, alt_code)
        known = {key: value for key, value in details.items() if value}
        edits.record(Decision(0, "", None, name, "add-class", details=known))
    print(f'Added class "{name}"')
