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
    drawn = np.random.default_rng(seed).integers(0, len(a), (DRAWS, len(a)))
    together = np.zeros(len(a))
    draws = np.stack([[_within(a[i], b[i], together) for i in drawn], _spearman(a[drawn], b[drawn])], axis=1)
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0) if np.isfinite(draws).any() else np.full((2, 2), np.nan)
    kendall, spearman = _both(a, b)
    return Rank(len(a), kendall, (float(low[0]), float(high[0])), spearman, (float(low[1]), float(high[1])))


def rank_within(a: np.ndarray, b: np.ndarray, groups: np.ndarray, seed: int = 0) -> Rank:
    """Like `rank_correlation`, by pairs of one group only: groups (n,) such as fifths of the MACs, where size cannot help.

    Spearman's needs one order of all and is nan.
    """
    a, b, groups = np.asarray(a, float), np.asarray(b, float), np.asarray(groups)
    rng = np.random.default_rng(seed)
    draws = np.array([_within(a[i], b[i], groups[i]) for i in rng.integers(0, len(a), (DRAWS, len(a)))])
    low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return Rank(len(a), _within(a, b, groups), (float(low), float(high)), np.nan, (np.nan, np.nan))


def fifths(values: np.ndarray) -> np.ndarray:
    """values (n,) -> (n,) which fifth of their order each is in, 0 to 4."""
    order = np.argsort(values, kind="stable")
    found = np.empty(len(order), int)
    for k, part in enumerate(np.array_split(order, 5)):
        found[part] = k
    return found


def _within(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> float:
    """tau-b over the pairs of one group."""
    i, j = np.triu_indices(len(a), 1)
    same = groups[i] == groups[j]
    x, y = np.sign(a[i] - a[j])[same], np.sign(b[i] - b[j])[same]
    untied = np.sqrt((x != 0).sum() * (y != 0).sum())
    return float((x * y).sum() / untied) if untied else np.nan


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a, b (draws, n) -> (draws,) Spearman's correlation of each row, nan where one is constant; scipy's is slow for many."""
    x, y = (r - r.mean(1, keepdims=True) for r in (scipy.stats.rankdata(v, axis=1) for v in (a, b)))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1)))


def _both(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan, np.nan
    return float(scipy.stats.kendalltau(a, b).statistic), float(scipy.stats.spearmanr(a, b).statistic)
