"""How far architectures are from all paths, and the verdict of drop rates: hwnas/health/all_paths.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_spaces import chain_space

from hwnas.gates import path
from hwnas.health import all_paths, kl_to_all_paths
from hwnas.spaces import nasbench201
from hwnas.supernet import Supernet


def test_kl_by_hand() -> None:
    torch.manual_seed(0)
    space = nasbench201(1, 8, 3, width=4, cells=1)
    net, x = Supernet(space), torch.rand(16, 1, 8, 8)
    Z = space.sample(3, np.random.default_rng(0))
    name, whole = all_paths(space, share=False, summed=True)
    assert name == "all paths on" and all(len(whole[g.name].picks) == len(g.options) for g in space.genes if not g.context)
    before = {k: t.clone() for k, t in net.state_dict().items()}
    found = kl_to_all_paths(net, Z, [x], whole)
    assert all(torch.equal(t, before[k]) for k, t in net.state_dict().items()), "running statistics are kept"
    net.train()
    with torch.no_grad():
        p, *others = (net(x, gates).softmax(1).double() for gates in (whole, *(path(space, z) for z in Z)))
    by_hand = [((p * (p / q).log()).sum(1) + (q * (q / p).log()).sum(1)).mean().item() for q in others]
    assert found == pytest.approx(by_hand, rel=1e-4) and (found > 0).all()


def test_what_architectures_are_compared_with() -> None:
    space = chain_space()
    name, whole = all_paths(space, share=True, summed=False)
    assert name == "the largest network"
    net, x = Supernet(space, share=True), torch.rand(8, 2, 8, 8)
    assert kl_to_all_paths(net, space.largest()[None], [x], whole) == pytest.approx([0], abs=1e-6)
    name, mean = all_paths(space, share=False, summed=False)
    weights = [g.weights for g in mean.values() if g.weights is not None]
    assert name == "the mean of all paths" and weights
    assert kl_to_all_paths(Supernet(space), space.smallest()[None], [x], mean)[0] > 0
