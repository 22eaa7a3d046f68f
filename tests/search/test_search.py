"""hwnas/search: what can be reached, what is feasible, and that evolution finds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import SPACES, all_codes, chain_space

from hwnas.budget import Budget
from hwnas.cost import METRICS, CostModel
from hwnas.errors import HwnasError
from hwnas.search import Evolution, Feasible, Target, evolve, random_search, reachable
from hwnas.search.descent import descend
from hwnas.search.result import AT_ONCE

SPACE = chain_space(widths=((6, 8),), strides=(2,), depth=2, kernels=(3, 5), expands=(1, 2, 3), squeezes=(0, 4), acts=("relu",))
ALL = all_codes(SPACE)
FIELDS = tuple(m.field for m in METRICS.values() if m.name == "latency" or not m.measured)  # all that the toy device tells


def latency_model(space=SPACE, margin=0.05, broken=()):
    """Latencies that follow the operations, with noise of their own for each block."""
    rng = np.random.default_rng(3)
    table = CostModel(space).tables["macs"] / 1e6 * rng.uniform(0.7, 1.3, len(space.blocks)) + 0.01
    table[[i for i, b in enumerate(space.blocks) if b in broken]] = np.inf
    return CostModel(space, {"latency_ms": table}, {"latency_ms": 0.05}, {"latency_ms": margin})


MODEL = latency_model()
UPPER = MODEL.upper(ALL, FIELDS)


def target(text, model=MODEL):
    (budget,) = Budget.parse(f"toy:{text}")
    return Target.of(budget, model)


# ---- reachable ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column, field", list(enumerate(FIELDS)))
def test_reachable_is_what_counting_all_architectures_gives(column, field):
    found = reachable(MODEL, field)
    assert found.low == UPPER[:, column].min() and found.high == UPPER[:, column].max()
    for code, value in ((found.low_code, found.low), (found.high_code, found.high)):
        assert MODEL.upper(code[None], [field])[0, 0] == value
    assert found.at(0) == found.low and found.at(1) == found.high and found.at(0.5) == pytest.approx((found.low + found.high) / 2)


def test_reachable_avoids_what_the_device_cannot_run():
    broken = {b for b in SPACE.blocks if b.op == "mbconv" and (b.kernel == 5 or b.expand == 1)}
    model = latency_model(broken=broken)
    value = model.upper(ALL, ["latency_ms"])[:, 0]
    found = reachable(model, "latency_ms")
    assert found.low == value.min() and found.high == value[np.isfinite(value)].max()


def test_descent_ends_where_no_single_change_helps():
    rng = np.random.default_rng(0)
    values = rng.random(len(ALL))
    place = {tuple(z): i for i, z in enumerate(ALL)}
    value = lambda Z: values[[place[tuple(z)] for z in Z]]
    starts = SPACE.sample(8, rng)
    Z, best = descend(SPACE, value, starts)
    assert (value(Z) == best).all() and (best <= value(starts)).all()
    for z, v in zip(Z, best):
        near = ALL[(ALL != z).sum(1) <= 1]
        assert (value(near) >= v).all()
    assert (descend(SPACE, value, starts, steps=0)[0] == starts).all()


# ---- targets --------------------------------------------------------------------------------------------------------------


def test_shares_of_the_range_become_values():
    found = target("latency=30%,memory=100%,params=4k")
    low, high = UPPER[:, 0].min(), UPPER[:, 0].max()
    assert found.fields == ("latency_ms", "memory_bytes", "params") and found.metric_names == ["latency", "memory", "params"]
    assert found.limits == pytest.approx([low + 0.3 * (high - low), UPPER[:, 1].max(), 4000])
    assert [r.metric for r in found.ranges] == list(found.fields)


@pytest.mark.parametrize("name, text", [("latency", "1us"), ("memory", "1B"), ("size", "1B"), ("macs", "1"), ("params", "1")])
@pytest.mark.parametrize("space", [SPACE, SPACES["chain"], SPACES["nasbench201"]], ids=["small", "chain", "nasbench201"])
def test_an_unreachable_budget_names_the_metric_and_a_nearest_value_that_is_accepted(name, text, space):
    model = latency_model(space)
    with pytest.raises(HwnasError) as error:
        target(f"macs=100%,{name}={text}" if name != "macs" else f"{name}={text}", model)
    message = str(error.value)
    assert f"{name} " in message and "cannot be reached" in message and "toy" in message and "\n" not in message
    nearest = message.partition("the nearest is ")[2]
    found = target(nearest, model)
    assert found.limits[0] <= reachable(model, METRICS[name].field).low * 1.0101
    assert Feasible.filled(model, found).sample(1, np.random.default_rng(0)).shape == (1, len(space.genes))


def test_a_limit_above_what_can_be_reached_is_the_largest_value():
    feasible = Feasible(MODEL, target("latency=9s"), fill=0.9)
    assert feasible(ALL).sum() == (UPPER[:, 0] >= 0.9 * UPPER[:, 0].max()).sum() > 0


def test_contradictory_limits_name_what_binds_and_values_that_are_accepted():
    """The two smallest values are those of different architectures, so both at once cannot be had."""
    rng = np.random.default_rng(0)
    model = CostModel(SPACE, {"latency_ms": 1 / (MODEL.tables["macs"] + 1e4) * 1e4 * rng.uniform(0.9, 1.1, len(SPACE.blocks))})
    asked = target("latency=10%,macs=10%", model)
    upper = model.upper(ALL, asked.fields)
    assert not (upper <= asked.limits).all(1).any()
    with pytest.raises(HwnasError) as error:
        Feasible.filled(model, asked)
    message = str(error.value)
    assert "no architecture keeps all limits at once" in message and "latency" in message and " binds" in message
    ways = message.partition("what can be kept is ")[2].split(" or ")
    assert [w.partition("=")[0] for w in ways] == ["latency", "macs"]
    for way, other in zip(ways, ("macs=10%", "latency=10%")):
        assert len(Feasible.filled(model, target(f"{way},{other}", model)).sample(3, np.random.default_rng(0)))
        column, limit = asked.fields.index(METRICS[way.partition("=")[0]].field), target(way, model).limits[0]
        least = upper[(upper <= asked.limits)[:, 1 - column], column].min()
        assert least <= limit <= 1.011 * least, "no smaller one could be kept"
    with pytest.raises(HwnasError, match="binds"):
        Feasible(model, asked, fill=0).sample(5, np.random.default_rng(0))


# ---- feasible -------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 100), st.integers(30, 100), st.floats(0, 1), st.floats(0.8, 1.0), st.integers(0, 2**32 - 1))
def test_nothing_infeasible_passes_and_nothing_feasible_is_refused(latency, memory, fill, tighter, seed):
    asked = target(f"latency={latency}%,memory={memory}%")
    feasible = Feasible(MODEL, asked, fill, tighter)
    limits = asked.limits * [tighter, 1.0]
    floors = fill * np.minimum(limits, UPPER[:, :2].max(0))
    allowed = (UPPER[:, :2] <= limits).all(1) & (UPPER[:, :2] >= floors).any(1)
    near = (np.abs(UPPER[:, :2] / limits - 1) < 1e-12).any(1) | (np.abs(UPPER[:, :2] - floors) < 1e-9 * floors).any(1)
    assert (feasible(ALL) == allowed)[~near].all()
    if allowed.any() and not near.any():
        Z = feasible.sample(20, np.random.default_rng(seed))
        assert len(Z) and feasible(Z).all()
        assert {tuple(z) for z in Z} <= {tuple(z) for z in ALL[allowed]}


def test_feasible_finds_what_random_sampling_does_not():
    """A budget at the very minimum: about one code in 100,000."""
    space = chain_space(widths=((6, 8), (8, 10), (8, 10)), strides=(1, 2, 1), resolutions=(8,))
    model = latency_model(space)
    feasible = Feasible.filled(model, target("latency=0%", model))
    assert not feasible(space.sample(4096, np.random.default_rng(1))).any()  # what one try draws with this seed
    Z = feasible.sample(3, np.random.default_rng(1), tries=1)
    assert len(Z) and (model.upper(Z, ["latency_ms"])[:, 0] <= feasible.limits[0]).all()


def test_what_the_device_cannot_run_is_never_drawn():
    broken = {b for b in SPACES["chain"].blocks if b.kernel == 5}
    model = latency_model(SPACES["chain"], broken=broken)
    Z = Feasible.filled(model, target("latency=50%", model)).sample(30, np.random.default_rng(0))
    assert len(Z) == 30 and not any(broken & set(model.space.blocks_of(z)) for z in Z)


def test_fill_gives_way_where_a_space_has_gaps():
    values = np.sort(np.unique(UPPER[:, 0]))
    gap = np.argmax(np.diff(values) / values[1:])
    limit = values[gap + 1] * 0.9999
    feasible = Feasible.filled(MODEL, target(f"latency={limit}ms"), fill=1.0)
    Z = feasible.sample(5, np.random.default_rng(0))
    assert (MODEL.upper(Z, ["latency_ms"])[:, 0] <= limit).all()


# ---- evolution --------------------------------------------------------------------------------------------------------------


class Worth:
    """A separable score: each gene's value is worth something; remembers what it was asked."""

    def __init__(self, space, seed=0):
        rng = np.random.default_rng(seed)
        self.space, self.worth = space, [np.sort(rng.random(n)) for n in space.sizes]
        self.asked = []

    def __call__(self, Z):
        self.asked.extend(self.space.keys(Z))
        return np.sum([w[column] for w, column in zip(self.worth, self.space.canonical(Z).T)], 0)


