"""hwnas/search/nsga3.py: reference directions by hand, and the known front of three objectives."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import all_codes, chain_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.search import Evolution, Feasible, Target
from hwnas.search.nsga2 import nsga2, objective_values, pareto
from hwnas.search.nsga3 import Niches, directions, nsga3

SPACE = chain_space(widths=((6, 8),), strides=(2,), depth=2, kernels=(3, 5), expands=(1, 2, 3), squeezes=(0, 4), acts=("relu",))
ALL = all_codes(SPACE)
MODEL = CostModel(SPACE, {"latency_ms": np.random.default_rng(3).uniform(0.1, 1, len(SPACE.blocks))})


def score(Z):
    rng = np.random.default_rng(0)
    worth = [np.sort(rng.random(n)) for n in SPACE.sizes]
    return sum(w[column] for w, column in zip(worth, SPACE.canonical(Z).T))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(4, 120))
def test_directions_are_all_that_fit(objectives, most):
    found = directions(objectives, most)
    parts = round(1 / np.min(found[found > 0]))
    assert len(found) == comb(parts + objectives - 1, objectives - 1) and (len(found) <= most or parts == 1)
    assert comb(parts + objectives, objectives - 1) > most and np.allclose(found.sum(1), 1) and (found >= 0).all()
    assert len(np.unique(found.round(9), axis=0)) == len(found)


def test_each_direction_keeps_its_nearest():
    """Nine points on a plane, all on one front: three of them lie on the directions to the corners, and survive."""
    corners = np.eye(3)
    near = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6], [0.34, 0.33, 0.33], [0.4, 0.4, 0.2], [0.4, 0.2, 0.4]])
    values = np.concatenate([near, corners])
    kept = Niches(directions(3, 3)).survivors(values, 3, np.random.default_rng(0))
    assert sorted(kept) == [6, 7, 8]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 3))
def test_survivors_are_as_many_as_asked_and_no_dominated_one_before_the_front(seed, n, objectives):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 8, (n, objectives)).astype(float)
    size = int(rng.integers(1, n + 1))
    kept = Niches(directions(objectives, 20)).survivors(values, size, rng)
    assert len(set(kept.tolist())) == len(kept) == size
    front = np.flatnonzero(pareto(values))
    assert set(front) <= set(kept) if len(front) <= size else set(kept) <= set(front)


@pytest.mark.parametrize("method", [nsga2, nsga3])
def test_the_known_front_of_three(method):
    allowed = Feasible.filled(MODEL, Target.of(Budget.parse("toy:latency=100%")[0], MODEL), 0.0)
    names = ["accuracy", "latency_ms", "macs"]
    found = method(allowed, score, Evolution(40, 8), 0, None, names)
    best = objective_values(allowed, ALL, score(ALL), names)
    front = {tuple(v) for v in best[pareto(best)].round(9)}
    values = objective_values(allowed, found.codes, found.accuracy, names)
    assert len(found.codes) == 320 < len(set(SPACE.keys(ALL))) / 1.5 and allowed(found.codes).all()
    got = {tuple(v) for v in values[pareto(values)].round(9)}
    assert len(got & front) > 0.5 * len(front) > 10


def test_a_front_without_accuracy():
    allowed = Feasible.filled(MODEL, Target.of(Budget.parse("toy:latency=90%")[0], MODEL), 0.0)
    found = nsga3(allowed, lambda Z: np.zeros(len(Z)), Evolution(30, 15), 0, None, ["latency_ms", "params"])
    values = objective_values(allowed, found.codes, found.accuracy, ["latency_ms", "params"])
    assert values.shape == (len(found.codes), 2) and np.isclose(values[:, 0].min(), allowed.target.ranges[0].low)
