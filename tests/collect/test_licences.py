import pytest

from britekit.collect.licences import is_wanted, normalize_licence


@pytest.mark.parametrize(
    "text, expected",
    [
        ("//creativecommons.org/licenses/by-nc-sa/4.0/", "CC-BY-NC-SA"),
        ("https://creativecommons.org/licenses/by/3.0", "CC-BY"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
        ("cc0", "CC0"),
        ("CC0 1.0", "CC0"),
        ("CC BY-NC 4.0", "CC-BY-NC"),
        ("cc-by-nc-nd", "CC-BY-NC-ND"),
        ("CC-BY-SA-4.0", "CC-BY-SA"),
        ("BY_NC_SA", "CC-BY-NC-SA"),
        ("MIT", "MIT"),
        ("", ""),
        ("all rights reserved", "ALL RIGHTS RESERVED"),
    ],
)
def test_one_spelling(text, expected):
    assert normalize_licence(text) == expected


def test_only_what_is_listed_is_wanted():
    assert is_wanted("", None)
    assert not is_wanted("", ["CC0"]) and not is_wanted("", [""])
    assert is_wanted("CC BY 4.0", ["cc-by"])
    assert not is_wanted("CC-BY-NC", ["CC-BY"])
