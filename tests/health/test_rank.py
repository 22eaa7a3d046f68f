"""hwnas/health: rank correlations with their intervals, and the verdict in words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from hwnas.health import Rank, rank_correlation, rank_within, verdict
from hwnas.health.rank import _spearman, _within, fifths


def test_by_hand() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])  # one pair of six the other way round
    rank = rank_correlation(a, b)
    assert rank.n == 4 and rank.kendall == pytest.approx((5 - 1) / 6) and rank.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert rank_correlation(a, -a).kendall == -1 and rank_correlation(a, a).kendall_interval == (1, 1)


def test_within_groups_by_hand() -> None:
    size = np.array([1.0, 2, 3, 4, 5, 6])
    groups = fifths(size)
    assert groups.tolist() == [0, 0, 1, 2, 3, 4]
    a, b, two = np.array([1.0, 2, 3, 11, 13, 12]), np.array([1.0, 2, 3, 11, 12, 13]), np.array([0, 0, 0, 1, 1, 1])
    found = rank_within(a, b, two)
    assert found.kendall == pytest.approx((3 + 2 - 1) / 6) and np.isnan(found.spearman)
    assert rank_within(size, -size, two).kendall == -1 and np.isnan(rank_within(size, size, np.arange(6)).kendall)


def test_constant_scores_have_no_order() -> None:
    rank = rank_correlation(np.ones(5), np.arange(5))
    assert np.isnan(rank.kendall) and np.isnan(rank.spearman) and np.isnan(rank.kendall_interval).all()


def test_draws_are_correlated_as_scipy_does_ties_included() -> None:
    a, b = np.random.default_rng(0).integers(0, 9, (2, 20, 15)).astype(float)
    a[3] = 1.0  # constant: no order
    expected = [spearmanr(x, y).statistic if np.ptp(x) else np.nan for x, y in zip(a, b)]
    np.testing.assert_allclose(_spearman(a, b), expected, atol=1e-12)
    taus = [kendalltau(x, y).statistic for x, y in zip(a, b)]
    np.testing.assert_allclose([_within(x, y, np.zeros(15)) for x, y in zip(a, b)], taus, atol=1e-12)


def test_the_interval_covers_the_truth_and_narrows() -> None:
    rng = np.random.default_rng(0)
    truth = 2 / np.pi * np.arcsin(0.8)  # Kendall's tau of a Gaussian pair with correlation 0.8 (Greiner)
    covered, widths = 0, []
    for seed in range(40):
        x = rng.standard_normal((60, 2))
        low, high = rank_correlation(x[:, 0], 0.8 * x[:, 0] + 0.6 * x[:, 1], seed).kendall_interval
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 34
    few = rank_correlation(x[:15, 0], 0.8 * x[:15, 0] + 0.6 * x[:15, 1])
    assert few.kendall_interval[1] - few.kendall_interval[0] > np.median(widths)


def rank(kendall: float, half: float = 0.1, n: int = 40) -> Rank:
    interval = (kendall - half, kendall + half)
    return Rank(n, kendall, interval, kendall, interval)


@pytest.mark.parametrize(
    "ranks, gap, visits, words",
    [
        ({"inherited": rank(0.8), "macs": rank(0.5), "params": rank(0.4)}, 0, 1, ["Healthy"]),
        ({"inherited": rank(0.5), "macs": rank(0.3), "params": rank(0.6)}, 0, 1, ["Usable", "Counting"]),
        ({"inherited": rank(0.1, 0.2), "macs": rank(0.0), "params": rank(0.0)}, 0.3, 1, ["Not to be trusted", "BatchNorm"]),
        ({"inherited": rank(0.6, 0.4, 8), "macs": rank(0.0), "params": rank(0.0)}, 0, 9, ["Too few", "Options"]),
        ({"inherited": rank(0.6), "macs": rank(0), "params": rank(0), "ceiling": rank(0.62)}, 0, 1, ["Usable", "It agrees"]),
    ],
)
def test_verdict(ranks: dict[str, Rank], gap: float, visits: float, words: list[str]) -> None:
    found = verdict(ranks, gap, visits)
    assert len(found) == len(words) and all(f.startswith(w) for f, w in zip(found, words))
