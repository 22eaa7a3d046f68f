"""hwnas/score/trained.py: scores are those of really trained networks, each trained once, and a kill loses nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import Dataset, Split, hold_out
from hwnas.errors import HwnasError
from hwnas.score import TrainScorer
from hwnas.spaces import mobilenet
from hwnas.supernet import Supernet
from hwnas.train import Recipe, retrain, split_accuracy

SPACE = mobilenet(size=8, classes=4, resolutions=(6, 8), stem=8, stem_stride=1, widths=((8, 12),), depth=2, strides=(2,), kernels=(3, 5),
                  expands=(1, 3), head_expand=1)  # fmt: skip
RECIPE = Recipe(epochs=6, batch=16, shift_px=0, threads=1, seed=5)


def no_test() -> Split:
    raise AssertionError("the test split is for the end of a run")


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Four classes: in which quarter of a noisy image the bright spot is."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 90, (400, 8, 8)).astype(np.uint8), np.arange(400) % 4
    for image, label in zip(images, labels):
        image[4 * (label // 2) : 4 * (label // 2) + 3, 4 * (label % 2) : 4 * (label % 2) + 3] += 150
    return Dataset("spots", tuple("abcd"), *hold_out(Split.of(images, labels), 0, 0.25), no_test, mirror=False)


@pytest.fixture(scope="module")
def net() -> Supernet:
    torch.manual_seed(0)
    return Supernet(SPACE, share=True)


def test_a_score_is_the_accuracy_of_that_network_trained_alone(net: Supernet, data: Dataset, tmp_path: Path) -> None:
    Z = np.array([SPACE.smallest(), SPACE.largest()])
    scorer = TrainScorer(net, data, RECIPE, tmp_path / "work", share=0.5)
    scores = scorer.score(Z)
    half = replace(data, train=hold_out(data.train, 0, 0.5, len(data.train))[1])
    for i, z in enumerate(Z):
        alone = retrain(net, z, half, RECIPE, tmp_path / str(i), inherit=False)
        assert scores[i] == split_accuracy(alone, data.valid, SPACE.input_size(z))
    assert scores.max() > 0.4 and len(scorer.data.train) == 150 and not list((tmp_path / "work").iterdir())
    timed = scorer.network(Z[0])
    assert not timed.training and timed(torch.rand(2, 1, *SPACE.input_size(Z[0]))).shape == (2, 4)


def test_killed_it_goes_on_and_trains_nothing_twice(net: Supernet, data: Dataset, tmp_path: Path) -> None:
    Z = SPACE.sample(4, np.random.default_rng(1))
    Z = np.concatenate([Z, Z[:1]])
    calls: list[tuple[int, int, str]] = []

    def killed(*said: tuple[int, int, str]) -> None:
        calls.append(said)  # type: ignore[arg-type]
        if calls[-1][0] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TrainScorer(net, data, RECIPE, tmp_path / "w", cache=tmp_path / "s.jsonl", report=killed).score(Z)  # type: ignore[arg-type]
    calls.clear()
    again = TrainScorer(net, data, RECIPE, tmp_path / "w", cache=tmp_path / "s.jsonl", report=lambda *said: calls.append(said))
    assert len(again.cache.scores) == 2
    scores = again.score(Z)
    assert {total for _, total, _ in calls} == {2} and scores[4] == scores[0]
    assert (scores == TrainScorer(net, data, RECIPE, tmp_path / "other").score(Z)).all(), "as without the kill"
    with pytest.raises(HwnasError, match="scores of something else: recipe"):
        TrainScorer(net, data, Recipe(epochs=3, batch=32), tmp_path / "w", cache=tmp_path / "s.jsonl")
    with pytest.raises(HwnasError, match="images to train on"):
        TrainScorer(net, data, RECIPE, tmp_path / "w", cache=tmp_path / "s.jsonl", share=0.5)
