"""Error kinds and suggestions."""

import pytest

from britekit import errors


def test_every_kind_is_a_britekit_error():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]
    assert len(kinds) >= 7
    assert all(issubclass(kind, errors.BriteKitError) for kind in kinds)


def test_config_errors_hold_their_problems():
    error = errors.ConfigError("one", "two")
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo"


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("Amercan Crow", ["American Crow", "Common Raven"], '; did you mean "American Crow"?'),
        ("american crow", ["American Crow"], '; did you mean "American Crow"?'),
        ("Ostrich", ["American Crow"], ""),
        ("x", [], ""),
        ("", ["a"], ""),
    ],
)
def test_suggestions(name, candidates, expected):
    assert errors.suggest(name, candidates) == expected
