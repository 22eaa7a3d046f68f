"""Augment: random changes that keep an image's class, on whole batches at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augment:
    """Shift, mirror and erase. Each image of a batch draws its own numbers from the generator it is given."""

    shift_px: int = 0  # up to so many pixels in each direction; what comes in is black
    mirror: bool = False  # left to right, one image in two
    erase_px: int = 0  # side of a black square at a random place (cutout, DeVries & Taylor 2017)

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """x (n, c, h, w), uint8 or float -> the same shape and type."""
        n, _, height, width = x.shape
        every = torch.arange(n)
        if self.shift_px:
            p = self.shift_px
            # a view of all (2p + 1)^2 windows of the padded image: picking one for each image is the only copy
            windows = F.pad(x, (p, p, p, p)).unfold(2, height, 1).unfold(3, width, 1)
            down, right = torch.from_numpy(rng.integers(0, 2 * p + 1, (2, n)))
            x = windows[every, :, down, right]
        if self.mirror:
            x = torch.where(torch.from_numpy(rng.random(n) < 0.5)[:, None, None, None], x.flip(3), x)
        if self.erase_px:
            rows = _inside(rng.integers(0, height, n), self.erase_px, height)
            columns = _inside(rng.integers(0, width, n), self.erase_px, width)
            x = x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)
        return x


def _inside(centre: np.ndarray, side: int, length: int) -> Tensor:
    """(n, length) bool: within a stretch of `side` around the centre; it may hang over the edge, as in the paper."""
    offset = np.arange(length) - (centre[:, None] - side // 2)
    return torch.from_numpy((offset >= 0) & (offset < side))
