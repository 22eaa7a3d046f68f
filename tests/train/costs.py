"""Costs for the tests of training: a table made up with a seed, and a budget on it."""

from __future__ import annotations

import numpy as np

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.space import Space
from hwnas.train import Constraint


def cost_model(space: Space, ms: float = 0.01) -> CostModel:
    """Every block between 0.5 and 1.5 times ms x (1 + its share of the MACs), a margin of 5 %."""
    model = CostModel(space)
    share = model.tables["macs"] / model.tables["macs"].max()
    table = ms * (1 + 4 * share) * np.random.default_rng(0).uniform(0.5, 1.5, len(space.blocks))
    return CostModel(space, {"latency_ms": table}, {"latency_ms": ms}, {"latency_ms": 0.05})


def constraint(space: Space, budget: str = "latency=40%", ms: float = 0.01, rate: float = 0.02) -> Constraint:
    made = Constraint.of(Budget.parse(f"toy:{budget}")[0], cost_model(space, ms))
    made.rate = rate
    return made
