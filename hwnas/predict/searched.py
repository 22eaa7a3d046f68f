"""searched_networks: what searches would pick, to measure how far a bound holds for winners."""

from __future__ import annotations

import numpy as np

from ..budget import Budget, Limit
from ..cost import CostModel
from ..search import Evolution, Feasible, Target, evolve, reachable
from ..space import Codes

PLAN = Evolution(population=40, generations=8, parents=10, mutate_p=0.1)


def searched_networks(model: CostModel, n: int, seed: int = 0, shares: tuple[float, float] = (0.05, 0.95)) -> Codes:
    """Z (n, genes): the winners of n searches at budgets spread over the reachable range of latencies.

    A search takes what scores high under a predicted latency, so it favours what is predicted too low: the errors of winners
    are no sample of all errors. No supernet is needed to see that: each search scores with an accuracy of its own, the log of the
    multiply-accumulates plus a random worth of every option.
    """
    space, span = model.space, reachable(model, "latency_ms", seed)
    winners: list[np.ndarray] = []
    for i, share in enumerate(np.linspace(*shares, n)):
        rng = np.random.default_rng([seed, i, 23])
        worth = [rng.normal(0, 0.1, size) for size in space.sizes]

        def score(Z: Codes, worth: list[np.ndarray] = worth) -> np.ndarray:
            return np.log(model.cost(Z, ["macs"])[:, 0]) + sum(w[Z[:, g]] for g, w in enumerate(worth))

        budget = Budget("any", (Limit("latency", float(share), True),), f"latency={share:.0%}")
        target = Target(budget, ("latency_ms",), np.array([span.at(float(share))]), (span,))
        winners.append(evolve(Feasible.filled(model, target, seed=seed), score, PLAN, seed + i).best)
    return space.canonical(np.array(winners))
