"""Names of recordings in pictures: any script that a font of this machine has, and never a formula."""

from __future__ import annotations

from functools import lru_cache

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

# Widespread fonts that hold what DejaVu lacks, in the order in which they are asked.
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
    """Show a name in a text of a figure.

    Characters that no font here has become boxes; line breaks and other control characters become spaces.
    """
    shown = "".join(character if character.isprintable() else " " for character in name)
    missing = frozenset(shown) - _glyphs_of_default()
    families = _families_for(missing) if missing else ()
    for family in families:
        missing -= _glyphs(family)
    label.set_parse_math(False)  # a name may hold dollar signs
    label.set_fontfamily(["DejaVu Sans", *families])
    label.set_text("".join(_NO_GLYPH if character in missing else character for character in shown))


@lru_cache(maxsize=1)
def _glyphs_of_default() -> frozenset[str]:
    path = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    return frozenset(map(chr, FT2Font(path).get_charmap()))


@lru_cache(maxsize=256)
def _families_for(missing: frozenset[str]) -> tuple[str, ...]:
    """Return the families, of those installed, that are needed for these characters."""
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
