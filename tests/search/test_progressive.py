"""Progressive search: levels, isomorphic cells, the surrogate, and what it finds where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_spaces import SPACES, all_codes, chain_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.cost.facts import facts
from hwnas.search import Feasible, Target
from hwnas.search.isomorphic import isomorphic_keys
from hwnas.search.progressive import Beam, Progressive, children, levels, progressive
from hwnas.space import Space
from hwnas.spaces import nasbench201


def made_up(space: Space) -> CostModel:
    return CostModel(space, {"latency_ms": np.array([2e-3 + facts(b).macs / 1e7 for b in space.blocks])})


def names(space: Space) -> list[list[str]]:
    return [[space.genes[i].name for i in level] for level in levels(space)]


def test_a_level_is_a_layer_of_a_chain_and_a_node_of_a_cell() -> None:
    chain = names(chain_space())
    assert "s1_l1_kernel" in chain[1] and "s1_l1_expand" in chain[1] and {"s1_depth", "s1_l2_kernel"} <= set(chain[2])
    assert names(SPACES["nasbench201"]) == [["0_to_1"], ["0_to_2", "1_to_2"], ["0_to_3", "1_to_3", "2_to_3"]]
    for space in SPACES.values():
        flat = [i for level in levels(space) for i in level]
        assert sorted(flat) == [i for i, n in enumerate(space.sizes) if n > 1]


def test_isomorphic_cells_count_once() -> None:
    """0->1 conv, 1->3 conv is 0->2 conv, 2->3 conv with the nodes renamed."""
    space = nasbench201(2, 8, 3, width=4, cells=1)
    off = {g.name: "none" for g in space.genes}
    one = space.encode({**off, "0_to_1": "nor_conv_3x3", "1_to_3": "nor_conv_1x1"})
    other = space.encode({**off, "0_to_2": "nor_conv_3x3", "2_to_3": "nor_conv_1x1"})
    swapped = space.encode({**off, "0_to_2": "nor_conv_1x1", "2_to_3": "nor_conv_3x3"})
    dead = space.encode({**off, "0_to_1": "nor_conv_3x3", "1_to_3": "nor_conv_1x1", "0_to_2": "avg_pool_3x3"})
    a, b, c, d = isomorphic_keys(space, np.stack([one, other, swapped, dead]))
    assert a == b == d != c
    twice = {**off, "0_to_1": "nor_conv_3x3", "1_to_3": "nor_conv_1x1", "0_to_2": "nor_conv_3x3", "2_to_3": "avg_pool_3x3"}
    once = {**off, "0_to_1": "nor_conv_3x3", "1_to_3": "nor_conv_1x1", "1_to_2": "skip_connect", "2_to_3": "avg_pool_3x3"}
    assert len(set(isomorphic_keys(space, np.stack([space.encode(twice), space.encode(once)])))) == 2


def test_classes_of_isomorphic_cells_against_renaming_by_hand() -> None:
    """All 15,625 cells: with dead edges gone, nodes 1 and 2 can be swapped exactly where no edge joins them."""
    space = nasbench201(1, 4, 2, width=1, cells=1)
    Z = all_codes(space)
    at = {n: space.index[n] for n in ("0_to_1", "0_to_2", "1_to_2", "0_to_3", "1_to_3", "2_to_3")}
    live = space.canonical(Z)
    swapped = live.copy()
    for a, b in (("0_to_1", "0_to_2"), ("1_to_3", "2_to_3")):
        swapped[:, at[a]], swapped[:, at[b]] = live[:, at[b]], live[:, at[a]]
    own, other, free = space.keys(live), space.keys(swapped), live[:, at["1_to_2"]] == 0
    by_hand = [min(k, o) if f else k for k, o, f in zip(own, other, free)]
    keys = isomorphic_keys(space, Z)
    pairs = set(zip(keys, by_hand))
    assert len(pairs) == len(set(keys)) == len(set(by_hand)) < len(set(own))


def test_children_are_every_combination_or_a_sample() -> None:
    space, rng = SPACES["nasbench201"], np.random.default_rng(0)
    parents = space.sample(3, rng)
    Z = children(space, parents, [1, 2], 1000, rng)
    assert len(Z) == 3 * 25 and len({tuple(z) for z in Z[:25]}) == 25
    assert (np.delete(Z, [1, 2], 1) == np.repeat(np.delete(parents, [1, 2], 1), 25, 0)).all()
    assert len(children(space, parents, [1, 2], 10, rng)) == 10


def test_the_surrogate_predicts_an_additive_truth_beyond_what_it_has_seen() -> None:
    space, rng = chain_space(), np.random.default_rng(0)
    effect = [np.sort(rng.random(n)) for n in space.sizes]
    truth = lambda Z: sum(e[Z[:, g]] for g, e in enumerate(effect))
    beam = Beam(space, Progressive(), 0, lambda Z: np.ones(len(Z), bool))
    Z = space.sample(300, rng)
    beam.learn(Z, truth(Z))
    new = space.sample(100, rng)
    assert np.corrcoef(beam.predict(new), truth(new))[0, 1] > 0.98


@pytest.mark.parametrize("name", ["chain", "nasbench201"])
def test_it_beats_random_at_equal_evaluations_within_the_budget(name: str) -> None:
    space = SPACES[name]
    model, rng = made_up(space), np.random.default_rng(5)
    effect = [rng.permutation(n) / n for n in space.sizes]
    pair = rng.random((len(space.sizes), 8))

    def score(Z: np.ndarray) -> np.ndarray:
        additive = sum(e[Z[:, g]] for g, e in enumerate(effect))
        return additive / len(effect) + 0.05 * pair[np.arange(Z.shape[1]), (Z + np.roll(Z, 1, 1)) % 8].mean(1)

    feasible = Feasible(model, Target.of(Budget.parse("made-up:latency=60%")[0], model), fill=0.0)
    steps: list[int] = []
    found = progressive(feasible, score, Progressive(beam=16, first=32, expansions=512), 0, lambda i, n, best: steps.append(i))
    assert (model.upper(found.codes, ["latency_ms"])[:, 0] <= feasible.limits[0]).all()
    assert steps[-1] == len(found.codes) and len(steps) == len(levels(space))
    best_random = [score(feasible.sample(len(found.codes), np.random.default_rng(s))).max() for s in range(5)]
    assert found.best_accuracy > np.median(best_random)
