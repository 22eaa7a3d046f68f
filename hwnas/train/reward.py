"""Rewards that know what an architecture costs."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import HwnasError
from ..space import Codes
from .constraint import Constraint
from .run import Run

FORMULAS = ("accuracy", "lagrangian", "soft", "hard")
MOST = 10.0  # a cost of more than 10 budgets, or that of a block the device cannot run, counts as 10


def used(constraint: Constraint, Z: Codes) -> np.ndarray:
    """(n, limits) cost with its margin as a share of each limit, of codes Z (n, genes): 1 is just within the budget."""
    return np.minimum(constraint.model.upper(Z, constraint.target.fields) / constraint.target.limits, MOST)


def weighted_product(accuracy: np.ndarray, cost: np.ndarray, w: float, hard: bool) -> np.ndarray:
    """(n,) accuracy x cost^w, cost (n,) as a share of its target (MnasNet: Tan et al. 2019, arXiv 1807.11626, eq. 2 and 3).

    soft: w on both sides of the target, -0.07 in the paper: twice the latency for 5 % more accuracy. hard: w is 0 within the
    target and -1 above it, whatever is given.
    """
    power = np.where(cost <= 1, 0.0, -1.0) if hard else np.full(len(cost), w)
    return accuracy * cost**power


def lagrangian(accuracy: np.ndarray, cost: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """(n,) accuracy - sum of lambda (cost - 1); cost (n, limits) as a share of each limit, multipliers (limits,)."""
    return accuracy - (multipliers * (cost - 1)).sum(1)


class Multipliers:
    """lambda >= 0 for each limit, raised while the mean cost of what is sampled is over the budget (dual ascent)."""

    def __init__(self, limits: int, rate: float):
        self.values, self.rate = np.zeros(limits), rate

    def ascend(self, cost: np.ndarray) -> None:
        """cost (n, limits): lambda <- max(0, lambda + rate (mean cost - 1))."""
        self.values = np.maximum(0, self.values + self.rate * (cost.mean(0) - 1))

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"values": torch.from_numpy(self.values.copy())}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.values = state["values"].numpy().copy()


class Reward:
    """Reward of sampled architectures, by the formula that was asked for: "soft", "hard", "lagrangian", or "accuracy" alone.

    Raises HwnasError where a formula needs a budget and the run has none.
    """

    def __init__(self, run: Run, formula: str, w: float = -0.07, rate: float = 0.05):
        self.constraint, self.formula, self.w = run.constraint, formula, w
        if formula != "accuracy" and self.constraint is None:
            raise HwnasError(f"reward {formula!r} needs a device and a budget: hwnas train --budget DEVICE:latency=2ms")
        self.multipliers = Multipliers(len(self.constraint.target.fields) if self.constraint else 0, rate)
        run.keep(multipliers=self.multipliers)

    def __call__(self, Z: Codes, quality: np.ndarray) -> np.ndarray:
        """quality (n,) on held-out data -> reward (n,) of codes Z (n, genes); the multipliers move on."""
        if self.formula == "accuracy" or self.constraint is None:
            return quality
        cost = used(self.constraint, Z)
        if self.formula != "lagrangian":  # one target: the fullest of the limits
            return weighted_product(quality, cost.max(1), self.w, self.formula == "hard")
        found = lagrangian(quality, cost, self.multipliers.values)
        self.multipliers.ascend(cost)
        return found
