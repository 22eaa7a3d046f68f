"""Calibration: the inputs on which the ranges of activations are observed before a network is quantised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Calibration = Sequence[tuple[np.ndarray, ...]]  # of each sample: the network's inputs, float32, NCHW, with the file's batch size
LEAST_RANGE = 1e-3  # of a tensor: a ReLU that lets nothing through has none, and a scale of 0 makes XNNPACK abort the whole process
SAMPLES = 2  # for a block, of which only the time is wanted


def random_calibration(shapes: Sequence[tuple[int, ...]], samples: int = SAMPLES, seed: int = 0) -> Calibration:
    """Standard normal inputs: what stands between the blocks of a network, since BatchNorm keeps activations at about that scale.

    It does for timing, where only the ranges' order of magnitude matters; a file that is deployed is calibrated on training images.
    """
    random = np.random.default_rng(seed)
    return [tuple(random.standard_normal(shape, dtype=np.float32) for shape in shapes) for _ in range(samples)]
