"""Attentive sampling (AttentiveNAS: Wang et al. 2021, arXiv 2011.09011, sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..cost import CostModel
from ..space import Codes, Space
from .memory import Memory
from .options import Traits, at_least, one_of, traits
from .run import Run, Step
from .sandwich import Sandwich, sandwich_step

POOL = 1024  # random architectures among which those near a cost are looked for
FORGET = 0.99  # weight of a step's observations one step later: the supernet they were made on has moved on
RIDGE = 1e-2


@dataclass(frozen=True)
class Attentive:
    pick: str = "worst"  # of the candidates: "worst" (WorstUp) or "best" (BestUp)
    candidates: int = 50  # architectures of about one cost, of which one is trained

    def __post_init__(self) -> None:
        one_of("attentive.pick", self.pick, ("worst", "best"))
        at_least("attentive", self, candidates=1)


@traits(Traits(share=True))
def attentive(run: Run, options: Attentive) -> Step:
    """The sandwich rule, whose two random networks are the worst (or best) of k candidates at a random cost.

    As in eq. 4-6: draw a target cost tau from the prior (the MACs of a random architecture), then k architectures of
    about that cost, and train the one that a surrogate ranks worst (WorstUp, which raises the worst Pareto front and is
    the paper's best) or best (BestUp).

    Where we differ: the paper's surrogate is fitted beforehand on a supernet trained for that purpose. Ours learns while
    training: a ridge regression from the one-hot code to the distance to the largest network (relative to that of the
    smallest in the same batch), with forgetting, of all networks trained so far. Before the first step it
    has no opinion, and the target itself is taken.

    Decoupled, one-stage, as the sandwich rule; made for a supernet that shares.
    """
    space, costs = run.space, CostModel(run.space)
    surrogate = Surrogate(space)
    run.keep(surrogate=surrogate.memory)

    def sample(n: int, rng: np.random.Generator) -> Codes:
        chosen = []
        for _ in range(n):
            Z = space.sample(POOL, rng)
            cost = costs.cost(Z, ["macs"])[:, 0]
            near = Z[np.argsort(abs(cost - cost[0]), kind="stable")[: options.candidates]]  # the first of the pool sets the target
            distance = surrogate.predict(near)
            chosen.append(near[distance.argmin() if options.pick == "best" else distance.argmax()])
        return np.array(chosen)

    run.sample = sample
    return sandwich_step(run, Sandwich(), lambda Z, distances: surrogate.learn(Z[1:], np.array(distances[1:]) / max(distances[0], 1e-12)))


class Surrogate:
    """Ridge regression on one-hot codes with exponential forgetting; its sums are all it remembers."""

    def __init__(self, space: Space):
        self._first = np.concatenate([[0], np.cumsum(space.sizes)[:-1]])
        n = int(space.sizes.sum()) + 1
        self.memory = Memory(xx=torch.zeros(n, n, dtype=torch.float64), xy=torch.zeros(n, dtype=torch.float64))

    def learn(self, Z: Codes, distance: np.ndarray) -> None:
        """Z (n, genes) and how far each was from the largest network (n,)."""
        X, y = self._features(Z), torch.from_numpy(distance)
        self.memory["xx"] = FORGET * self.memory["xx"] + X.T @ X
        self.memory["xy"] = FORGET * self.memory["xy"] + X.T @ y

    def predict(self, Z: Codes) -> np.ndarray:
        """(n,) expected distance; 0 for all before anything was learned."""
        xx = self.memory["xx"] + RIDGE * torch.eye(len(self.memory["xx"]), dtype=torch.float64)
        return (self._features(Z) @ torch.linalg.solve(xx, self.memory["xy"])).numpy()

    def _features(self, Z: Codes) -> torch.Tensor:
        X = np.zeros((len(Z), len(self.memory["xy"])))
        np.put_along_axis(X, self._first + Z, 1.0, 1)
        X[:, -1] = 1  # the mean
        return torch.from_numpy(X)
