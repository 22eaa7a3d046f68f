"""Dataset: images and labels in memory, in three splits that are never mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import HwnasError


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Images stay uint8 until a batch of them is used: a quarter of the memory, and quick to shift and mirror.
    """

    images: Tensor  # (n, channels, height, width) uint8
    labels: Tensor  # (n,) int64

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise HwnasError(f"images: expected uint8 (n, channels, height, width), got {self.images.dtype} {tuple(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise HwnasError(f"labels: expected int64 ({len(self.images)},), got {self.labels.dtype} {tuple(self.labels.shape)}")

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray) -> Split:
        """From arrays: images (n, c, h, w) or grey (n, h, w) uint8, labels (n,) of any integer type."""
        images = images[:, None] if images.ndim == 3 else images
        return cls(torch.tensor(images), torch.tensor(labels.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> Split:
        """The images at index (m,) int."""
        at = torch.from_numpy(index)
        return Split(self.images[at], self.labels[at])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification task.

    `train` teaches weights, `valid` (carved out of the training data) ranks architectures. The test split is not a
    field: `test_at_the_end()` reads it, and only the last step of a run, which judges finished files, has reason to.
    """

    name: str  # as it should stand beside a figure
    classes: tuple[str, ...]
    train: Split
    valid: Split
    test_at_the_end: Callable[[], Split]
    mirror: bool = True  # whether an image and its mirror image are of one class; false for digits and letters

    def __post_init__(self) -> None:
        for which in ("train", "valid"):
            split: Split = getattr(self, which)
            if not len(split):
                raise HwnasError(f"data {self.name!r}: the {which} split is empty")
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise HwnasError(f"data {self.name!r}: {which} images are {tuple(split.images.shape[1:])}, train {self.shape}")
            if not 0 <= int(split.labels.min()) <= int(split.labels.max()) < len(self.classes):
                bounds = f"{int(split.labels.min())}..{int(split.labels.max())}"
                raise HwnasError(f"data {self.name!r}: {which} labels are {bounds}, expected 0..{len(self.classes) - 1}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def hold_out(split: Split, seed: int, share: float = 0.1, most: int = 5000) -> tuple[Split, Split]:
    """(rest, held): a seeded share of a split, at most `most` images, every class in proportion (to one image)."""
    labels = split.labels.numpy()
    count = max(1, min(round(share * len(split)), most))
    order = np.random.default_rng(seed).permutation(len(split))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class, in random order within each
    per_class = np.bincount(labels)
    rank = np.arange(len(split)) - (np.cumsum(per_class) - per_class)[labels[order]]
    spread = np.argsort((rank + 0.5) / per_class[labels[order]], kind="stable")  # any head of this holds all classes alike
    return split.take(np.sort(order[spread[count:]])), split.take(np.sort(order[spread[:count]]))
