"""What algorithms find on 729 architectures whose true scores are stored; one seed each, tools/bench_algorithms.py runs the rest."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from bench_algorithms import CASES, FIRST_SEED, one, random_regret
from truth import Truth, truth_space

from hwnas.plugins import ALGORITHMS, installed


def test_the_truth_is_complete_and_more_than_noise() -> None:
    truth, space = Truth.load(), truth_space()
    assert truth.scores.shape == (729, 20) and space.architectures == 729
    assert truth.accuracy.std() > truth.seed_std > 0.005
    assert np.array_equal(truth.of(np.array([[0] * 6, [2] * 6])), truth.accuracy[[0, 728]])


def test_random_search_gets_better_with_more_networks() -> None:
    truth = Truth.load()
    counts, regrets = zip(*(random_regret(truth, 9 * 240 * n) for n in (1, 4, 16, 64)))
    assert counts == (1, 4, 16, 64) and list(regrets) == sorted(regrets, reverse=True) and regrets[-1] > 0


def test_every_algorithm_has_a_case() -> None:
    assert set(installed(ALGORITHMS)) - {case.algorithm for case in CASES.values()} <= {"single-path", "morphnet"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gdas", "proxylessnas", "enas", "fbnet", "mnasnet", "proxyless-rl"])
def test_what_is_found_beats_an_architecture_at_random(name: str) -> None:
    truth = Truth.load()
    found = one(name, FIRST_SEED, truth)
    assert 0 <= found["regret"] < truth.accuracy.max() - truth.accuracy.mean() and found["images"] > 0
