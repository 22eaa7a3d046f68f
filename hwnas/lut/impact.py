"""impact: would a search with another table come to other winners?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy

from ..cost import CostModel
from ..errors import HwnasError

SAMPLES = 20_000


@dataclass(frozen=True)
class Kept:
    """One architecture under one budget, by both tables; upper: with the 95 % margin, which is what a search keeps below the limit."""

    architecture: str
    limit_ms: float
    a_ms: float
    b_ms: float
    a_upper_ms: float
    b_upper_ms: float

    @property
    def a_keeps(self) -> bool:
        return self.a_upper_ms <= self.limit_ms

    @property
    def b_keeps(self) -> bool:
        return self.b_upper_ms <= self.limit_ms


@dataclass(frozen=True)
class Impact:
    """overlap: limit in ms -> |feasible in both| / |feasible in either| among random codes (1: nothing changes; NaN: none is feasible)."""

    samples: int
    ratio: float  # of costs, B / A, the median
    spearman: float  # rank correlation of costs
    overlap: dict[float, float]
    kept: tuple[Kept, ...]

    def to_dict(self) -> dict[str, Any]:
        kept = [{**asdict(k), "a_keeps": k.a_keeps, "b_keeps": k.b_keeps} for k in self.kept]
        return {**asdict(self), "overlap": {f"{k:g}": v for k, v in self.overlap.items()}, "kept": kept}


def impact(
    a: CostModel, b: CostModel, limits_ms: Sequence[float] = (), architectures: Mapping[str, np.ndarray] | None = None, seed: int = 0
) -> Impact:
    """Costs of random codes and of given architectures by two cost models of one space.

    limits_ms: latency budgets; architectures: name -> code (genes,). Raises HwnasError when the models are of two spaces.
    """
    if a.space.hash != b.space.hash:
        raise HwnasError(f"two spaces, {a.space.name!r} and {b.space.name!r}: nothing to compare")
    Z = a.space.sample(SAMPLES, np.random.default_rng(seed))
    cost_a, cost_b = (m.cost(Z, ["latency_ms"])[:, 0] for m in (a, b))
    upper_a, upper_b = (m.upper(Z, ["latency_ms"])[:, 0] for m in (a, b))
    finite = np.isfinite(cost_a) & np.isfinite(cost_b)
    if finite.sum() < 3:
        raise HwnasError("no architecture runs on both devices: too many blocks failed in one of the tables")
    overlap = {}
    for limit in limits_ms:
        in_a, in_b = upper_a <= limit, upper_b <= limit
        either = int((in_a | in_b).sum())
        overlap[float(limit)] = float((in_a & in_b).sum() / either) if either else float("nan")
    kept = []
    for name, z in (architectures or {}).items():
        figures = [float(f(z[None], ["latency_ms"])[0, 0]) for f in (a.cost, b.cost, a.upper, b.upper)]
        kept += [Kept(name, float(limit), *figures) for limit in limits_ms]
    return Impact(
        int(finite.sum()),
        float(np.median(cost_b[finite] / cost_a[finite])),
        float(scipy.stats.spearmanr(cost_a[finite], cost_b[finite]).statistic),
        overlap,
        tuple(kept),
    )
