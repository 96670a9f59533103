"""A picture that a notebook shows and a script saves."""

import os
from collections.abc import Callable
from pathlib import Path

from britekit.files import atomic_path
from britekit.leftovers import temporary_folder


class Picture:
    """A PNG; a notebook shows it as the value of a cell.

    Parameters
    ----------
    png
        The bytes of the file.
    """

    def __init__(self, png: bytes) -> None:
        self.png = png

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"<Picture: {len(self.png)} bytes>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the PNG."""
        with atomic_path(path) as temporary:
            temporary.write_bytes(self.png)


def draw_picture(draw: Callable[[Path], object], path: str | os.PathLike[str] | None = None) -> Picture:
    """Return the picture that `draw` writes to the path it receives; also write it to `path` if given."""
    with temporary_folder("picture") as folder:
        file = folder / "picture.png"
        draw(file)
        if path is not None:
            draw(Path(path))
        return Picture(file.read_bytes())
