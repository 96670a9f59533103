"""Normalize licences, and select recordings by licence."""

import re
from collections.abc import Iterable

from britekit.errors import InputError

_CREATIVE_COMMONS = re.compile(r"^(?:CC[-_ ]?)?(BY(?:[-_ ]?(?:NC|ND|SA))*)(?:[-_ /]?\d.*)?$")
_ADDRESS = re.compile(r"^(?:HTTPS?:)?(?://)?(?:WWW\.)?CREATIVECOMMONS\.ORG/(?:LICENSES|PUBLICDOMAIN)/([A-Z+-]+)")


def normalize_licence(text: str) -> str:
    """Return the canonical form of a licence given as text or address, such as ``CC-BY-NC``, without version.

    Public domain dedications become ``CC0``. Other licences than Creative Commons are returned in upper case.
    """
    text = text.strip().upper().rstrip("/")
    path = _ADDRESS.match(text)
    if path and path[1] in ("ZERO", "MARK"):
        return "CC0"
    if path:
        text = path[1]
    # a bare 0 is a stray number, not a dedication
    if re.fullmatch(r"(CC[-_ ]?(0|ZERO)|(CC[-_ ]?)?(PDM?|PUBLIC[-_ ]?DOMAIN([-_ ]?MARK)?))([-_ ]?\d\.\d)?", text):
        return "CC0"
    found = _CREATIVE_COMMONS.match(text)
    if found:
        parts = re.findall("NC|ND|SA", found[1])
        return "-".join(["CC-BY", *(part for part in ("NC", "ND", "SA") if part in parts)])
    return text


def is_wanted(licence: str, wanted: Iterable[str] | None) -> bool:
    """Return whether a licence is accepted; None accepts all, otherwise an unknown licence is rejected."""
    if wanted is None:
        return True
    known = normalize_licence(licence)
    return bool(known) and known in {normalize_licence(item) for item in wanted}


def parse_licences(text: str | None) -> list[str] | None:
    """Parse a comma-separated list of licences; None accepts all.

    Raises `InputError` if the list is empty.
    """
    if text is None:
        return None
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise InputError("the list of licences is empty; expected names such as CC0,CC-BY")
    return items
