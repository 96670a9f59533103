import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from britekit.collect.scrubbing import Scrubber

SECRET = 'a"b/c d&é+9'
SPELLINGS = [
    SECRET,
    quote(SECRET),
    quote(SECRET, safe=""),
    quote_plus(SECRET),
    quote(SECRET, safe="").lower(),
    quote(quote(SECRET, safe=""), safe=""),
    quote(quote(quote(SECRET, safe=""), safe=""), safe=""),
    html.escape(SECRET),
    json.dumps(SECRET)[1:-1],
    SECRET.upper(),
    "".join(f"%{byte:02X}" for byte in SECRET.encode()),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_goes(spelling):
    clean = Scrubber([SECRET]).scrub(f"the key {spelling} is wrong")
    assert spelling not in clean and "key" in clean


def test_other_texts_stay():
    assert Scrubber([SECRET]).scrub("nothing to hide: 100 % + a&b") == "nothing to hide: 100 % + a&b"
    assert Scrubber(["", SECRET]).scrub("") == ""
    assert Scrubber([""]).scrub("text") == "text"
    assert not Scrubber([SECRET]).is_in(base64.b64encode(b"x").decode())


@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_key_survives(secret, before, after):
    scrubber = Scrubber([secret])
    for spelling in (secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret)):
        clean = scrubber.scrub(before + spelling + after)
        rest = clean.replace("[key]", "").replace("[a text that holds the key]", "")
        assert secret not in rest
