"""The training pickle as arrays, each spectrogram decompressed once."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo
from britekit.datasets.growing_images import Allocate, GrowingImages, Slot, own_memory
from britekit.datasets.safe_pickle import SafePickle
from britekit.errors import InputError

_LABEL_KEYS = ("class_names", "class_codes", "alt_names", "alt_codes")
_KNOWN_KEY = "spec_known_indexes"
_VARIANTS_KEY = "spec_variants"
_KEYS = frozenset(
    {*_LABEL_KEYS, "spec_values", "spec_class_indexes", "spec_segment_ids", "spec_recording_ids"}
    | {"spec_group_ids", _KNOWN_KEY, _VARIANTS_KEY, "spec_height", "spec_width", "audio"}
)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Spectrograms with their labels, in memory."""

    classes: list[ClassInfo]
    """C classes in the order of their indexes."""
    images: NDArray[np.uint8]
    """(N, H, W) uint8; divide by 255. Row 0 is the lowest frequency."""
    labels: NDArray[np.uint8]
    """(N, C) uint8, 0 or 1."""
    group_ids: NDArray[np.int64]
    """(N,) int64: spectrograms of equal id were cut from one thing, and stay on one side of a split. Recording ids
    where the file has no groups, all different where it has neither."""
    recording_ids: NDArray[np.int64] | None = None
    segment_ids: NDArray[np.int64] | None = None
    """(N,) int64 of the database, or None where the file does not have them."""
    audio: dict[str, Any] = field(default_factory=dict)
    """Settings the spectrograms were made with, empty if the file does not say."""
    known: NDArray[np.uint8] | None = None
    """(N, C) uint8, 1 where it is known whether the class is heard; None if all is known. Elsewhere the label is 0 and
    means nothing."""
    variants: NDArray[np.uint8] | None = None
    """(K, N, H, W) uint8, stored variants of the spectrograms (`waveform_variants.py`); None if there are none."""


def read_training_set(
    path: str | os.PathLike[str],
    workers: int = 2,
    size: tuple[int, int] | None = None,
    allocate: Callable[[int, int], NDArray[np.uint8]] | None = None,
) -> TrainingSet:
    """Read a training pickle; nothing in it can run.

    The file is walked once: each compressed value goes to a thread as it is met, and is forgotten.

    Parameters
    ----------
    workers
        Threads that decompress; 0 or 1 decompress while reading.
    size
        Height and width, for a file that does not say; if it says, the two must agree.
    allocate
        Makes the array that is filled, from the number of rows and columns, for one that processes share;
        default: memory of this process.

    Raises
    ------
    InputError
        No such file, no pickle, a pickle that would run code, a key that is missing or wrong (named), a
        spectrogram of another size.
    """
    images = GrowingImages(Path(path), workers, allocate)
    walker = SafePickle(path, lambda value: images.add(value, walker), _KEYS)
    try:
        content = walker.load()
        array = images.finish()
    finally:
        images.close()
    return _Checks(Path(path), content).training_set(array, size, allocate)


def read_labels(
    path: str | os.PathLike[str], size: tuple[int, int] | None = None
) -> tuple[list[ClassInfo], NDArray[np.uint8], NDArray[np.int64]]:
    """Read all of a training pickle but its spectrograms, which are walked over.

    Raises `InputError` as `read_training_set`, of which only the spectrograms themselves are not checked.

    Returns
    -------
    The classes, the labels (N, C), and for each spectrogram (N,) which of the file's values it is.
    """
    rows = itertools.count()
    content = SafePickle(path, lambda _: Slot(next(rows)), _KEYS).load()
    return _Checks(Path(path), content).labels(size)


