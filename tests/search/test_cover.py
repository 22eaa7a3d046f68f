"""hwnas/search/cover.py: against trying every set of models."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import HwnasError
from hwnas.search.cover import cover


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(1, 6))
def test_the_fewest_models_and_of_those_the_most_accurate(seed: int, candidates: int, budgets: int) -> None:
    rng = np.random.default_rng(seed)
    serves, accuracy = rng.random((candidates, budgets)) < 0.5, rng.random(candidates)
    serves[rng.integers(0, candidates, budgets), np.arange(budgets)] = True
    chosen = cover(serves, accuracy)
    assert serves[chosen, np.arange(budgets)].all()
    for size in range(1, candidates + 1):
        sets = [np.array(s) for s in combinations(range(candidates), size) if serves[list(s)].any(0).all()]
        if sets:
            break
    best = max(np.where(serves[s], accuracy[s][:, None], -1).max(0).sum() for s in sets)
    assert len(set(chosen)) == size and accuracy[chosen].sum() == pytest.approx(best)


def test_a_budget_that_nothing_serves() -> None:
    with pytest.raises(HwnasError, match="budget number 2"):
        cover(np.array([[True, False]]), np.ones(1))
