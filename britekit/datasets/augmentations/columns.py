"""Where the columns of augmented images come from, so that targets in time follow the images.

Legend: B batch, K some of its rows, W columns, C classes, T frames.
"""

from collections.abc import Callable

import torch

Mapping = Callable[[torch.Tensor], torch.Tensor]


class Columns:
    """The source of each column, and whether its sound is still there.

    Parameters
    ----------
    count, width
        B and W.
    """

    def __init__(self, count: int, width: int, device: torch.device | str = "cpu"):
        self.source_BW = torch.arange(width, device=device).repeat(count, 1)
        self.kept_BW = torch.ones(count, width, dtype=torch.bool, device=device)

    def move(self, rows_K: torch.Tensor | None, source_of: Mapping) -> None:
        """Note that columns were moved.

        Parameters
        ----------
        rows_K
            The samples; None for all.
        source_of
            Returns the column, (K, W) or (W,), that is now at each of the columns (W,); one outside the image is
            empty.
        """
        rows = slice(None) if rows_K is None else rows_K
        source, kept = self.source_BW[rows], self.kept_BW[rows]
        width = source.shape[1]
        wanted = source_of(torch.arange(width, device=source.device)).round().long().expand_as(source)
        there = wanted.clamp(0, width - 1)
        self.source_BW[rows] = source.gather(1, there)
        self.kept_BW[rows] = kept.gather(1, there) & (wanted == there)

    def blank(self, rows_K: torch.Tensor | None, kept_KW: torch.Tensor) -> None:
        """Note that columns were blanked, where ``kept_KW`` is 0."""
        rows = slice(None) if rows_K is None else rows_K
        self.kept_BW[rows] = self.kept_BW[rows] & (kept_KW > 0)

    def frames(self, targets_BCT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return targets moved as the images were, and (B, 1, T) whether each frame still has its sound.

        A frame takes the target of the one that its middle column comes from.
        """
        frames, width = targets_BCT.shape[2], self.source_BW.shape[1]
        middle = ((torch.arange(frames, device=targets_BCT.device) + 0.5) * width / frames).long().clamp(max=width - 1)
        source = self.source_BW[:, middle] * frames // width
        moved = targets_BCT.gather(2, source[:, None, :].expand_as(targets_BCT))
        return moved, self.kept_BW[:, middle][:, None, :].to(targets_BCT.dtype)
