"""Helpers on rows and columns shared by masks and blurs."""

import torch


def outside_band(size: int, start_B: torch.Tensor, width_B: torch.Tensor) -> torch.Tensor:
    """(B, size) booleans, false inside start..start + width - 1."""
    position = torch.arange(size, device=start_B.device)
    inside = (position >= start_B[:, None]) & (position < (start_B + width_B)[:, None])
    return ~inside


def random_band(size: int, width_B: torch.Tensor, share_B: torch.Tensor) -> torch.Tensor:
    """(B,) first positions of bands of the given widths, from uniform numbers in [0, 1)."""
    places = (size - width_B + 1).clamp(min=1)
    return torch.minimum((share_B * places).long(), places - 1)


def blur_matrix(size: int, sigma_B: torch.Tensor, largest: float) -> torch.Tensor:
    """(B, size, size) matrices that blur along one axis with reflected edges.

    Row i holds the weights with which the inputs enter output i; each row sums to one. ``largest`` is a bound
    of sigma known without asking the device.
    """
    reach = min(size - 1, max(1, int(4.0 * largest + 0.5))) if size > 1 else 0
    offset = torch.arange(-reach, reach + 1, device=sigma_B.device)
    weight = torch.exp(-0.5 * (offset / sigma_B[:, None].clamp(min=1e-6)) ** 2)
    weight = weight / weight.sum(1, keepdim=True)
    source = (torch.arange(size, device=sigma_B.device)[:, None] + offset).abs()
    source = torch.where(source > size - 1, 2 * (size - 1) - source, source)
    matrix = torch.zeros(len(sigma_B), size, size, device=sigma_B.device)
    index = source.expand(len(sigma_B), -1, -1)
    return matrix.scatter_add_(2, index, weight[:, None, :].expand(-1, size, -1))
