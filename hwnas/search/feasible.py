"""Feasible: which codes keep a device's budget, and how to draw some that do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..budget import Budget
from ..cost import METRICS, CostModel
from ..errors import HwnasError
from ..space import Codes
from .descent import descend
from .reachable import Range, reachable


@dataclass(frozen=True)
class Target:
    """A budget in numbers: fields of the cost model, their limits in the field's unit, and their reachable ranges."""

    budget: Budget
    fields: tuple[str, ...]
    limits: np.ndarray  # (fields,)
    ranges: tuple[Range, ...]

    @classmethod
    def of(cls, budget: Budget, model: CostModel, seed: int = 0) -> Target:
        """Resolves shares of the range. Raises HwnasError when a limit alone cannot be reached, naming the nearest."""
        fields, limits, ranges = [], [], []
        for limit in budget.limits:
            metric = METRICS[limit.metric]
            if metric.field not in model.metrics:
                told = ", ".join(m.name for m in METRICS.values() if m.field in model.metrics)
                raise HwnasError(
                    f"budget {budget.device}:{budget.name}: the table of {budget.device} has no {metric.name}: not every row "
                    f"has it, because the device does not tell it or `hwnas profile` has to go on. Budgets there can name {told}"
                )
            span = reachable(model, metric.field, seed)
            value = span.at(limit.value) if limit.relative else limit.value
            if value < span.low:
                raise HwnasError(
                    f"budget {budget.device}:{budget.name}: {metric.name} {metric.text(value)} cannot be reached: this space has "
                    f"{metric.text(span.low)} to {metric.text(span.high)} (upper bounds) on {budget.device}; the nearest is "
                    f"{metric.name}={metric.text_above(span.low)}"
                )
            fields.append(metric.field)
            limits.append(value)
            ranges.append(span)
        return cls(budget, tuple(fields), np.array(limits), tuple(ranges))

    @property
    def metric_names(self) -> list[str]:
        return [x.metric for x in self.budget.limits]


class Feasible:
    """The codes whose upper bounds keep every limit, and which use at least `fill` of one of them.

    Why fill: scores are noisy, larger networks are seldom worse, and without it the noise picks networks that leave
    much of the budget unused. A limit above what the space can reach counts as the largest reachable value.
    tighter: factor on the measured limits, as certificates have moved them.
    """

    def __init__(self, model: CostModel, target: Target, fill: float = 0.97, tighter: float = 1.0):
        self.model, self.target = model, target
        measured = np.array([METRICS[n].measured for n in target.metric_names])
        self.limits = np.where(measured, target.limits * tighter, target.limits)
        self.floors = fill * np.minimum(self.limits, [r.high for r in target.ranges])

    @classmethod
    def filled(cls, model: CostModel, target: Target, fill: float = 0.97, tighter: float = 1.0, seed: int = 0) -> Feasible:
        """With the largest fill up to `fill` that some architecture has: small spaces have gaps below a limit.

        Raises HwnasError that names the binding limits when no architecture keeps them.
        """
        for share in (1.0, 0.95, 0.85, 0.7):
            feasible = cls(model, target, fill * share, tighter)
            if len(feasible._found(1, np.random.default_rng(seed), 4)):
                return feasible
        feasible = cls(model, target, 0.0, tighter)
        feasible.sample(1, np.random.default_rng(seed))
        return feasible

    def __call__(self, Z: Codes, rows: np.ndarray | None = None) -> np.ndarray:
        """(n,) bool. rows: those of Z, where they are known."""
        upper = self.model.upper(Z, self.target.fields, rows)
        keeps, fills = upper <= self.limits, upper >= self.floors
        return np.asarray(keeps.all(1) & fills.any(1))

    def violation(self, Z: Codes) -> np.ndarray:
        """(n,) 0 where feasible, else by how much in sum the limits are exceeded, or the fullest falls short."""
        upper = self.model.upper(Z, self.target.fields)
        over = np.maximum(upper / self.limits - 1, 0).sum(1)
        short = np.maximum(self.floors / self.limits - upper / self.limits, 0).min(1)
        return over + np.where(over > 0, 0.0, short)

    def sample(self, n: int, rng: np.random.Generator, tries: int = 30) -> Codes:
        """n feasible codes (fewer only if no more are found): random ones, and random ones moved until they are feasible.

        Raises HwnasError that names the binding limits when not one is found.
        """
        found = self._found(n, rng, tries)
        if not len(found):
            raise self._contradiction(rng)
        return found

    def _found(self, n: int, rng: np.random.Generator, tries: int) -> Codes:
        space = self.model.space
        found: list[np.ndarray] = []
        for _ in range(tries):
            Z = space.sample(4096, rng)
            found.extend(Z[self(Z)])
            if len(found) >= n:
                break
        while len(found) < n and tries > 0:
            Z, left = descend(space, self.violation, space.sample(64, rng))
            found.extend(Z[left <= 0])
            tries -= 1 if (left <= 0).any() else 10
        return np.array(found[:n]).reshape(-1, len(space.genes))

    def _contradiction(self, rng: np.random.Generator) -> HwnasError:
        space, target = self.model.space, self.target

        def over(Z: Codes) -> np.ndarray:
            return np.maximum(self.model.upper(Z, target.fields) / self.limits - 1, 0).sum(1)

        Z, left = descend(space, over, space.sample(64, rng))
        nearest = self.model.upper(Z[[left.argmin()]], target.fields)[0]
        broken = [METRICS[n].name for n, v, limit in zip(target.metric_names, nearest, self.limits) if v > limit]
        needed = nearest * target.limits / self.limits
        reach = ", ".join(f"{n}={METRICS[n].text_above(v)}" for n, v in zip(target.metric_names, needed))
        return HwnasError(
            f"budget {target.budget.device}:{target.budget.name}: no architecture keeps all limits at once; {' and '.join(broken)} "
            f"binds. The nearest that was found keeps {reach}"
        )
