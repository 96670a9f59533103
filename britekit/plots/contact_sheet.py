"""Lay out small spectrograms of many segments in rows, each with its name, on pages."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from britekit.plots.lettering import set_name, width_of
from britekit.plots.spectrogram import colored, save_picture
from britekit.plots.style import DPI, GRAY, common_style

COLUMNS, ROWS = 6, 12
# A page has about the proportions of a sheet of paper, and prints at 200 dpi.
_CELL_WIDTH, _CELL_HEIGHT, _CAPTION, _GAP = 250, 110, 20, 10
_HEAD, _FOOT, _SIDE = 56, 34, 26
_WIDTH = 2 * _SIDE + COLUMNS * _CELL_WIDTH + (COLUMNS - 1) * _GAP
# Digits and capitals of 6 points take 8 pixels each.
_MOST_LETTERS = 31


class ContactSheet:
    """Collects segments and writes a page whenever one is full; a context manager.

    Parameters
    ----------
    page_path
        Returns the file of a page by its number, from 1.
    legend
        Text below each page: what width and height of a cell mean.
    power
        Exponent applied to the values scaled to 0 … 1.

    Attributes
    ----------
    pages
        Files written so far.
    """

    def __init__(self, page_path: Callable[[int], Path], title: str, legend: str, power: float = 1.0) -> None:
        self.pages: list[Path] = []
        self._page_path, self._title, self._legend, self._power = page_path, title, legend, power
        self._cells: list[NDArray[np.uint8]] = []
        self._captions: list[str] = []

    def __enter__(self) -> ContactSheet:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.finish()

    def add(self, image_FT: NDArray[np.float32], caption: str) -> None:
        """Add a segment to the sheet."""
        # Downscale at once: a page of full spectrograms would take many times the memory.
        self._cells.append(colored(image_FT, self._power, _CELL_HEIGHT, _CELL_WIDTH))
        self._captions.append(caption)
        if len(self._cells) == COLUMNS * ROWS:
            self._write()

    def finish(self) -> None:
        """Write the last page unless it is empty."""
        if self._cells:
            self._write()

    def _write(self) -> None:
        rows = -(-len(self._cells) // COLUMNS)
        height = _HEAD + rows * (_CAPTION + _CELL_HEIGHT + _GAP) + _FOOT
        corners = []
        for number in range(len(self._cells)):
            row, column = divmod(number, COLUMNS)
            left = _SIDE + column * (_CELL_WIDTH + _GAP)
            corners.append((left, _HEAD + row * (_CAPTION + _CELL_HEIGHT + _GAP) + _CAPTION))
        page = self._lettered(height, corners)
        for (left, top), cell in zip(corners, self._cells, strict=True):
            page[top : top + _CELL_HEIGHT, left : left + _CELL_WIDTH] = cell
        path = self._page_path(len(self.pages) + 1)
        save_picture(path, page)
        self.pages.append(path)
        self._cells, self._captions = [], []
        # A figure and its canvas form a reference cycle, which keeps 20 MB per page until garbage collection.
        gc.collect()

    def _lettered(self, height: int, corners: list[tuple[int, int]]) -> NDArray[np.uint8]:
        """Return the page with all its text, without spectrograms."""
        with common_style():
            figure = Figure(figsize=(_WIDTH / DPI, height / DPI), dpi=DPI)
            canvas = FigureCanvasAgg(figure)

            def write(x: float, y: float, text: str, size: float, **settings: Any) -> None:
                set_name(figure.text(x / _WIDTH, 1 - y / height, "", fontsize=size, **settings), text)

            number = len(self.pages) + 1
            title = f"{self._title}, page {number}" if number > 1 else self._title
            write(_SIDE, 34, title, 11, va="center")
            write(_SIDE, height - 18, self._legend, 7, va="center", color=GRAY)
            for (left, top), caption in zip(corners, self._captions, strict=True):
                write(left, top - 5, _short(caption), 6, va="baseline")
            canvas.draw()
            return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _short(caption: str) -> str:
    """Cut a long name in the middle: names from recorders differ at the end, which holds the time."""
    if width_of(caption) <= _MOST_LETTERS:
        return caption
    head = _fitting(caption, _MOST_LETTERS // 3)
    tail = _fitting(caption[::-1], _MOST_LETTERS - _MOST_LETTERS // 3 - 1)[::-1]
    return f"{head}…{tail}"


def _fitting(text: str, letters: int) -> str:
    room = letters
    for at, character in enumerate(text):
        room -= width_of(character)
        if room < 0:
            return text[:at]
    return text
