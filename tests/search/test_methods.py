"""hwnas/search: every method on spaces whose best architecture is known, and NSGA-II's parts against slow ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import SPACES, all_codes, chain_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.search import METHODS, Evolution, Feasible, Target
from hwnas.search.exhaustive import all_codes as counted
from hwnas.search.features import Features
from hwnas.search.local import neighbours
from hwnas.search.nsga2 import crowding, nsga2, pareto, ranks
from hwnas.search.seeded import row_memory
from hwnas.search.surrogate import Surrogate
from hwnas.space import Codes

SPACE = chain_space(widths=((6, 8),), strides=(2,), depth=2, kernels=(3, 5), expands=(1, 2, 3), squeezes=(0, 4), acts=("relu",))
ALL = all_codes(SPACE)
MODEL = CostModel(
    SPACE, {"latency_ms": np.random.default_rng(3).uniform(0.1, 1, len(SPACE.blocks))}, {"latency_ms": 0.05}, {"latency_ms": 0.05}
)
PLAN = Evolution(20, 12)


def feasible(text: str, fill: float = 0.5) -> Feasible:
    return Feasible.filled(MODEL, Target.of(Budget.parse(f"toy:{text}")[0], MODEL), fill)


def score(Z: Codes) -> np.ndarray:
    """Worth by gene with one interaction; genes of what does not run are worth nothing."""
    Z = SPACE.canonical(Z)
    rng = np.random.default_rng(0)
    worth = [np.sort(rng.random(n)) for n in SPACE.sizes]
    return sum(w[column] for w, column in zip(worth, Z.T)) + 0.1 * (Z[:, 0] == Z[:, 1])


@pytest.mark.parametrize("name", ["evolution", "local", "exhaustive", "exact", "surrogate"])
@pytest.mark.parametrize("text", ["latency=60%", "latency=50%,memory=70%,params=80%"])
def test_each_finds_the_known_optimum(name: str, text: str) -> None:
    allowed = feasible(text)
    found = METHODS[name](allowed, score, PLAN, 0, None)
    assert found.best_accuracy == pytest.approx(score(ALL[allowed(ALL)]).max())


@pytest.mark.parametrize("name", METHODS)
def test_all_is_feasible_and_counted_and_a_function_of_the_seed(name: str) -> None:
    allowed, plan, told = feasible("latency=70%,macs=90%"), Evolution(10, 6), []
    found = METHODS[name](allowed, score, plan, 1, lambda *progress: told.append(progress))
    upper = MODEL.upper(found.codes, allowed.target.fields)
    assert (upper <= allowed.limits).all() and (name == "progressive" or allowed(found.codes).all())  # it begins with small ones
    assert (score(found.codes) == found.accuracy).all()
    assert name == "exhaustive" or len(found.codes) <= plan.evaluations
    assert told and told[-1][0] == len(found.codes) and told[-1][2] == pytest.approx(found.best_accuracy)
    assert (METHODS[name](allowed, score, plan, 1, None).codes == found.codes).all()
    if name not in ("random", "exact", "progressive"):  # random ones may repeat, and count
        assert len(set(SPACE.keys(found.codes))) == len(found.codes)


def test_exact_says_how_well_its_model_fits_and_refuses_dead_code() -> None:
    found = METHODS["exact"](feasible("latency=60%"), score, PLAN, 0, None)
    assert "leave-one-out R2" in found.note
    cell = SPACES["nasbench201"]
    model = CostModel(cell, {"latency_ms": np.ones(len(cell.blocks))})
    allowed = Feasible.filled(model, Target.of(Budget.parse("toy:latency=90%")[0], model), 0.0)
    with pytest.raises(HwnasError, match="no sum over slots"):
        METHODS["exact"](allowed, lambda Z: Z.sum(1).astype(float), PLAN, 0, None)


def test_exhaustive_refuses_what_cannot_be_counted() -> None:
    space = SPACES["chain"]
    model = CostModel(space, {"latency_ms": np.ones(len(space.blocks))})
    big = Feasible(model, Target.of(Budget.parse("toy:latency=90%")[0], model), 0.0)
    if np.prod(space.sizes.astype(float)) > 1e6:
        with pytest.raises(HwnasError, match="take a smaller space or another --method"):
            METHODS["exhaustive"](big, score, PLAN, 0, None)
    assert (counted(SPACE, 0, len(ALL)) == ALL).all()


def test_neighbours_are_all_that_differ_in_one_gene() -> None:
    z = ALL[77]
    assert {tuple(c) for c in neighbours(z, SPACE.sizes)} == {tuple(c) for c in ALL[(ALL != z).sum(1) == 1]}


def test_the_memory_of_rows_is_that_of_architectures() -> None:
    rows = row_memory(MODEL)[SPACE.rows(ALL)].max(1)
    assert (rows == MODEL.cost(ALL, ["memory_bytes"])[:, 0]).all()


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_features_are_equal_where_the_same_runs(space) -> None:
    rng = np.random.default_rng(0)
    Z = space.sample(40, rng)
    assert (Features(space)(Z) == Features(space)(space.canonical(Z))).all()
    assert len(np.unique(Features(space)(Z), axis=0)) >= 2


# ---- NSGA-II ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 3))
def test_fronts_are_what_comparing_each_with_each_gives(seed: int, n: int, objectives: int) -> None:
    values = np.random.default_rng(seed).integers(0, 6, (n, objectives)).astype(float)
    left, rank, expected = set(range(n)), 0, np.zeros(n, int)
    while left:
        front = {i for i in left if not any((values[j] <= values[i]).all() and (values[j] < values[i]).any() for j in left)}
        expected[list(front)] = rank
        left, rank = left - front, rank + 1
    assert (ranks(values) == expected).all() and (pareto(values) == (expected == 0)).all()


def test_crowding_by_hand() -> None:
    values = np.array([[0.0, 10.0], [1, 6], [3, 5], [4, 0], [9, 9]])  # the last is dominated, alone on its front
    assert crowding(values).tolist() == [np.inf, 3 / 4 + 5 / 10, 3 / 4 + 6 / 10, np.inf, np.inf]


def test_ranks_and_crowding_are_those_of_pymoo() -> None:
    pytest.importorskip("pymoo", reason="pymoo is not installed")
    from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    values = np.random.default_rng(0).random((200, 2))
    fronts = NonDominatedSorting().do(values)
    for rank, front in enumerate(fronts):
        assert set(front) == set(np.flatnonzero(ranks(values) == rank))
        theirs = get_crowding_function("cd").do(values[front])
        finite = np.isfinite(theirs)
        assert np.allclose(2 * theirs[finite], crowding(values)[front][finite])


def test_nsga2_finds_the_known_front() -> None:
    allowed = feasible("latency=100%,macs=90%", 0.0)
    found = nsga2(allowed, score, Evolution(40, 30), 0, None, ["accuracy", "latency_ms"])
    every = ALL[allowed(ALL)]

    def front(Z: Codes, accuracy: np.ndarray) -> set[tuple[float, float]]:
        values = np.column_stack([-accuracy, MODEL.upper(Z, ["latency_ms"])])
        return {(round(a, 9), round(b, 9)) for a, b in values[pareto(values)]}

    best, got = front(every, score(every)), front(found.codes, found.accuracy)
    assert len(got & best) >= 0.9 * len(best) > 5, "a tenth of it may be missing after so many evaluations"


# ---- surrogate ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("large", [1000, 0])
def test_the_surrogate_learns_the_score_and_knows_where_it_does_not(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Gaussian process, and the ensemble that takes its place where there are more scores than `large`."""
    monkeypatch.setattr("hwnas.search.surrogate.LARGE", large)
    rng = np.random.default_rng(0)
    Z = ALL[rng.permutation(len(ALL))]
    model = Surrogate(SPACE).fit(Z[:150], score(Z[:150]))
    mean, deviation = model.predict(Z[150:400])
    error = mean - score(Z[150:400])
    assert 1 - (error**2).mean() / score(Z[150:400]).var() > 0.8
    assert (np.abs(error) <= 2 * deviation + 1e-6).mean() > 0.8
    assert model.predict(Z[:150])[1].mean() < deviation.mean()
    few = Surrogate(SPACE).fit(Z[:5], score(Z[:5]))
    assert few.extrapolates(Z[150:400]).mean() > model.extrapolates(Z[150:400]).mean()
