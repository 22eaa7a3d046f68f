"""InheritedScorer: the same accuracy as torch gives, each architecture once, the test split never."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import Batches, Dataset, load_data, to_float
from hwnas.errors import HwnasError
from hwnas.score import InheritedScorer
from hwnas.score.cache import ScoreCache
from hwnas.spaces import mobilenet
from hwnas.supernet import Supernet, fix, resize
from hwnas.train import Recipe, recalibrate, train
from hwnas.train.spos import spos

SPACE = mobilenet(
    size=8,
    resolutions=(6, 8),
    stem_stride=1,
    widths=((8, 12), (16, 20)),
    depth=2,
    strides=(1, 2),
    kernels=(3, 5),
    expands=(1, 3),
    head_expand=1,
)


def no_test() -> None:
    raise AssertionError("the test split is for the end of a run")


@pytest.fixture(scope="module")
def data() -> Dataset:
    digits = load_data("digits", 0)
    return Dataset(digits.name, digits.classes, digits.train, digits.valid, no_test, mirror=False)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def net(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    torch.manual_seed(0)
    net = Supernet(SPACE, share=True)
    train(spos, net, SPACE, data, Recipe(epochs=8, batch=64, threads=1), tmp_path_factory.mktemp("net"))
    return net


def test_the_score_is_the_accuracy_in_torch(net: Supernet, data: Dataset) -> None:
    Z = SPACE.sample(6, np.random.default_rng(0))
    scores = InheritedScorer(net, data, recalibration_images=512, batch=50).score(Z)  # 288 images: the last batch is filled up
    batches = Batches(data.train, 256, 0)
    for z, score in zip(Z, scores):
        alone, size = fix(net, z), SPACE.input_size(z)
        recalibrate(alone, [resize(batches.at(k)[0], size) for k in range(2)])
        with torch.no_grad():
            right = alone(resize(to_float(data.valid.images), size)).argmax(1) == data.valid.labels
        assert score == pytest.approx(right.float().mean().item(), abs=1.5 / 288)
    assert scores.max() > 0.5 > 0.2 > scores.std()


def test_the_supernet_is_left_as_it_was(net: Supernet, data: Dataset) -> None:
    before = {k: t.clone() for k, t in net.state_dict().items()}
    InheritedScorer(net, data).score(SPACE.largest()[None])
    assert all(torch.equal(t, before[k]) for k, t in net.state_dict().items())


def test_each_architecture_is_scored_once(net: Supernet, data: Dataset) -> None:
    calls: list[tuple[int, int]] = []
    scorer = InheritedScorer(net, data, valid_images=100, report=lambda done, total: calls.append((done, total)))
    shallow = SPACE.smallest()
    same = shallow.copy()
    same[SPACE.index["s1_l2_kernel"]] = 1  # of a layer that the depth leaves out
    scores = scorer.score(np.stack([shallow, same, SPACE.largest(), shallow]))
    assert calls == [(1, 2), (2, 2)] and scores[0] == scores[1] == scores[3]
    assert scorer.score(same[None])[0] == scores[0] and len(calls) == 2
    assert len(scorer.labels) == 100 and min(np.bincount(scorer.labels)) >= 9


def test_a_killed_search_goes_on_from_the_file(net: Supernet, data: Dataset, tmp_path: Path) -> None:
    path, Z = tmp_path / "scores.jsonl", SPACE.canonical(SPACE.sample(3, np.random.default_rng(1)))
    scores = InheritedScorer(net, data, cache=path).score(Z)
    path.write_bytes(path.read_bytes()[:-5])  # the last line is torn
    scorer = InheritedScorer(net, data, cache=path)
    assert len(scorer.cache.scores) == 2
    assert np.array_equal(scorer.score(Z), scores) and len(path.read_text().splitlines()) == 4


def test_scores_of_other_weights_are_refused(net: Supernet, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    InheritedScorer(net, data, cache=path).score(SPACE.smallest()[None])
    kept = path.read_bytes()
    with pytest.raises(HwnasError, match="weights was .*delete it or name another file"):
        InheritedScorer(Supernet(SPACE, share=True), data, cache=path)
    with pytest.raises(HwnasError, match="data was 'digits: 288 of 288"):
        InheritedScorer(net, data, valid_images=50, cache=path)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("text", ["hello\n", "{}\n", json.dumps({"format": 2, "of": {}}) + "\n", "", "[1]\n"])
def test_a_file_that_is_no_cache(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(text)
    with pytest.raises(HwnasError, match="scores.jsonl"):
        ScoreCache(SPACE, {}, path)
    assert path.read_text() == text


class Asked:
    """A pool that writes down what it is asked, and answers as a pool of one would, last job first."""

    def __init__(self, scorer: InheritedScorer):
        self.scorer, self.jobs = scorer, list[object]()

    def run(self, jobs, told=None):  # type: ignore[no-untyped-def]
        self.jobs += jobs
        for number in reversed(range(len(jobs))):
            yield number, self.scorer.accuracy(np.array(jobs[number]))

    def close(self) -> None: ...


@pytest.mark.parametrize(("from_s", "asked"), [(0.0, 5), (1e-9, 4), (3600.0, 0)])
def test_a_pool_is_asked_where_it_is_worth_its_start(net: Supernet, data: Dataset, from_s: float, asked: int) -> None:
    Z = SPACE.sample(5, np.random.default_rng(3))
    alone = InheritedScorer(net, data, recalibration_images=256, valid_images=100)
    shared = InheritedScorer(net, data, recalibration_images=256, valid_images=100, pool_from_s=from_s)
    shared.pool = pool = Asked(alone)
    assert np.array_equal(shared.score(Z), alone.score(Z)) and len(pool.jobs) == asked
    assert list(shared.cache.scores) == list(alone.cache.scores)
