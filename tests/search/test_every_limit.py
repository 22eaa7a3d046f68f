"""Every method, on random spaces under random limits: what comes back keeps the budget, or one line says why nothing can."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tiny_spaces import SPACES

from hwnas.budget import Budget
from hwnas.cost import Bound, CostModel
from hwnas.errors import HwnasError
from hwnas.search import METHODS, Evolution, Feasible, Target
from hwnas.search.seeded import exact

FIELDS = ("latency", "latency_p95", "load", "memory", "size", "macs", "params")


@cache
def model_of(name: str, seed: int) -> CostModel:
    """A device of which every metric is known and some blocks fail."""
    space, rng = SPACES[name], np.random.default_rng(seed)
    macs = CostModel(space).tables["macs"]
    latency = macs / 1e6 * rng.uniform(0.5, 2.0, len(macs)) + 0.01
    if seed % 2:
        latency[rng.random(len(macs)) < 0.1] = np.inf
    bound = Bound((rng.uniform(-0.05, 0.1, 40),), 0.01)
    bounds = {f: bound for f in ("latency_ms", "latency_p95_ms", "load_ms")}
    return CostModel(
        space,
        {"latency_ms": latency, "load_ms": rng.uniform(0.1, 1.0, len(macs))},
        {"latency_ms": 0.05, "load_ms": 1.0},
        {f: b.margin() for f, b in bounds.items()},
        tails={"latency_p95_ms": 1.2},
        bounds=bounds,
    )


def limit(metric: str) -> st.SearchStrategy[str]:
    share = st.integers(0, 100).map(lambda n: f"{metric}={n}%")
    odds = st.sampled_from(["", "@80%", "@97%"] if metric in ("latency", "latency_p95", "load") else [""])
    return st.tuples(share, odds, st.sampled_from(["", "", "~0.5%per10%"])).map("".join)


budgets = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.tuples(*map(limit, names)).map(lambda parts: "toy:" + ",".join(parts))
)


@pytest.mark.parametrize("method", METHODS)
@settings(
    deadline=None,
    max_examples=8,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(st.sampled_from(sorted(SPACES)), st.integers(0, 3), budgets, st.floats(0, 1))
def test_only_what_keeps_the_budget_comes_back(method: str, name: str, seed: int, text: str, fill: float) -> None:
    (budget,) = Budget.parse(text)
    model = model_of(name, seed).at(budget.confidences)
    space = model.space
    assume(method != "exhaustive" or np.prod(space.sizes.astype(float)) < 20_000)
    worth = np.random.default_rng(seed).random(len(space.members))
    score = lambda Z: worth[space.rows(Z)].mean(1)
    try:
        target = Target.of(budget, model)
        allowed = Feasible.filled(model, target, fill)
        found = METHODS[method](allowed, allowed.objective(score), Evolution(8, 4, 3), seed, None)
    except HwnasError as error:
        said = str(error)
        assert "\n" not in said
        refused = (method == "exact" and ("no sum over slots" in said or "too few to fit" in said)) or (
            method == "exhaustive" and "codes" in said
        )
        if not refused:  # then nothing that is drawn keeps the limits either
            assert (
                "cannot be reached" in said
                or "that runs there" in said
                or ("keeps all limits" in said and ("binds" in said or "loosen more than one" in said))
            )
            if "keeps all limits" in said:
                Z = space.sample(5000, np.random.default_rng(seed))
                assert not Feasible(model, target, 0.0)(Z).any()
        return
    assert len(found.codes) == len(found.accuracy) >= 1
    upper = model.upper(found.codes, target.fields)
    hard = np.array([x.price is None for x in budget.limits])
    assert (upper[:, hard] <= target.limits[hard]).all()
    assert np.isfinite(model.cost(found.codes, ["latency_ms"])).all(), "a device runs all that it is given"
    over = np.maximum(upper / target.limits - 1, 0)[:, ~hard].sum(1)
    assert found.accuracy == pytest.approx(score(found.codes) - 0.05 * over), "each 10 % over cost 0.5 %"


def test_a_size_limit_alone_does_not_pick_what_the_device_cannot_run() -> None:
    model = model_of("chain", 1)
    broken = ~np.isfinite(model.tables["latency_ms"])
    assert broken.any()
    allowed = Feasible.filled(model, Target.of(Budget.parse("toy:size=60%")[0], model))
    for z in exact(allowed, lambda Z: model.cost(Z, ["macs"])[:, 0], Evolution(10, 6), 0).codes:
        assert not broken[[model.space.blocks.index(b) for b in model.space.blocks_of(z)]].any()


def test_what_a_soft_limit_is_worth() -> None:
    """Dear overruns are avoided, cheap ones are paid for."""
    model = model_of("chain", 0)
    size = lambda Z: model.cost(Z, ["macs"])[:, 0] / 1e7
    used = {}
    for price in ("0.001%per100%", "90%per1%"):
        target = Target.of(Budget.parse(f"toy:latency=50%~{price}")[0], model)
        allowed = Feasible.filled(model, target, 0.5)
        best = METHODS["evolution"](allowed, allowed.objective(size), Evolution(20, 15), 0, None).best
        used[price] = model.upper(best[None], ["latency_ms"])[0, 0] / target.limits[0]
    assert used["90%per1%"] <= 1.0 < used["0.001%per100%"]
