"""The 8 x 8 handwritten digits that ship inside scikit-learn: 1,797 images, no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import HwnasError
from .dataset import Dataset, Split, hold_out


def digits(root: Path | None, seed: int) -> Dataset:
    """64 % train, 16 % search-validation, 20 % test; seeded, as the package has no test split of its own."""
    if root is not None:
        raise HwnasError(f"data 'digits:{root}': digits come with scikit-learn and take no folder, write 'digits'")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)  # 0..16
    every = Split.of(np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels)
    rest, test = hold_out(every, seed, 0.2)
    train, valid = hold_out(rest, seed, 0.2)
    return Dataset("digits", tuple("0123456789"), train, valid, lambda: test, mirror=False)
