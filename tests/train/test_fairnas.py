"""FairNAS: equal visits after every step, and the gradient of the sum over its networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import small_data, small_net, small_space
from stepping import a_batch, drive, make_run
from torch.nn import functional as F

from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.spaces import darts, mobilenet
from hwnas.train import Recipe
from hwnas.train.fairnas import FairNAS, common_size, dealer, fairnas

SPACE, DATA = small_space(), small_data()  # genes of 2 values each


def uneven_space():  # type: ignore[no-untyped-def]
    return mobilenet(
        size=8, classes=4, resolutions=(8,), stem=8, stem_stride=1, widths=((8, 12),), strides=(1,), depth=2, kernels=(3, 5, 7)
    )


def test_visits_are_equal_after_every_step() -> None:
    """Sizes 1, 2, 3, 4: twelve networks a step, and each value of a gene of n exactly 12 / n times."""
    space = uneven_space()
    assert sorted(set(space.sizes)) == [1, 2, 3, 4] and common_size(space) == 12
    run = make_run(small_net(space), Recipe(batch=8), DATA)
    step = fairnas(run, FairNAS())
    for number in range(2):
        step(*a_batch(DATA, 8), number)
        for n, counts in zip(space.sizes, run.visits):
            assert (counts[:n] == 12 * (number + 1) // n).all() and not counts[n:].any()


def test_another_number_of_networks_is_at_most_one_visit_off() -> None:
    space = uneven_space()
    deal, visits = dealer(space, 3), [np.zeros(n, int) for n in space.sizes]
    for number in range(20):
        for z in deal(number, 5):
            for g, v in enumerate(z):
                visits[g][v] += 1
        assert all(np.ptp(v) <= 1 for v in visits)
    assert np.array_equal(deal(7, 5), dealer(space, 3)(7, 5)) and not np.array_equal(deal(7, 5), dealer(space, 4)(7, 5))


def test_too_many_networks_are_refused_with_a_way_out() -> None:
    with pytest.raises(HwnasError, match=r"10 \(.*need 120 networks a step.*nets=10"):
        common_size(darts(2, 8, 3, width=4, cells=2))
    with pytest.raises(HwnasError, match="fairnas.nets: -1"):
        FairNAS(-1)


def test_one_update_with_the_summed_gradient() -> None:
    recipe = Recipe(lr=0.1, momentum=0.0, weight_decay=0.0, label_smoothing=0.0, seed=4)
    net, (x, y) = small_net(SPACE, share=False), a_batch(DATA)
    fairnas(make_run(net, recipe, DATA), FairNAS())(x, y, 6)

    twin = small_net(SPACE, share=False).train()
    first, second = dealer(SPACE, 4)(6, 2)
    assert (first + second == SPACE.sizes - 1).all()  # with two values each, the second network is the complement of the first
    (F.cross_entropy(twin(x, path(SPACE, first)), y) + F.cross_entropy(twin(x, path(SPACE, second)), y)).backward()
    for a, b in zip(net.parameters(), twin.parameters()):
        assert torch.allclose(a, b if b.grad is None else b - 0.1 * b.grad, atol=1e-6)


def test_it_learns() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=32, shift_px=0), DATA, 40)
    records = drive(run, fairnas(run, FairNAS()), DATA, 40)
    assert np.mean([r["accuracy"] for r in records[-5:]]) > 0.8  # chance is 0.25
