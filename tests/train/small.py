"""A small space and small data for the tests of training. `python small.py OUT` trains until it is killed or done."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from hwnas.data import Dataset, Split, hold_out
from hwnas.space import Space
from hwnas.spaces import mobilenet
from hwnas.supernet import Supernet
from hwnas.train import Recipe, train
from hwnas.train.spos import spos

RECIPE = Recipe(epochs=3, batch=32, erase_px=2, threads=1, seed=5)


def small_space() -> Space:
    return mobilenet(
        size=8,
        classes=4,
        resolutions=(6, 8),
        stem=8,
        stem_stride=1,
        widths=((8, 12), (16, 20)),
        depth=2,
        strides=(1, 2),
        kernels=(3, 5),
        expands=(1, 3),
        head_expand=1,
    )


def small_data(n: int = 300) -> Dataset:
    """Four classes: in which quarter of a noisy image the bright spot is."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 120, (n, 8, 8)).astype(np.uint8), np.arange(n) % 4
    for image, label in zip(images, labels):
        row, column = 4 * (label // 2) + rng.integers(0, 2), 4 * (label % 2) + rng.integers(0, 2)
        image[row : row + 2, column : column + 2] += 130
    rest, test = hold_out(Split.of(images, labels), 0, 0.2)
    return Dataset("spots", tuple("abcd"), *hold_out(rest, 0), lambda: test, mirror=False)


def small_net(space: Space, share: bool = True) -> Supernet:
    torch.manual_seed(0)
    return Supernet(space, share)


if __name__ == "__main__":

    def report(progress: object) -> None:
        print(progress, flush=True)
        time.sleep(0.03)  # so that the kill comes in the middle

    train(spos, small_net(space := small_space()), space, small_data(), RECIPE, Path(sys.argv[1]), checkpoint_s=0, report=report)
