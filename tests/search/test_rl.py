"""hwnas/search/policy.py: the gradient by finite differences, and that the policy goes where the score is."""

import numpy as np
import pytest
from tiny_spaces import chain_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.search import METHODS, Evolution, Feasible, Target, random_search
from hwnas.search.policy import RATE, Policy


def test_the_policy_is_a_distribution_and_steps_up_its_gradient() -> None:
    rng, sizes = np.random.default_rng(0), np.array([2, 1, 5])
    policy = Policy(sizes)
    policy.logits = rng.normal(size=8)
    every = np.stack(np.unravel_index(np.arange(10), tuple(sizes)), 1)
    assert np.exp(policy.log_probability(every)).sum() == pytest.approx(1)
    Z, advantage, logits = policy.sample(6, rng), rng.normal(size=6), policy.logits.copy()

    def value(moved: np.ndarray) -> float:
        policy.logits = moved
        return float(np.mean(advantage * policy.log_probability(Z)))

    slope = np.array([value(logits + 1e-5 * e) - value(logits - 1e-5 * e) for e in np.eye(8)]) / 2e-5
    policy.logits = logits.copy()
    policy.step(Z, advantage)
    sure = np.abs(slope) > 1e-4
    assert np.allclose((policy.logits - logits)[sure], RATE * np.sign(slope[sure]), atol=1e-3), "the first step of Adam is a sign"


def test_it_learns_and_beats_random_search_at_equal_evaluations() -> None:
    space = chain_space()
    rng = np.random.default_rng(1)
    model = CostModel(space, {"latency_ms": rng.uniform(0.1, 1, len(space.blocks))})
    worth = [np.sort(rng.random(n)) for n in space.sizes]
    score = lambda Z: np.sum([w[c] for w, c in zip(worth, space.canonical(Z).T)], 0)
    allowed = Feasible.filled(model, Target.of(Budget.parse("toy:latency=60%")[0], model), 0.5)
    gains = []
    for seed in range(4):
        found = METHODS["rl"](allowed, score, Evolution(30, 20), seed, None)
        gains.append(found.best_accuracy - random_search(allowed, score, len(found.codes), seed).best_accuracy)
        assert found.accuracy[-100:].mean() > found.accuracy[:100].mean() and "probability" in found.note
    assert np.mean(gains) > 0
