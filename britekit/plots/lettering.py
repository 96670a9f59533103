"""Write names of recordings and classes in pictures, in any script that installed fonts support."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from unicodedata import east_asian_width

import matplotlib
from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

# Common fonts with glyphs that DejaVu lacks, in order of preference.
_OTHER_FAMILIES = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC",
    "Noto Sans KR", "Source Han Sans", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "IPAGothic",
    "Droid Sans Fallback",
    "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Bengali", "Noto Sans Tamil",
    "Nirmala UI", "Leelawadee UI", "Segoe UI",
)  # fmt: skip
_NO_GLYPH = "\u25a1"


def set_name(label: Text, name: str) -> None:
    """Set the text of a figure element to a name.

    Characters without an installed font become boxes; line breaks and other control characters become spaces.
    """
    shown = "".join(character if character.isprintable() else " " for character in name)
    missing = frozenset(shown) - _glyphs_of_default()
    families = _families_for(missing) if missing else ()
    for family in families:
        missing -= _glyphs(family)
    label.set_parse_math(False)  # a name may contain dollar signs
    label.set_fontfamily(["DejaVu Sans", *families])
    label.set_text("".join(_NO_GLYPH if character in missing else character for character in shown))


def set_tick_names(axis: Axis, names: Sequence[str]) -> None:
    """Set names as tick labels at 0, 1, 2 … of an axis."""
    axis.set_ticks(range(len(names)), names)
    labels = axis.get_ticklabels()
    for label, name in zip(labels, names, strict=True):
        set_name(label, name)
    # The axis overwrites the labels with its own copy of the texts whenever it is drawn.
    axis.set_ticks(range(len(names)), [label.get_text() for label in labels])


def shorten(name: str, most: int) -> str:
    """Return a name cut to ``most`` letters; wide characters count twice."""
    if width_of(name) <= most:
        return name
    kept = ""
    for character in name:
        if width_of(kept + character) > most - 1:
            break
        kept += character
    return kept.rstrip() + "…"


def width_of(name: str) -> int:
    """Return the width of a name in letters."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in name)


@lru_cache(maxsize=1)
def _glyphs_of_default() -> frozenset[str]:
    path = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    return frozenset(map(chr, FT2Font(path).get_charmap()))


@lru_cache(maxsize=256)
def _families_for(missing: frozenset[str]) -> tuple[str, ...]:
    """Return the installed font families that are needed for these characters."""
    chosen = []
    for family in _OTHER_FAMILIES:
        if family in _installed() and missing & _glyphs(family):
            chosen.append(family)
            missing -= _glyphs(family)
    return tuple(chosen)


@lru_cache(maxsize=1)
def _installed() -> frozenset[str]:
    return frozenset(font.name for font in font_manager.fontManager.ttflist)


@lru_cache(maxsize=32)
def _glyphs(family: str) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(font_manager.findfont(family)).get_charmap()))