class _Checks:
    """Everything that must hold before the content is used, each failure naming the key."""

    def __init__(self, path: Path, content: Any) -> None:
        self._path = path
        if not isinstance(content, dict):
            raise InputError(f"{path} holds a {type(content).__name__}, expected the dictionary of a training pickle")
        self._content = content

    def training_set(
        self, array: NDArray[np.uint8], size: tuple[int, int] | None, allocate: Allocate | None
    ) -> TrainingSet:
        classes = self._classes()
        count, order = self._rows()
        if order is not None:
            given = array
            array = (allocate or own_memory)(len(order), given.shape[1])
            np.take(given, order, axis=0, out=array)
        height, width = self._size(size, array.shape[1] if count else None)
        recording_ids = self._ids("spec_recording_ids", count)
        group_ids = self._ids("spec_group_ids", count)
        if group_ids is None:
            group_ids = np.arange(count, dtype=np.int64) if recording_ids is None else recording_ids
        audio = self._content.get("audio") or {}
        if not isinstance(audio, dict):
            raise self._wrong("audio", f"expected a dictionary, found {type(audio).__name__}")
        labels = self._labels(count, len(classes))
        return TrainingSet(
            classes=classes,
            images=array[:count].reshape(count, height, width),
            variants=array[count:].reshape(-1, count, height, width) if len(array) > count else None,
            labels=labels,
            known=self._known(labels),
            group_ids=group_ids,
            recording_ids=recording_ids,
            segment_ids=self._ids("spec_segment_ids", count),
            audio=audio,
        )

    def labels(self, size: tuple[int, int] | None) -> tuple[list[ClassInfo], NDArray[np.uint8], NDArray[np.int64]]:
        classes = self._classes()
        count, order = self._rows()
        self._size(size, None)
        rows = np.arange(count, dtype=np.int64) if order is None else order[:count]
        return classes, self._labels(count, len(classes)), rows

    def _classes(self) -> list[ClassInfo]:
        columns: list[list[str]] = []
        for key in _LABEL_KEYS:
            values = self._list(key)
            if not all(isinstance(value, str) or value is None for value in values):
                raise self._wrong(key, "expected a list of texts")
            if columns and len(values) != len(columns[0]):
                raise self._wrong(key, f"it has {len(values)} entries, class_names has {len(columns[0])}")
            columns.append([value or "" for value in values])
            if not columns[0] or not all(columns[0]):
                raise self._wrong("class_names", "expected at least one class, each with a name")
        doubled = [name for name, count in Counter(columns[0]).items() if count > 1]
        if doubled:
            raise self._wrong("class_names", f'two classes are called "{doubled[0]}"')
        return [ClassInfo(*labels) for labels in zip(*columns)]

    def _rows(self) -> tuple[int, NDArray[np.int64] | None]:
        """Return the number of spectrograms, and the rows of them and their variants where not simply in order."""
        values = self._list("spec_values")
        if not values:
            raise self._wrong("spec_values", "there is no spectrogram in it")
        variants = [] if self._content.get(_VARIANTS_KEY) is None else self._list(_VARIANTS_KEY)
        for key, listed in (("spec_values", values), (_VARIANTS_KEY, variants)):
            if not all(isinstance(value, Slot) for value in listed):
                raise self._wrong(key, "expected a list of compressed spectrograms")
        if len(variants) % len(values):
            raise self._wrong(
                _VARIANTS_KEY, f"it has {len(variants)} entries, expected a multiple of the {len(values)} spectrograms"
            )
        rows = np.array([value.row for value in (*values, *variants)], dtype=np.int64)
        return len(values), None if np.array_equal(rows, np.arange(len(rows))) else rows

    def _size(self, given: tuple[int, int] | None, found: int | None) -> tuple[int, int]:
        height, width = self._content.get("spec_height"), self._content.get("spec_width")
        if height is None or width is None:
            if given is None:
                key = "spec_height" if height is None else "spec_width"
                raise self._wrong(key, "the file does not give the size of its spectrograms; run pickle again")
            height, width = given
        for key, value in (("spec_height", height), ("spec_width", width)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise self._wrong(key, f"expected a positive number, found {value!r}")
        if given is not None and given != (height, width):
            raise self._wrong(
                "spec_height",
                f"its spectrograms are {height} × {width}, the settings say {given[0]} × {given[1]}; "
                "set audio.spec_height and audio.spec_width as they were, or run pickle again",
            )
        if found is not None and found != height * width:
            raise self._wrong(
                "spec_values", f"a spectrogram has {found} bytes, expected {height} × {width} = {height * width}"
            )
        return height, width

    def _labels(self, count: int, num_classes: int) -> NDArray[np.uint8]:
        key = "spec_class_indexes"
        lists = self._list(key)
        if len(lists) != count:
            raise self._wrong(key, f"it has {len(lists)} entries, spec_values has {count}")
        labels = np.zeros((count, num_classes), dtype=np.uint8)
        known = self._content.get(_KNOWN_KEY)
        for row, indexes in enumerate(lists):
            if indexes == [] and isinstance(known, (list, tuple)) and known[row : row + 1] not in ([], [None]):
                continue  # classes were rejected there, none was confirmed
            self._mark(labels, key, row, indexes)
        return labels

    def _known(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        if self._content.get(_KNOWN_KEY) is None:
            return None
        lists = self._list(_KNOWN_KEY)
        if len(lists) != len(labels):
            raise self._wrong(_KNOWN_KEY, f"it has {len(lists)} entries, spec_values has {len(labels)}")
        known = np.ones_like(labels)
        for row, indexes in enumerate(lists):
            if indexes is not None:
                known[row] = 0
                self._mark(known, _KNOWN_KEY, row, indexes)
        if (labels > known).any():
            row = int((labels > known).any(axis=1).argmax())
            raise self._wrong(_KNOWN_KEY, f"entry {row} lacks a class that spec_class_indexes names")
        return known

    def _mark(self, array: NDArray[np.uint8], key: str, row: int, indexes: Any) -> None:
        if not isinstance(indexes, (list, tuple)) or not indexes:
            raise self._wrong(key, f"entry {row} is not a list with at least one class index")
        for index in indexes:
            if type(index) is not int or not 0 <= index < array.shape[1]:
                raise self._wrong(key, f"entry {row} names class {index!r}, expected 0 to {array.shape[1] - 1}")
            array[row, index] = 1

    def _ids(self, key: str, count: int) -> NDArray[np.int64] | None:
        if self._content.get(key) is None:
            return None
        values = self._list(key)
        if len(values) != count:
            raise self._wrong(key, f"it has {len(values)} entries, spec_values has {count}")
        if not all(type(value) is int and abs(value) < 2**63 for value in values):
            raise self._wrong(key, "expected a list of numbers")
        return np.array(values, dtype=np.int64)

    def _list(self, key: str) -> list[Any]:
        if key not in self._content:
            raise self._wrong(key, "it is missing")
        values = self._content[key]
        if not isinstance(values, (list, tuple)):
            raise self._wrong(key, f"expected a list, found {type(values).__name__}")
        return list(values)

    def _wrong(self, key: str, reason: str) -> InputError:
        return InputError(f'{self._path}, key "{key}": {reason}')
