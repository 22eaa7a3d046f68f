from __future__ import annotations

import numpy as np
import pytest
from latencies import block_ms
from tiny_spaces import SPACES

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.report.accuracy_model import AccuracyModel
from hwnas.report.parts import parts_of
from hwnas.report.trades import trades
from hwnas.search import Target
from hwnas.space import Space


def model_of(space: Space) -> CostModel:
    return CostModel(space, {"latency_ms": np.array([block_ms(b) for b in space.blocks])}, {"latency_ms": 0.01}, {"latency_ms": 0.05})


@pytest.mark.parametrize("name", SPACES)
def test_parts_add_up_and_are_what_runs(name: str) -> None:
    space = SPACES[name]
    model = model_of(space)
    model.predicted = dict.fromkeys(space.blocks[:2], 0.02)
    for z in space.sample(10, np.random.default_rng(0)):
        parts = parts_of(model, z)
        assert sum(p.latency_ms for p in parts) == pytest.approx(model.cost(z[None], ["latency_ms"])[0, 0])
        assert [b for p in parts for b in p.blocks] == space.blocks_of(z)
        assert parts[-1].blocks == () and parts[-1].latency_ms == pytest.approx(0.01)
        for p in parts[:-1]:
            assert p.latency_ms == pytest.approx(sum(map(block_ms, p.blocks)))
            assert p.predicted == any(b in model.predicted for b in p.blocks)


@pytest.mark.parametrize("name", SPACES)
def test_every_trade_is_the_difference_of_two_networks(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(1)
    model = model_of(space)
    target = Target.of(Budget.parse("d:latency=60%")[0], model)
    Z = space.canonical(space.sample(60, rng))
    scores = {tuple(map(int, z)): float(rng.random()) for z in Z}
    z = Z[0]
    accuracy = AccuracyModel.fit(space, np.array(list(scores)), np.array(list(scores.values())))
    found = trades(model, target, z, scores, accuracy)
    assert [t.latency_ms for t in found] == sorted(t.latency_ms for t in found)
    changed = set()
    for t in found:
        other = space.encode({**space.decode(z), t.gene: t.after})
        changed.add(space.keys(other[None])[0])
        cost = model.cost(np.array([z, other]), ["latency_ms"])[:, 0]
        assert t.latency_ms == pytest.approx(cost[1] - cost[0]) and t.before == space.decode(z)[t.gene]
        assert t.keeps == (model.upper(other[None], target.fields)[0] <= target.limits).all()
        neighbour = tuple(map(int, space.canonical(other[None])[0]))
        assert t.scored == (neighbour in scores)
        if t.scored:
            assert t.accuracy == pytest.approx(scores[neighbour] - scores[tuple(map(int, z))])
        elif accuracy:
            assert t.accuracy == pytest.approx(accuracy.score(other[None])[0] - accuracy.score(z[None])[0])
    one_gene = [np.where(np.arange(len(z)) == g, v, z) for g, size in enumerate(space.sizes) for v in range(int(size))]
    assert changed == set(space.keys(np.array(one_gene))) - {space.keys(z[None])[0]}


def test_words() -> None:
    space = SPACES["chain"]
    model = model_of(space)
    target = Target.of(Budget.parse("d:latency=60%")[0], model)
    found = trades(model, target, space.largest(), {}, None)
    texts = {t.text for t in found}
    assert {"resolution 8 → 6", "kernel 5 → 3 in s2_l1", "depth 2 → 1 in s1", "se 4 → 0 in s1_l2"} <= texts
    assert all(t.accuracy is None and not t.scored for t in found)
