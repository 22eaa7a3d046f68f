"""hwnas/predict/block_predictor.py, choose.py: what was not measured, from what was."""

import numpy as np
import pytest
from latencies import SPACE, block_ms
from tiny_spaces import SPACES, chain_space

from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.predict import BlockPredictor, choose_blocks, choose_networks, network_key
from hwnas.predict.networks import networks_in
from hwnas.spaces import mobilenet


def test_a_fifth_of_the_blocks_predicts_the_others():
    rng = np.random.default_rng(0)
    measured = choose_blocks(SPACE.blocks, len(SPACE.blocks) // 5)
    rest = [b for b in SPACE.blocks if b not in measured]
    times = np.array([block_ms(b) * rng.normal(1, 0.01) for b in measured])
    predictor = BlockPredictor().fit(measured, times)
    predicted, deviation = predictor.predict(rest)
    error = np.abs(predicted / [block_ms(b) for b in rest] - 1)
    assert np.median(error) < 0.05 and np.quantile(error, 0.95) < 0.15
    assert (predicted > 0).all() and (deviation > 0).all() and deviation.shape == predicted.shape
    again = BlockPredictor().fit(measured, times).predict(rest[:5])[0]
    assert np.allclose(again, predicted[:5])


def test_too_few_blocks():
    with pytest.raises(HwnasError, match="predictor: 11 measured blocks are too few, at least 12"):
        BlockPredictor().fit(SPACE.blocks[:11], np.ones(11))


@pytest.mark.parametrize("space", [SPACE, SPACES["darts"], SPACES["nasbench201"]], ids=lambda s: s.name)
def test_chosen_blocks_have_every_operator(space):
    ops = {b.op for b in space.blocks}
    for n in (len(ops), len(ops) + 3, len(space.blocks) // 2):
        chosen = choose_blocks(space.blocks, n)
        assert len(chosen) == len(set(chosen)) == n and {b.op for b in chosen} == ops and set(chosen) <= set(space.blocks)
    assert choose_blocks(space.blocks, 10**6) == list(space.blocks)
    with pytest.raises(HwnasError, match=f"1 blocks are too few for the {len(ops)} operators"):
        choose_blocks(space.blocks, 1)


def test_chosen_blocks_tell_more_about_the_others_than_random_ones():
    def error(chosen):
        rest = [b for b in SPACE.blocks if b not in set(chosen)]
        predicted = BlockPredictor().fit(chosen, np.array([block_ms(b) for b in chosen])).predict(rest)[0]
        return np.abs(predicted / [block_ms(b) for b in rest] - 1).mean()

    rng = np.random.default_rng(0)
    random = [error([SPACE.blocks[i] for i in rng.choice(len(SPACE.blocks), 20, replace=False)]) for _ in range(7)]
    assert error(choose_blocks(SPACE.blocks, 20)) < np.median(random)


def test_chosen_networks_cover_the_range_evenly():
    model = CostModel(SPACE)
    Z = choose_networks(SPACE, 24, 0)
    assert len(set(SPACE.keys(Z))) == 24 and (choose_networks(SPACE, 24, 0) == Z).all()
    assert not (choose_networks(SPACE, 24, 1) == Z).all()
    cost = np.log(np.sort(model.cost(Z[:12], ["macs"])[:, 0]))
    low, high = np.log([model.cost(z[None], ["macs"])[0, 0] for z in (SPACE.smallest(), SPACE.largest())])
    assert (cost[-1] - cost[0]) > 0.8 * (high - low)
    assert np.diff(cost).max() < 2 * (cost[-1] - cost[0]) / 11  # no hole; uniform samples leave much of both ends out
    uniform = np.log(model.cost(SPACE.sample(24, np.random.default_rng(0)), ["macs"])[:, 0])
    assert np.ptp(cost) > 1.3 * np.ptp(uniform)


def test_half_of_the_chosen_networks_are_the_random_ones_that_tell_most():
    drawn = set(SPACE.keys(SPACE.sample(4000, np.random.default_rng([3, 7]))))
    Z = choose_networks(SPACE, 24, 3)
    assert drawn.issuperset(SPACE.keys(Z[12:])) and not drawn.issuperset(SPACE.keys(Z[:12]))
    few = chain_space(resolutions=(8,), widths=((6,), (8,)), depth=1, kernels=(3, 5), expands=(1,), squeezes=(0,), acts=("relu",))
    assert sorted(few.keys(choose_networks(few, 24, 0))) == sorted(set(few.keys(few.sample(500, np.random.default_rng(0)))))


def test_chosen_networks_have_every_size():
    """Calls weigh most in small images: by themselves they would take nearly all for these."""
    space = mobilenet(
        resolutions=(28, 64, 128, 224),
        stem=8,
        widths=((16,), (24,), (40,), (80,)),
        strides=(2, 2, 2, 2),
        depth=3,
        expands=(3, 6),
        acts=("relu",),
    )
    sizes = [space.input_size(z)[0] for z in choose_networks(space, 20, 1)]
    assert min(sizes.count(size) for size in (28, 64, 128, 224)) >= 3


def test_keys_of_networks_lead_back_to_codes():
    Z = SPACE.sample(5, np.random.default_rng(0))
    keys = [network_key(SPACE, z) for z in Z]
    found = networks_in(SPACE, [*keys, "conv(3,16,32)", network_key(SPACES["chain"], SPACES["chain"].smallest())])
    assert list(found) == keys and (np.array(list(found.values())) == Z).all()
