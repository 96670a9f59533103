"""Categories and classes by name."""

from __future__ import annotations

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from britekit.database.named import get_or_add_named, require_named
from britekit.database.schema import DEFAULT_NAME, Category, Class, SegmentClass
from britekit.errors import DatabaseError


def get_or_add_category(session: Session, name: str = DEFAULT_NAME) -> int:
    """Return the ID of a category, adding it if it is new."""
    if not name:
        raise DatabaseError("a category needs a name")
    return get_or_add_named(session, Category, name)


def find_class(session: Session, name: str) -> Class | None:
    """Return a class by its name, or None."""
    return session.scalar(select(Class).where(Class.name == name))


def require_class(session: Session, name: str) -> Class:
    """Return a class by its name.

    Raises `DatabaseError` if there is none; a name close to it is suggested.
    """
    return session.get_one(Class, require_named(session, Class, "class", name))


def add_class(
    session: Session, name: str, code: str = "", category_id: int | None = None, alt_name: str = "", alt_code: str = ""
) -> int:
    """Add a class and return its ID; empty texts are stored as null.

    Raises `DatabaseError` if the name is empty or taken, or the code belongs to another class.
    """
    if not name:
        raise DatabaseError("a class needs a name")
    if find_class(session, name) is not None:
        raise DatabaseError(f'class "{name}" is already in {session.info["where"]}')
    check_code(session, name, code)
    row = {
        "category_id": get_or_add_category(session) if category_id is None else category_id,
        "name": name,
        "code": code or None,
        "alt_name": alt_name or None,
        "alt_code": alt_code or None,
        "inserted_date": session.info["inserted_date"],
    }
    return session.scalars(insert(Class).values(row).returning(Class.id)).one()


def get_or_add_class(session: Session, name: str, code: str = "", category: str = DEFAULT_NAME) -> int:
    """Return the ID of a class, adding it and its category if new; a code it lacks is filled in.

    Raises `DatabaseError` if the class has another code, or the code belongs to another class.
    """
    found = find_class(session, name)
    if found is None:
        return add_class(session, name, code, get_or_add_category(session, category or DEFAULT_NAME))
    if code and found.code and found.code != code:
        raise DatabaseError(f'class "{name}" already has the code "{found.code}", not "{code}"; leave out --code')
    if code and not found.code:
        check_code(session, name, code)
        session.execute(update(Class).where(Class.id == found.id).values(code=code))
    return found.id


def check_code(session: Session, name: str, code: str) -> None:
    """Raise `DatabaseError` if a non-empty code belongs to a class of another name."""
    if not code:
        return
    owner = session.scalar(select(Class.name).where(Class.code == code, Class.name != name).limit(1))
    if owner is not None:
        raise DatabaseError(f'code "{code}" is already used by class "{owner}"; choose another')


def segment_counts(session: Session) -> dict[int, int]:
    """Return how many segments each class is linked to, by class ID; classes without any have 0."""
    counts = dict.fromkeys(session.scalars(select(Class.id).order_by(Class.id)), 0)
    query = select(SegmentClass.class_id, func.count()).group_by(SegmentClass.class_id)
    for class_id, count in session.execute(query):
        if class_id is not None:
            counts[class_id] = count
    return counts
