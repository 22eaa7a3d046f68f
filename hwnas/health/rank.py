"""Rank: how alike two orders of the same architectures are, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy

DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Rank:
    """Correlations of two orders, 1 = the same, with 95 % bootstrap intervals; nan where one of them is constant."""

    n: int
    kendall: float  # tau-b: pairs in the same order minus pairs in the other, over all pairs that are not tied
    kendall_interval: tuple[float, float]
    spearman: float
    spearman_interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def rank_correlation(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Rank:
    """a (n,), b (n,): two measures of the same n architectures. Intervals resample the architectures."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    rng = np.random.default_rng(seed)
    draws = np.array([_both(a[i], b[i]) for i in rng.integers(0, len(a), (DRAWS, len(a)))])
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0) if np.isfinite(draws).any() else np.full((2, 2), np.nan)
    kendall, spearman = _both(a, b)
    return Rank(len(a), kendall, (float(low[0]), float(high[0])), spearman, (float(low[1]), float(high[1])))


def _both(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan, np.nan
    return float(scipy.stats.kendalltau(a, b).statistic), float(scipy.stats.spearmanr(a, b).statistic)
