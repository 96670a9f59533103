"""Targets beside the labels of segments: frame labels, and the probabilities of teachers.

They are mixed and moved as the images are: in merged sounds a class is as likely as in the likelier one, in mixup and
cutmix targets are shares, and what flips, shifts and masks do in time is done to frames too.

Legend: N samples, B batch, K some of its rows, C classes, T frames of the head, M pairs of sample and class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from britekit.datasets.augmentations.columns import Columns
from britekit.datasets.frame_labels import FrameLabels
from britekit.datasets.transfers import send


def heard_in_either(ours: torch.Tensor, theirs: torch.Tensor, noise: int | None) -> torch.Tensor:
    """Return the targets (B, C) or (B, C, T) of merged sounds.

    Noise, the class in column ``noise``, is sound without a call: it is heard only if it is heard in both.
    """
    targets = torch.maximum(ours, theirs)
    if noise is not None:
        targets[:, noise] = torch.minimum(ours[:, noise], theirs[:, noise])
    return targets


@dataclass
class BatchExtras:
    """Those of a batch; None for each kind that the run does not use."""

    frames: torch.Tensor | None = None
    """(B, C, T) targets of frames: frame labels where there are some, else the label of the segment."""
    framed: torch.Tensor | None = None
    """(B,) 1 where a sample has frame labels, 0 where it has only labels of segments."""
    teacher: torch.Tensor | None = None
    """(B, C) probabilities of the teachers."""
    teacher_frames: torch.Tensor | None = None
    """(B, C, T) the same for frames."""

    def _each(self, change: Any) -> BatchExtras:
        return BatchExtras(**{name: None if (x := getattr(self, name)) is None else change(x) for name in _FIELDS})

    def rows(self, part: Any) -> BatchExtras:
        """Return those of some rows, by numbers or a slice."""
        return self._each(lambda values: values[part])

    def to(self, device: torch.device) -> BatchExtras:
        """Return them on a device."""
        return self._each(lambda values: send(values, device))

    def merge(self, rows_K: torch.Tensor, others: BatchExtras, noise: int | None = None) -> None:
        """Merge samples with those of ``others``, in place; ``noise`` is the column of the noise class."""
        either = partial(heard_in_either, noise=noise)
        self._mix(rows_K, others, either, either)

    def mixup(self, rows_K: torch.Tensor, others: BatchExtras, share_K: torch.Tensor) -> None:
        """Mix samples, which keep ``share_K``, with those of ``others``, in place."""
        self._mix(
            rows_K, others,
            lambda own, other: torch.lerp(other, own, share_K[:, None]),
            lambda own, other: torch.lerp(other, own, share_K[:, None, None]),
        )  # fmt: skip

    def cutmix(self, rows_K: torch.Tensor, others: BatchExtras, boxes_K4: torch.Tensor, size: tuple[int, int]) -> None:
        """Paste boxes (top, left, bottom, right) of ``others`` into samples of ``size`` (H, W), in place."""
        height, width = size
        rows = (boxes_K4[:, 2] - boxes_K4[:, 0]) / height
        area = rows * (boxes_K4[:, 3] - boxes_K4[:, 1]) / width

        def frames(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            edges = torch.arange(own.shape[2] + 1) * (width / own.shape[2])
            inside = torch.minimum(edges[1:], boxes_K4[:, 3:4]) - torch.maximum(edges[:-1], boxes_K4[:, 1:2])
            share = inside.clamp(min=0.0) * own.shape[2] / width * rows[:, None]
            return torch.lerp(own, other, share[:, None, :])

        self._mix(rows_K, others, lambda own, other: torch.lerp(own, other, area[:, None]), frames)

    def _mix(self, rows_K: torch.Tensor, others: BatchExtras, whole: Any, frames: Any) -> None:
        for name, change in (("teacher", whole), ("frames", frames), ("teacher_frames", frames)):
            own, other = getattr(self, name), getattr(others, name)
            if own is not None:
                own[rows_K] = change(own[rows_K], other)
        if self.framed is not None:
            self.framed[rows_K] *= others.framed

    def follow(self, columns: Columns) -> None:
        """Move the targets of frames as augmentations moved the images; blank those that they blanked.

        Frames of samples that have only labels of segments are not blanked, since it is unknown where the sound is.
        """
        if self.frames is not None and self.framed is not None:
            moved, kept = columns.frames(self.frames)
            self.frames = torch.where((self.framed > 0)[:, None, None], moved * kept, moved)
        if self.teacher_frames is not None:
            moved, kept = columns.frames(self.teacher_frames)
            self.teacher_frames = moved * kept


_FIELDS = ("frames", "framed", "teacher", "teacher_frames")


@dataclass(frozen=True, eq=False)
class _Masks:
    """Frame labels of the pairs of sample and class that have some."""

    starts: torch.Tensor
    """(N + 1,) pairs of sample n: ``starts[n]`` to ``starts[n + 1]``."""
    classes: torch.Tensor
    """(M,) class indexes."""
    masks: torch.Tensor
    """(M, T) 0 or 1."""

    def put(self, index_B: torch.Tensor, frames_BCT: torch.Tensor) -> torch.Tensor:
        """Write frame labels over the labels of segments, in place; return (B,) which samples have some."""
        counts = self.starts[index_B + 1] - self.starts[index_B]
        rows = torch.repeat_interleave(torch.arange(len(index_B)), counts)
        first = torch.repeat_interleave(self.starts[index_B] - (counts.cumsum(0) - counts), counts)
        pairs = first + torch.arange(len(rows))
        classes = self.classes[pairs]
        frames_BCT[rows, classes] *= self.masks[pairs].to(frames_BCT.dtype)
        return (counts > 0).to(torch.float32)


@dataclass(frozen=True, eq=False)
class ExtraTargets:
    """Those of all samples, on the CPU."""

    num_frames: int
    """T; 0 for a head without frames."""
    masks: _Masks | None = None
    teacher: torch.Tensor | None = None
    """(N, C) float32."""
    teacher_frames: torch.Tensor | None = None
    """(N, C, T) float16."""

    def with_teacher(self, probabilities_NC: NDArray[Any], frames_NCT: NDArray[Any] | None) -> ExtraTargets:
        """Return them with probabilities of teachers."""
        frames = None if frames_NCT is None else torch.from_numpy(frames_NCT)
        return replace(self, teacher=torch.from_numpy(probabilities_NC), teacher_frames=frames)

    def gather(self, index_B: torch.Tensor, targets_BC: torch.Tensor) -> BatchExtras:
        """Return those of samples whose labels are ``targets_BC``, in new memory."""
        extras = BatchExtras()
        if self.masks is not None:
            extras.frames = targets_BC[:, :, None].repeat(1, 1, self.num_frames)
            extras.framed = self.masks.put(index_B, extras.frames)
        if self.teacher is not None:
            extras.teacher = self.teacher[index_B].to(torch.float32)
        if self.teacher_frames is not None:
            extras.teacher_frames = self.teacher_frames[index_B].to(torch.float32)
        return extras


def frame_masks(
    labels: FrameLabels,
    segment_ids_N: NDArray[np.int64],
    labels_NC: NDArray[Any],
    codes: Sequence[str],
    num_frames: int,
) -> _Masks:
    """Return the frame labels of samples, resampled to ``num_frames`` by nearest neighbor.

    A vector for a class that the sample does not have says nothing.
    """
    column = {code: index for index, code in enumerate(codes)}
    starts, classes, masks = [0], [], []
    for segment, row in zip(segment_ids_N.tolist(), labels_NC, strict=True):
        value = labels.get(segment)
        if value is not None:
            heard = np.flatnonzero(row).tolist()
            by_code = {column[code]: each for code, each in value.items() if code in column} if isinstance(
                value, dict
            ) else dict.fromkeys(heard, value)  # fmt: skip
            for index in heard:
                if index in by_code:
                    classes.append(index)
                    masks.append(_resampled(by_code[index], num_frames))
        starts.append(len(classes))
    stacked = np.stack(masks) if masks else np.zeros((0, num_frames), np.uint8)
    return _Masks(torch.tensor(starts), torch.tensor(classes, dtype=torch.int64), torch.from_numpy(stacked))


def _resampled(vector: NDArray[Any], length: int) -> NDArray[np.uint8]:
    place = ((np.arange(length) + 0.5) * len(vector) / length).astype(np.int64)
    return vector[place].astype(np.uint8)
