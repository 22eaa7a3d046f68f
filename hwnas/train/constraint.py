"""Constraint: the budget of one device, as something that a gradient can feel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..budget import Budget
from ..cost import METRICS, CostModel
from ..errors import HwnasError
from ..gates import inclusion
from ..search import Feasible, Target
from ..search.descent import descend
from ..space import Codes
from .alpha import Alpha

Paper = Callable[[Tensor, Tensor, float], Tensor]  # loss, LAT, reference -> loss
TRAVEL = 6.0  # how far logits, and lambda for each unit of overrun, can move in the shortest run
RATE = 0.02  # of the dual ascent
TRIES = 4096  # context settings looked at, and random architectures in a repair


class Constraint:
    """Expected costs of a mix of options, and lambda (E[cost] / budget - 1) with lambda >= 0 raised by dual ascent.

    None of the papers' own latency losses has a target that binds; this one has: lambda grows for as long as the expected cost is
    over the budget, and shrinks while it is under. Costs are upper bounds (with the margin of the device's calibration), as in
    the search. Peak memory is no sum over blocks, so no gradient can see it: it is checked at the end like every other limit.

    Raises HwnasError, naming the nearest budget that can be kept, if no architecture keeps this one.
    """

    def __init__(self, model: CostModel, target: Target, rate: float = RATE):
        if not target.hard.all():
            soft = target.metric_names[int(np.flatnonzero(~target.hard)[0])]
            raise HwnasError(
                f"budget {target.budget.device}:{target.budget.name}: {soft} is soft (~), which only a search can weigh: give a hard "
                "limit, or train one supernet with sandwich and search it"
            )
        self.model, self.target, self.rate = model, target, rate
        self.feasible = Feasible(model, target, fill=0.0)
        self.feasible.sample(1, np.random.default_rng(0))
        seen = [i for i, f in enumerate(target.fields) if f != "memory_bytes"]
        if not seen:
            raise HwnasError(
                f"budget {target.budget.device}:{target.budget.name}: peak memory is no sum over blocks, so no gradient can see it: "
                "give a latency, size, macs or params limit, too, or train one supernet with sandwich and search it"
            )
        self.fields = tuple(target.fields[i] for i in seen)
        self.limits = torch.tensor(target.limits[seen], dtype=torch.float32)
        self.scale = torch.tensor([1 + model.margin.get(f, 0.0) for f in self.fields])
        self.multipliers = torch.zeros(len(seen))
        self.binds = True

    @classmethod
    def of(cls, budget: Budget, model: CostModel, seed: int = 0) -> Constraint:
        model = model.at(budget.confidences)
        return cls(model, Target.of(budget, model, seed))

    # ---- while training -------------------------------------------------------------------------------------------------

    def expected(self, weights: Mapping[str, Tensor]) -> Tensor:
        """(fields,) expected upper costs, in each field's unit; weights: gene name -> (options,). Differentiable."""
        return torch.stack([self.model.expected(f, weights) for f in self.fields]) * self.scale

    def cost(self, weights: Mapping[str, Tensor]) -> tuple[Tensor, float]:
        """What a paper calls LAT and its reference: the first limited field; latency in MICROSECONDS, so that logs are above 0.

        Raises HwnasError unless both exceed 1: below, (log LAT)^0.6 is no number, and a ratio of logs rewards slowness.
        """
        unit = 1e3 if self.fields[0] == "latency_ms" else 1.0
        value, reference = unit * self.model.expected(self.fields[0], weights) * self.scale[0], unit * float(self.limits[0])
        if value.item() <= 1 or reference <= 1:
            raise HwnasError(
                f"budget {self.target.budget.device}:{self.target.budget.name}: the loss takes logarithms of the cost in microseconds (or "
                f"bytes, MACs): expected {value.item():.3g} and budget {reference:.3g} must both exceed 1: use constraint=lagrangian"
            )
        return value, reference

    def price(self, loss: Tensor, weights: Mapping[str, Tensor], paper: Paper | None = None) -> Tensor:
        """loss with what the architecture costs: the paper's formula(loss, LAT, reference), or the Lagrangian if it is None."""
        self.binds = paper is None
        return loss + self.penalty(weights) if paper is None else paper(loss, *self.cost(weights))

    def penalty(self, weights: Mapping[str, Tensor]) -> Tensor:
        """sum over limits of lambda (E[cost] / budget - 1)."""
        return (self.multipliers * (self.expected(weights) / self.limits - 1)).sum()

    @torch.no_grad()
    def ascend(self, weights: Mapping[str, Tensor]) -> None:
        """lambda <- max(0, lambda + rate (E[cost] / budget - 1)): once after each update of the architecture."""
        if self.binds:
            self.multipliers = (self.multipliers + self.rate * (self.expected(weights) / self.limits - 1)).clamp_min(0)

    @torch.no_grad()
    def figures(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """What to record: expected cost as a share of the budget, and lambda, for each limit."""
        found: dict[str, float] = {}
        for field, used, multiplier in zip(self.fields, self.expected(weights) / self.limits, self.multipliers):
            name = next(m.name for m in METRICS.values() if m.field == field)
            found |= {f"{name}_used": float(used)} | ({f"lambda_{name}": float(multiplier)} if self.binds else {})
        return found

    def hurry(self, updates: float) -> None:
        """In a run of few updates lambda rises faster, so that it can reach 6 times how far the cost is over the budget."""
        self.rate = max(self.rate, min(TRAVEL / updates, 1.0))

    # ---- codes -----------------------------------------------------------------------------------------------------------

    def keeps(self, Z: Codes) -> np.ndarray:
        """(n,) bool: whether `cost(Z)` with its margin keeps every limit, memory included."""
        return self.feasible(Z)

    def nearest(self, z: np.ndarray, alpha: Alpha | None = None, seed: int = 0) -> np.ndarray:
        """(genes,) a code that keeps the budget: as likely under alpha as could be found, then as near to z (genes,) as can be.

        From z, from samples of alpha and from random feasible codes: steepest descent into the budget, then uphill inside it.
        Without alpha only the number of changed genes counts.
        """
        space, rng = self.model.space, np.random.default_rng(seed)

        def unlikely(Z: Codes) -> np.ndarray:
            changed = (z != Z).sum(1).astype(float)
            return changed if alpha is None else 1e-3 * changed - alpha.log_likelihood(Z)

        drawn = alpha.sample(TRIES, rng) if alpha is not None else space.mutate(np.repeat(z[None], TRIES, 0), rng)
        into, left = descend(space, self.feasible.violation, np.concatenate([z[None], drawn[:7]]))
        Z = np.concatenate([into[left <= 0], drawn[self.keeps(drawn)], self.feasible.sample(64, rng)])
        Z = Z[np.argsort(unlikely(Z), kind="stable")[:8]]
        Z, value = descend(space, lambda Y: np.where(self.keeps(Y), unlikely(Y), np.inf), Z)
        return Z[value.argmin()]

    def around(self) -> np.ndarray:
        """(genes,) values for the genes that cannot be mixed (width, resolution): those whose mean architecture costs the budget.

        Larger ones would leave the operators no choice, smaller ones would leave budget unused. Other genes are 0.
        """
        space = self.model.space
        context = [g for g in space.genes if g.context and not g.is_prefix and len(g.values) > 1]
        sizes = [len(g.values) for g in context]
        codes: Iterable[tuple[int, ...]] = product(*map(range, sizes))
        if prod(sizes) > TRIES:
            codes = map(tuple, np.random.default_rng(0).integers(0, sizes, (TRIES, len(sizes))))
        uniform = {g.name: inclusion(g, torch.full((len(g.values),), 1 / len(g.values))) for g in space.genes}
        best, distance = (0,) * len(context), float("inf")
        for values in codes:
            hot = {g.name: torch.eye(len(g.options))[v] for g, v in zip(context, values)}
            d = float((self.expected({**uniform, **hot}) / self.limits).max().log().abs())
            if d < distance:
                best, distance = values, d
        z = np.zeros(len(space.genes), np.int64)
        for gene, value in zip(context, best):
            z[space.index[gene.name]] = value
        return z

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in: the limits, and the costs of some architectures, which stand for the tables."""
        Z = self.model.space.sample(16, np.random.default_rng(0))
        costs = self.model.upper(Z, self.target.fields).round(9).tolist()
        limits = dict(zip(self.target.fields, map(float, self.target.limits)))
        return {"device": self.target.budget.device, "limits": limits, "costs": costs, "rate": self.rate}

    # ---- checkpoint --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {"multipliers": self.multipliers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.multipliers = state["multipliers"]
