"""hwnas/search/exact.py: against counting everything, on spaces small enough for that."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import chain_space, mix_space

from hwnas.block import Block
from hwnas.errors import HwnasError
from hwnas.gene import Gene
from hwnas.search.exact import optimum
from hwnas.search.pairs import GenePairs
from hwnas.slot import Slot
from hwnas.space import Space

SMALL = chain_space(resolutions=(8,), widths=((6, 8), (8, 10)), kernels=(3, 5), expands=(1,), squeezes=(0,), acts=("relu",))
ALL = np.array(list(product(*(range(n) for n in SMALL.sizes))))
ROWS = SMALL.rows(ALL)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.9), st.integers(0, 3))
def test_it_is_the_best_of_all(seed: int, share: float, constraints: int) -> None:
    rng = np.random.default_rng(seed)
    gain, costs = rng.normal(size=len(SMALL.members)), rng.random((constraints, len(SMALL.members)))
    sums = [c[ROWS].sum(1) for c in costs]
    limits = [float(np.quantile(s, share)) for s in sums]
    keeps = np.all([s <= limit for s, limit in zip(sums, limits)], axis=0) if constraints else np.ones(len(ALL), bool)
    if not keeps.any():
        with pytest.raises(HwnasError, match="no architecture keeps all limits"):
            optimum(SMALL, gain, costs, limits)
        return
    found = optimum(SMALL, gain, costs, limits)
    assert found.value == pytest.approx(gain[ROWS].sum(1)[keeps].max()) and found.gap < 1e-6
    assert found.value == pytest.approx(gain[SMALL.rows(found.code[None])[0]].sum())
    assert all(c[SMALL.rows(found.code[None])[0]].sum() <= limit + 1e-7 for c, limit in zip(costs, limits))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.9), st.integers(1, 6))
def test_it_is_the_best_of_all_with_pairs_of_genes(seed: int, share: float, count: int) -> None:
    rng, genes = np.random.default_rng(seed), GenePairs(SMALL)
    gain, cost = rng.normal(size=len(SMALL.members)), rng.random(len(SMALL.members))
    names = [genes.names[i] for i in rng.choice(len(genes.names), count, replace=False)]
    pairs = [genes.fitted(n, rng.normal(0, 2, genes(ALL[:1], n).shape[1])) for n in names]
    worth = gain[ROWS].sum(1) + sum(genes(ALL, n) @ p.gain.ravel() for n, p in zip(names, pairs))
    limit = float(np.quantile(cost[ROWS].sum(1), share))
    found = optimum(SMALL, gain, [cost], [limit], pairs=pairs)
    assert found.value == pytest.approx(worth[cost[ROWS].sum(1) <= limit].max()) and found.gap < 1e-6
    assert found.value == pytest.approx(worth[(ALL == found.code).all(1)][0])


def test_a_pair_counts_only_where_both_genes_run() -> None:
    """Layer 2 of a stage runs where the depth is 2: only then is its kernel worth something beside another gene."""
    genes, names = GenePairs(SMALL), [g.name for g in SMALL.genes]
    kernel, other = names.index("s1_l2_kernel"), names.index("s2_l1_kernel")
    seen = genes(ALL, (kernel, other)).reshape(len(ALL), 2, 2)
    for z, one in zip(ALL, seen):
        deep = SMALL.decode(z)["s1_depth"] == 2
        assert one.sum() == deep and (not deep or one[z[kernel], z[other]] == 1)


def test_rows_that_are_not_allowed_or_cannot_run_are_never_taken() -> None:
    rng = np.random.default_rng(0)
    gain, allowed, cost = rng.random(len(SMALL.members)), np.ones(len(SMALL.members), bool), np.ones(len(SMALL.members))
    best = SMALL.rows(optimum(SMALL, gain).code[None])[0]
    taken = dict(zip((s.name for s in SMALL.slots), best))
    allowed[taken["s1_l1"]], cost[taken["s2_l1"]] = False, np.inf
    found = SMALL.rows(optimum(SMALL, gain, [cost], [1e9], allowed=allowed).code[None])[0]
    assert taken["s1_l1"] not in found and taken["s2_l1"] not in found and len(found) == len(best)


def test_a_part_that_all_have_must_run() -> None:
    fixed = Slot.of("stem", "x", "n", {}, lambda: Block("conv", 2, 2, 6, 6, kernel=1))
    free = Slot.of("more", "n", "y", {"kernel": Gene.one("k", [1, 3])}, lambda kernel: Block("conv", 2, 2, 6, 6, kernel=kernel))
    space = Space("two", (fixed, free), "y")
    gain, cost = np.array([5.0, 1, 2, 0]), np.array([2.0, 1, 2, 0])
    found = optimum(space, gain, [cost], [3.0])
    assert found.code.tolist() == [0] and found.value == 6, "the stem's cost counts, too"
    allowed = np.array([False, True, True, True])
    with pytest.raises(HwnasError, match="every architecture has"):
        optimum(space, gain, allowed=allowed)


def test_twenty_slots_of_twelve_with_three_limits_are_proved() -> None:
    slots = [
        Slot.of(
            f"s{i}", f"n{i}", f"n{i + 1}", {"k": Gene.one(f"g{i}", range(12))}, lambda k: Block("conv", 4, 4, 6, 6, kernel=1, expand=k + 1)
        )
        for i in range(20)
    ]
    space, rng = Space("knapsack", tuple(slots), "n20"), np.random.default_rng(0)
    gain = rng.random(len(space.members))
    costs = [rng.random(len(space.members)) * (0.5 + gain) for _ in range(3)]
    rows = space.rows(space.sample(20_000, rng))
    limits = [float(np.quantile(c[rows].sum(1), 0.3)) for c in costs]
    found = optimum(space, gain, costs, limits)
    feasible = np.all([c[rows].sum(1) <= limit for c, limit in zip(costs, limits)], axis=0)
    assert found.gap < 1e-6 and found.value > gain[rows].sum(1)[feasible].max()


def test_dead_code_is_refused() -> None:
    space = mix_space()
    with pytest.raises(HwnasError, match="no sum over slots"):
        optimum(space, np.ones(len(space.members)))
