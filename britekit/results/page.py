"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from britekit.files import waiting_path, write_text


@dataclass(frozen=True)
class Section:
    """A part of a report: text, a picture, a table, or several of them."""

    title: str
    text: str = ""
    picture: str = ""
    """PNG as base64."""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def picture_of(path: Path) -> str:
    """Return a PNG file as `Section.picture`."""
    return base64.b64encode(waiting_path(path).read_bytes()).decode("ascii")


def write_page(path: Path, title: str, facts: Sequence[str], sections: Sequence[Section]) -> None:
    """Write the page; all text is escaped."""
    import jinja2

    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    write_text(path, template.render(title=title, facts=facts, sections=sections))