def test_evolution_finds_the_known_optimum():
    score = Worth(SPACE)
    feasible = Feasible.filled(MODEL, target("latency=60%"), fill=0.5)
    best = score(ALL[feasible(ALL)]).max()
    for seed in range(3):
        found = evolve(feasible, score, Evolution(population=20, generations=12), seed)
        assert found.best_accuracy == pytest.approx(best) == score(found.best[None])[0]


def test_evolution_beats_random_search_at_equal_evaluations():
    space = SPACES["chain"]
    model, score, plan = latency_model(space), Worth(space), Evolution(population=20, generations=10)
    feasible = Feasible(model, target("latency=50%", model), 0.7)
    gains = []
    for seed in range(5):
        evolved = evolve(feasible, score, plan, seed)
        drawn = random_search(feasible, score, len(evolved.codes), seed)
        assert len(evolved.codes) == len(drawn.codes) == plan.evaluations
        gains.append(evolved.best_accuracy - drawn.best_accuracy)
    assert np.mean(gains) > 0.3 and min(gains) > 0


def test_everything_evaluated_is_feasible_and_new():
    feasible, score = Feasible.filled(MODEL, target("latency=50%,memory=90%"), fill=0.3), Worth(SPACE)
    found = evolve(feasible, score, Evolution(population=16, generations=6), 0)
    assert feasible(found.codes).all() and len(set(score.asked)) == len(score.asked) == len(found.codes)
    assert (score(found.codes) == found.accuracy).all() and found.best_accuracy == found.accuracy.max()


