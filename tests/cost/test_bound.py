"""hwnas/cost/bound.py: bounds that hold with the probability that is asked for, and no others."""

import numpy as np
import pytest
from tiny_spaces import chain_space

from hwnas.cost import Bound, CostModel
from hwnas.errors import HwnasError


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95])
def test_a_bound_covers_as_often_as_it_says(confidence):
    rng = np.random.default_rng(0)
    errors = rng.normal(0.1, 0.05, (4000, 40))
    covered = np.mean([e[-1] <= Bound((e[:-1],)).margin(confidence) for e in errors])
    assert confidence - 0.015 <= covered <= confidence + 1 / 40 + 0.015


def test_the_worst_kind_of_network_and_the_term_count():
    few, many = np.full(30, 0.02), np.full(30, 0.07)
    assert Bound((few, many), 0.01).margin() == pytest.approx(0.08)
    assert Bound((-few,)).margin() == 0, "never below the estimate"


def test_too_few_networks_are_said():
    with pytest.raises(HwnasError, match=r"99 % takes 99 measured networks, the table has 40, enough for 97.6 %: .*--networks 99"):
        Bound((np.zeros(40),)).margin(0.99)
    assert Bound((np.zeros(19),)).margin(0.95) == 0
    with pytest.raises(HwnasError, match="takes 19"):
        Bound((np.zeros(18),)).margin(0.95)


def test_a_model_at_another_probability():
    space = chain_space()
    bound = Bound((np.arange(100) / 100,))
    table = {"latency_ms": np.ones(len(space.blocks))}
    model = CostModel(space, table, margin={"latency_ms": bound.margin()}, bounds={"latency_ms": bound}, tails={"latency_p95_ms": 1.5})
    Z = space.sample(5, np.random.default_rng(0))
    low = model.at({"latency_ms": 0.5, "load_ms": 0.9})
    assert low.margin["latency_ms"] == 0.5 and model.margin["latency_ms"] == 0.95 and model.at({"latency_ms": 0.95}) is model
    assert (low.cost(Z) == model.cost(Z)).all() and (low.upper(Z, ["latency_ms"]) < model.upper(Z, ["latency_ms"])).all()
    assert model.cost(Z, ["latency_p95_ms", "latency_ms"]) @ [1, -1.5] == pytest.approx(0)
    bare = CostModel(space, table, margin={"latency_ms": 0.1})
    with pytest.raises(HwnasError, match="known at 95% only"):
        bare.at({"latency_ms": 0.9})
