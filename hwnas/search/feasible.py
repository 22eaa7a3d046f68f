"""Feasible: which codes keep a device's budget, how to draw some that do, and what soft limits cost."""

from __future__ import annotations

from collections.abc import Callable
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
        """Resolves shares of the range. Raises HwnasError when a hard limit alone cannot be reached, naming the nearest.

        model: at the budget's probabilities (`CostModel.at`).
        """
        fields, limits, ranges = [], [], []
        for limit in budget.limits:
            metric = METRICS[limit.metric]
            if metric.field not in model.metrics:
                told = ", ".join(m.name for m in METRICS.values() if m.field in model.metrics)
                way_out = "not every row has it, because the device does not tell it or `hwnas profile` has to go on"
                if metric.quantile:
                    way_out = "its single inferences were not timed: `hwnas search` does that where the device can be reached"
                raise HwnasError(
                    f"budget {budget.device}:{budget.name}: the table of {budget.device} has no {metric.name}: {way_out}. "
                    f"Budgets there can name {told}"
                )
            span = reachable(model, metric.field, seed)
            if not np.isfinite(span.low):
                raise nothing_runs(budget.device, model)
            value = span.at(limit.value) if limit.relative else limit.value
            if value < span.low and limit.price is None:
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

    @property
    def hard(self) -> np.ndarray:
        """(fields,) bool: whose limits nothing may be over."""
        return np.array([x.price is None for x in self.budget.limits])

    @property
    def terms(self) -> list[str]:
        """What the limits' values do not say, where there is something: probabilities, and prices of soft limits."""
        return [x.text for x in self.budget.limits] if any(x.text != x.value_text for x in self.budget.limits) else []

    @property
    def confidences(self) -> dict[str, float]:
        """Field -> with what probability its limit has to be kept, of those that are measured."""
        return self.budget.confidences


