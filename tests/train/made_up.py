"""A device without a device: latency tables made up from MACs, and constraints on them."""

from __future__ import annotations

import numpy as np

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.cost.facts import facts
from hwnas.space import Space
from hwnas.train import Constraint


def made_up(space: Space) -> CostModel:
    """Latency: 2 us for each block and 1 us for each 10,000 MACs, known to 10 %."""
    table = np.array([2e-3 + facts(b).macs / 1e7 for b in space.blocks])
    return CostModel(space, {"latency_ms": table}, margin={"latency_ms": 0.1})


def constraint(space: Space, budget: str = "latency=50%") -> Constraint:
    return Constraint.of(Budget.parse(f"made-up:{budget}")[0], made_up(space))
