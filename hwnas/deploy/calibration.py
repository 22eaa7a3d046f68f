"""calibration_images: on what the ranges of a network's activations are observed before its final file is quantised."""

from __future__ import annotations

import numpy as np

from ..data import Split, to_float
from ..lower import Calibration
from ..supernet import resize

IMAGES = 256


def calibration_images(train: Split, size: tuple[int, int], batch: int = 1, images: int = IMAGES, seed: int = 0) -> Calibration:
    """Training images, drawn with a seed, at the network's input size, in whole batches; never those of another split."""
    count = min(images, len(train)) // batch * batch or batch
    drawn = np.random.default_rng(seed).choice(len(train), count, replace=count > len(train))
    x = resize(to_float(train.take(np.sort(drawn)).images), size).numpy()
    return [(x[i : i + batch],) for i in range(0, count, batch)]