class Feasible:
    """The codes whose upper bounds keep every hard limit, and which use at least `fill` of a limit.

    Why fill: scores are noisy, larger networks are seldom worse, and without it the noise picks networks that leave
    much of the budget unused. A limit above what the space can reach counts as the largest reachable value.
    tighter: factor on the measured limits, as certificates have moved them.
    """

    def __init__(self, model: CostModel, target: Target, fill: float = 0.97, tighter: float = 1.0):
        self.model, self.target = model, target
        measured = np.array([METRICS[n].measured for n in target.metric_names])
        self.limits = np.where(measured, target.limits * tighter, target.limits)
        self.floors = fill * np.minimum(self.limits, [r.high for r in target.ranges])
        self.hard = target.hard
        self._all_hard = bool(self.hard.all())
        broken = "latency_ms" not in target.fields and not np.isfinite(model.tables.get("latency_ms", np.zeros(1))).all()
        self._fields = (*target.fields, "latency_ms") if broken else target.fields
        prices = [x.price for x in target.budget.limits]
        self.prices = np.array([p.accuracy / p.over if p else 0.0 for p in prices])  # accuracy for being over a limit by its own size

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
        upper = self.upper(Z, rows)
        return np.asarray(self._kept(upper) & (upper >= self.floors).any(1))

    def keeps(self, Z: Codes) -> np.ndarray:
        """(n,) bool: whether every hard limit is kept, however little of it is used."""
        return self._kept(self.upper(Z))

    def identity(self, Z: Codes, rows: np.ndarray) -> np.ndarray:
        """(n,) equal where two codes are one architecture, which is then evaluated once; rows: those of Z."""
        return self.model.space.hashes(rows)

    def near(self, z: np.ndarray) -> np.ndarray:
        """(genes,) z itself where it keeps every hard limit, else one that does: by steepest descent, from z and from others.

        Raises HwnasError that names the binding limits when there is none.
        """
        rng = np.random.default_rng(0)
        others = [code for r in self.target.ranges for code in (r.low_code, r.high_code)]
        Z, left = descend(self.model.space, lambda Y: self._over(self.upper(Y)), np.array([z, *others, *self.model.space.sample(64, rng)]))
        if not (left <= 0).any():
            raise self._contradiction(rng)
        return Z[int((left <= 0).argmax())]

    def upper(self, Z: Codes, rows: np.ndarray | None = None) -> np.ndarray:
        """(n, fields) upper bounds of what the budget names; inf for what the device cannot run. rows: those of Z, where they are known."""
        upper = self.model.upper(Z, self._fields, rows)
        if len(self._fields) > len(self.limits):
            upper[~np.isfinite(upper[:, -1])] = np.inf
        return np.asarray(upper[:, : len(self.limits)])

    def penalty(self, Z: Codes) -> np.ndarray:
        """(n,) accuracy that being over the soft limits costs."""
        if self._all_hard:
            return np.zeros(len(Z))
        over = np.maximum(self.upper(Z) / self.limits - 1, 0)
        return np.asarray(np.where(self.hard, 0.0, over) @ self.prices)

    def objective(self, score: Callable[[Codes], np.ndarray]) -> Callable[[Codes], np.ndarray]:
        """What a search makes large: the score, less what soft limits cost."""
        return score if self._all_hard else lambda Z: score(Z) - self.penalty(Z)

    def violation(self, Z: Codes) -> np.ndarray:
        """(n,) 0 where feasible, else by how much in sum the limits are exceeded, or the fullest falls short."""
        upper = self.upper(Z)
        over = self._over(upper)
        short = np.maximum(self.floors / self.limits - upper / self.limits, 0).min(1)
        return over + np.where(over > 0, 0.0, short)

    def sample(self, n: int, rng: np.random.Generator, tries: int = 30) -> Codes:
        """n feasible codes (fewer only if no more are found): random ones, and others moved until they are feasible.

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
        corners = [code for r in self.target.ranges for code in (r.low_code, r.high_code)]
        while len(found) < n and tries > 0:
            Z, left = descend(space, self.violation, np.concatenate([corners, space.sample(64, rng)]) if corners else space.sample(64, rng))
            corners = []
            found.extend(Z[left <= 0])
            tries -= 1 if (left <= 0).any() else 10
        return np.array(found[:n]).reshape(-1, len(space.genes))

    def _kept(self, upper: np.ndarray) -> np.ndarray:
        if self._all_hard:  # what cannot run is over any limit
            return np.asarray((upper <= self.limits).all(1))
        return np.asarray(((upper <= self.limits) | ~self.hard).all(1) & np.isfinite(upper).all(1))

    def _over(self, upper: np.ndarray) -> np.ndarray:
        """upper (n, fields) -> (n,) by how much in sum hard limits are exceeded, as shares of them."""
        over = np.where(self.hard, np.maximum(upper / self.limits - 1, 0), 0.0).sum(1)
        return np.asarray(np.where(np.isfinite(upper).all(1), over, np.inf))

    def _contradiction(self, rng: np.random.Generator) -> HwnasError:
        """Which limit binds, and for each hard one how far it alone would have to move: the smallest value that the others leave."""
        space, target = self.model.space, self.target
        starts = np.concatenate([[code for r in target.ranges for code in (r.low_code, r.high_code)], space.sample(64, rng)])
        ways, least = [], (np.inf, "")
        for i in np.flatnonzero(self.hard):

            def value(Z: Codes, i: int = int(i)) -> np.ndarray:
                upper = self.upper(Z)
                others = self._over(np.where(np.arange(len(self.limits)) == i, 0.0, upper))
                return 1e6 * others + upper[:, i] / self.limits[i]

            Z, left = descend(space, value, starts)
            if not np.isfinite(left).any():
                return nothing_runs(target.budget.device, self.model)
            if left.min() >= 1e3:
                continue  # the others contradict each other without it
            metric = METRICS[target.metric_names[i]]
            needed = self.upper(Z[[left.argmin()]])[0, i] * target.limits[i] / self.limits[i]
            ways.append(f"{metric.name}={metric.text_above(needed)}")
            least = min(least, (float(left.min()), metric.name))
        where = f"budget {target.budget.device}:{target.budget.name}: no architecture keeps all limits at once"
        if not ways:
            return HwnasError(f"{where}, nor all but one of them: loosen more than one")
        return HwnasError(f"{where}; {least[1]} binds most. With the other limits as they are, what can be kept is {' or '.join(ways)}")


def nothing_runs(device: str, model: CostModel) -> HwnasError:
    """Where every architecture has a block that the device cannot run."""
    failed = sum(not np.isfinite(t) for t in model.tables.get("latency_ms", ()))
    return HwnasError(
        f"device {device!r}: no architecture of space {model.space.name!r} was found that runs there: {failed} of "
        f"{len(model.space.blocks)} blocks failed: `hwnas lut show {device}` says why"
    )
