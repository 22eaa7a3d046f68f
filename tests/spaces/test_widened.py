"""Wider networks of the same codes: hwnas/spaces/widened.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_spaces import chain_space

from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.spaces import nasbench201, shufflenet
from hwnas.spaces.widened import widened
from hwnas.supernet import network


@pytest.mark.parametrize("space, factor", [(chain_space(), 1.7), (nasbench201(2, 8, 3, width=4, cells=1), 2), (shufflenet(2, 32, 3), 0.5)])
def test_codes_stay_and_networks_run(space, factor: float) -> None:  # type: ignore[no-untyped-def]
    wide = widened(space, factor)
    assert wide.genes == space.genes and wide.hash != space.hash
    Z = space.sample(3, np.random.default_rng(0))
    params = CostModel(space).cost(Z, ["params"]), CostModel(wide).cost(Z, ["params"])
    for z, before, after in zip(Z, *params):
        y = network(wide, z).eval()(torch.rand(2, 2, *space.input_size(z)))
        assert y.shape == (2, 3) and (after > before) == (factor > 1)


def test_rounding_keeps_blocks_together() -> None:
    odd = widened(chain_space(), 1.3)  # 6, 8, 10 channels
    assert {b.cout for s in odd.slots for b in s.blocks if b} <= {8, 10, 12, 14, 3}
    with pytest.raises(HwnasError, match=r"width 0: must be above 0"):
        widened(chain_space(), 0)
