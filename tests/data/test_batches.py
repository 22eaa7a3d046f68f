"""Batches and augmentation: functions of (seed, step), and nothing lost on the way."""

import numpy as np
import pytest
import torch

from hwnas.data import Augment, Batches, Split

SPLIT = Split(torch.arange(100 * 36).remainder(251).to(torch.uint8).view(100, 1, 6, 6), torch.arange(100))


def test_an_epoch_is_a_permutation() -> None:
    batches = Batches(SPLIT, 32, seed=1)
    assert batches.per_epoch == 3
    first = torch.cat([batches.at(k)[1] for k in range(3)])
    second = torch.cat([batches.at(k)[1] for k in range(3, 6)])
    assert len(set(first.tolist())) == len(set(second.tolist())) == 96 and not torch.equal(first, second)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    augment = Augment(2, True, 3)
    one, other = Batches(SPLIT, 32, 1, augment), Batches(SPLIT, 32, 1, augment)
    for step in (5, 0, 4, 1):  # in any order
        assert all(map(torch.equal, one.at(step), other.at(step)))
        other = Batches(SPLIT, 32, 1, augment)
    assert not torch.equal(one.at(0)[0], Batches(SPLIT, 32, 2, augment).at(0)[0])


def test_images_are_floats_between_0_and_1() -> None:
    x, y = Batches(SPLIT, 1000, 0).at(0)
    assert x.shape == (100, 1, 6, 6) and x.dtype == torch.float32 and torch.equal(x, SPLIT.images[y] / 255)
    assert (
        Batches(Split(torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)), 8, 0)
        .at(0)[0]
        .is_contiguous(memory_format=torch.channels_last)
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shift_moves_each_image_by_its_own_offset(dtype: torch.dtype) -> None:
    x = torch.zeros(200, 1, 7, 7, dtype=dtype)
    x[:, :, 3, 3] = 1
    y = Augment(shift_px=2)(x, np.random.default_rng(0))
    places = {tuple(p.nonzero()[0].tolist()) for p in y[:, 0]}
    assert y.dtype == dtype and places == {(i, j) for i in range(1, 6) for j in range(1, 6)}


def test_mirror_and_erase() -> None:
    x = torch.arange(1, 26, dtype=torch.uint8).view(1, 1, 5, 5).repeat(100, 1, 1, 1)
    mirrored = (Augment(mirror=True)(x, np.random.default_rng(0)) != x).flatten(1).any(1)
    assert 30 < mirrored.sum() < 70
    erased = (Augment(erase_px=2)(x, np.random.default_rng(0)) == 0).flatten(1).sum(1)
    assert set(erased.tolist()) == {1, 2, 4}  # whole, or hanging over an edge or a corner
    assert Augment()(x, np.random.default_rng(0)) is x
