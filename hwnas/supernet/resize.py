"""The one way in which images get the resolution that an architecture asks for."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x (n, c, h, w) float -> (n, c, *size), bilinear with antialiasing; x itself when it fits already."""
    return x if tuple(x.shape[-2:]) == tuple(size) else F.interpolate(x, size, mode="bilinear", antialias=True)
