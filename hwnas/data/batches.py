"""Batches: the batch of a step as a function of (seed, step), so that a resumed run sees what an unbroken one would."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .augment import Augment
from .dataset import Split

_ORDER, _AUGMENT = 0, 1  # streams of random numbers


class Batches:
    """A split in batches of one size, in a new order each epoch; images that do not fill the last batch sit out that epoch."""

    def __init__(self, split: Split, size: int, seed: int, augment: Augment | None = None):
        self.split, self.size, self.seed, self.augment = split, min(size, len(split)), seed, augment
        self.per_epoch = len(split) // self.size
        self._order = lru_cache(1)(self._shuffle)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """x (size, c, h, w) float in [0, 1], channels last in memory; y (size,) int64."""
        epoch, k = divmod(step, self.per_epoch)
        index = self._order(epoch)[k * self.size : (k + 1) * self.size]
        images = self.split.images[index]
        if self.augment is not None:
            images = self.augment(images, np.random.default_rng([self.seed, _AUGMENT, step]))
        return to_float(images), self.split.labels[index]

    def _shuffle(self, epoch: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng([self.seed, _ORDER, epoch]).permutation(len(self.split)))


def to_float(images: Tensor) -> Tensor:
    """uint8 (n, c, h, w) -> float in [0, 1], the form every network here takes, channels last in memory."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)
