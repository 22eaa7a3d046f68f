"""A data set is one function (root, seed) that returns a hwnas Dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwnas.data.dataset import Dataset, Split, hold_out


def stripes(root: Path | None, seed: int) -> Dataset:
    """400 noisy 8 x 8 images of stripes, upright or lying."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 400)
    upright = np.where(np.arange(8) % 4 < 2, 200, 30)
    images = np.where(labels[:, None, None] == 0, upright, upright[:, None]) + rng.normal(0, 20, (400, 8, 8))
    rest, test = hold_out(Split.of(np.clip(images, 0, 255).astype(np.uint8), labels), seed, 0.2)
    train, valid = hold_out(rest, seed, 0.2)
    return Dataset("stripes", ("upright", "lying"), train, valid, lambda: test)