def test_evolution_ends_when_nothing_new_is_left():
    feasible, score = Feasible(MODEL, target("latency=100%"), fill=0.999), Worth(SPACE)
    left = len(set(SPACE.keys(ALL[feasible(ALL)])))
    found = evolve(feasible, score, Evolution(population=8, generations=50), 0)
    assert left == len(found.codes) < 60


def test_a_search_is_a_function_of_its_seed():
    feasible, plan = Feasible.filled(MODEL, target("latency=50%")), Evolution(population=10, generations=4)
    run = lambda seed: evolve(feasible, Worth(SPACE), plan, seed).codes.tolist()
    assert run(0) == run(0) != run(1)
    draw = lambda seed: random_search(feasible, Worth(SPACE), 25, seed).codes.tolist()
    assert draw(0) == draw(0) != draw(1)


def test_reports_count_up_to_what_was_planned():
    feasible, plan, seen = Feasible.filled(MODEL, target("latency=50%"), 0.2), Evolution(population=10, generations=4), []
    evolve(feasible, Worth(SPACE), plan, 0, lambda *progress: seen.append(progress))
    assert [done for done, _, _ in seen] == [10, 20, 30, 40] and {total for _, total, _ in seen} == {40}
    assert [best for *_, best in seen] == sorted(best for *_, best in seen)
    seen.clear()
    random_search(feasible, Worth(SPACE), 2 * AT_ONCE + 5, 0, lambda *progress: seen.append(progress))
    assert [done for done, _, _ in seen] == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 5] and {total for _, total, _ in seen} == {2 * AT_ONCE + 5}
