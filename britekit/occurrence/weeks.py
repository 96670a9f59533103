"""The 48 weeks of occurrence data: four per month, the last of which has seven to ten days."""

from __future__ import annotations

from datetime import date

import numpy as np

from britekit.errors import InputError

WEEKS = 48
_LEAP_YEAR = 2000


def week_of(day: date) -> int:
    """Return the week, 0 to 47, of a date: days 1 to 7, 8 to 14, 15 to 21, and 22 to the end of the month."""
    return 4 * (day.month - 1) + min(3, (day.day - 1) // 7)


def week_of_text(text: str) -> int:
    """Return the week, 0 to 47, of ``2024-05-12`` or ``05-12``.

    Raises `InputError` if it is not a date of the calendar.
    """
    given = text.strip()
    try:
        # A day without a year may be 29 February.
        return week_of(date.fromisoformat(f"{_LEAP_YEAR}-{given}" if len(given) == 5 else given))
    except ValueError:
        raise InputError(f'date "{text}" is not a day; expected one such as 2024-05-12 or 05-12') from None


def checked_week(number: int) -> int:
    """Return the week, 0 to 47, of a number from 1 to 48, as people count.

    Raises `InputError` if it is outside that range.
    """
    if not 1 <= number <= WEEKS:
        raise InputError(f"week {number} does not exist; expected 1 to {WEEKS} (four per month), or a date")
    return number - 1


def smoothed(values: np.ndarray) -> np.ndarray:
    """Return, for each week on the last axis, the highest of it and its two neighbors; the year is a circle."""
    return np.maximum(values, np.maximum(np.roll(values, 1, axis=-1), np.roll(values, -1, axis=-1)))
