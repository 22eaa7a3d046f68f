"""hwnas/cost: costs of codes against those of the networks they stand for."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import SPACES, all_codes, chain_space

from hwnas.block import Block
from hwnas.cost import METRICS, CostModel, Stream, facts
from hwnas.cost.facts import FILE_BYTES
from hwnas.cost.precision import NODE_BYTES, precision
from hwnas.cost.stream import lost
from hwnas.lower import lower, to_onnx, to_tflite
from hwnas.search import reachable
from hwnas.spaces import mobilenet
from hwnas.supernet import network

MODELS = {name: CostModel(space) for name, space in SPACES.items()}
SEEDS = st.integers(0, 2**32 - 1)


def lowered(space, z):
    with torch.device("meta"):
        net = network(space, z).eval()
    return lower(net, (1, 2, *space.input_size(z)))


def latency_model(space, margin=0.0, broken=()):
    rng = np.random.default_rng(0)
    table = rng.uniform(0.01, 0.2, len(space.blocks))
    table[[i for i, b in enumerate(space.blocks) if b in broken]] = np.inf
    return CostModel(space, {"latency_ms": table}, {"latency_ms": 0.05}, {"latency_ms": margin})


def test_facts_of_one_inverted_residual_by_hand():
    """8 -> 32 -> 12 channels at 10 x 10, stride 2, kernel 5, squeezed to 8: BatchNorm folds into biases."""
    counted = facts(Block("mbconv", 8, 12, 10, 10, 2, 5, 4, 4, act="relu"))
    up, depthwise, squeeze, down = 8 * 32 * 100, 32 * 25 * 25, 32 * 8 + 8 * 32, 32 * 12 * 25
    assert counted.macs == up + depthwise + squeeze + down
    assert counted.params == (8 * 32 + 32) + (32 * 25 + 32) + (32 * 8 + 8) + (8 * 32 + 32) + (32 * 12 + 12)
    assert counted.out_bytes == 4 * 12 * 5 * 5
    assert counted.memory_bytes == 4 * (32 * 100 + 32 * 25)  # while the depthwise convolution runs
    assert counted.file_bytes > 4 * counted.params and (counted.file_bytes - 4 * counted.params) % NODE_BYTES == 0


@pytest.mark.parametrize("name", ["chain", "mix", "passing", "nasbench201", "darts"])
@settings(deadline=None, max_examples=6)
@given(SEEDS)
def test_sums_over_blocks_are_counts_of_the_whole_network(name, seed):
    space, model = SPACES[name], MODELS[name]
    z = space.sample(1, np.random.default_rng(seed))[0]
    if not any(s.reads == "x" for s in space.slots if any(b in s.blocks for b in space.blocks_of(z))):
        return  # cut: only the head runs, on zeros of 1 x 1
    params, macs, memory, size = model.cost(z[None], ["params", "macs", "memory_bytes", "file_bytes"])[0]
    program = lowered(space, z)
    assert macs == program.macs
    if space.is_chain:
        assert params == program.params and memory == program.peak_bytes
        assert size == FILE_BYTES + program.weight_bytes + NODE_BYTES * len(program.nodes)
    else:  # zeros in a concatenation are constants of the whole network, or none at all
        zeros = sum(w.numel() for n in program.nodes if n.op == "constant" for w in n.weights.values())
        assert params == program.params - zeros
        assert 0.75 * program.peak_bytes <= memory <= 2 * program.peak_bytes  # an estimate, see peak_memory


def test_memory_of_chains_is_exact_for_every_kind_of_code():
    space, model = SPACES["chain"], MODELS["chain"]
    for z in [*space.sample(10, np.random.default_rng(1)), space.smallest(), space.largest()]:
        assert model.cost(z[None], ["memory_bytes"])[0, 0] == lowered(space, z).peak_bytes


def test_many_codes_cost_what_each_costs_alone():
    space, model = SPACES["chain"], latency_model(SPACES["chain"])
    Z = space.sample(9000, np.random.default_rng(0))  # more than two chunks
    costs = model.cost(Z)
    assert model.metrics == ("latency_ms", "params", "macs", "memory_bytes", "file_bytes") and costs.shape == (9000, 5)
    table = dict(zip(space.blocks, model.tables["latency_ms"]))
    for i in (0, 4095, 4096, 8999):
        assert (model.cost(Z[i : i + 1]) == costs[i]).all()
        assert costs[i, 0] == pytest.approx(0.05 + sum(table[b] for b in space.blocks_of(Z[i])))
    assert (model.cost(Z, ["memory_bytes", "latency_ms"]) == costs[:, [3, 0]]).all()
    for z in (Z[:0], Z[:1]):
        assert model.cost(z).shape == (len(z), 5)


def test_upper_bounds_are_wider_for_what_is_measured_alone():
    model = latency_model(SPACES["chain"], margin=0.07)
    Z = model.space.sample(10, np.random.default_rng(0))
    assert np.allclose(model.upper(Z), model.cost(Z) * [1.07, 1, 1, 1, 1])


def test_what_the_device_cannot_run_is_infeasible_where_it_runs_and_nowhere_else():
    space = SPACES["chain"]
    broken = {b for b in space.blocks if b.kernel == 5}
    model, Z = latency_model(space, 0.1, broken), space.sample(200, np.random.default_rng(0))
    runs = np.array([any(b in broken for b in space.blocks_of(z)) for z in Z])
    assert (np.isinf(model.cost(Z, ["latency_ms"])[:, 0]) == runs).all() and 0 < runs.sum() < 200
    assert (np.isinf(model.upper(Z, ["latency_ms"])[:, 0]) == runs).all()
    assert np.isfinite(model.cost(Z, ["macs"])).all() and np.isfinite(reachable(model, "latency_ms").high)


# ---- expected -----------------------------------------------------------------------------------------------------------


def one_hot(space, z):
    """Of a prefix, every option that is kept has weight 1."""
    return {g.name: torch.tensor([float(o in g.values[int(v)]) for o in range(len(g.options))]) for g, v in zip(space.genes, z)}


@pytest.mark.parametrize("metric", ["latency_ms", "macs", "params", "file_bytes"])
def test_expected_of_one_hot_weights_is_the_cost(metric):
    model = latency_model(SPACES["chain"])
    for z in model.space.sample(10, np.random.default_rng(0)):
        assert model.expected(metric, one_hot(model.space, z)).item() == pytest.approx(model.cost(z[None], [metric])[0, 0], rel=1e-5)


def test_expected_of_probabilities_is_the_mean_over_all_architectures():
    space = chain_space(widths=((6,), (8, 10)), resolutions=(6, 8), kernels=(3, 5), expands=(1, 2), squeezes=(0,), acts=("relu",), depth=1)
    model, rng = latency_model(space), np.random.default_rng(0)
    p = [rng.dirichlet(np.ones(len(g.values))) for g in space.genes]
    Z = all_codes(space)
    chance = np.prod([p[g][Z[:, g]] for g in range(len(p))], 0)
    assert chance.sum() == pytest.approx(1) and len(Z) == 64
    weights = {g.name: torch.tensor(q, dtype=torch.float32, requires_grad=True) for g, q in zip(space.genes, p)}
    expected = model.expected("latency_ms", weights)
    assert expected.item() == pytest.approx(chance @ model.cost(Z, ["latency_ms"])[:, 0], rel=1e-5)

    expected.backward()  # the derivative by a weight is the mean cost of the blocks that this option makes run
    w = weights["s1_l1_kernel"]
    with torch.no_grad():
        moved = {**weights, "s1_l1_kernel": w + torch.tensor([0.1, 0.0])}
        assert (model.expected("latency_ms", moved) - expected).item() == pytest.approx(0.1 * w.grad[0].item(), rel=1e-3)


def test_expected_stays_finite_where_a_block_cannot_run():
    space = SPACES["chain"]
    model = latency_model(space, broken={b for b in space.blocks if b.kernel == 5})
    z = space.encode({**space.decode(space.largest()), **{n: 3 for n in space.index if n.endswith("_kernel")}})
    weights = one_hot(space, z)
    assert model.expected("latency_ms", weights).item() == pytest.approx(model.cost(z[None], ["latency_ms"])[0, 0], rel=1e-5)
    logits = torch.zeros(2, requires_grad=True)
    model.expected("latency_ms", {**weights, "s1_l1_kernel": logits.softmax(0)}).backward()
    assert logits.grad.isfinite().all() and logits.grad[1] > 0 > logits.grad[0]  # away from what cannot run


def test_metrics_cover_the_fields_of_a_model():
    of_some_devices = {"energy_mj", "instructions", "load_ms", "latency_p90_ms", "latency_p95_ms"}
    assert {m.field for m in METRICS.values()} == set(latency_model(SPACES["chain"]).metrics) | of_some_devices
    assert all(math.isclose(min(m.units.values()), 1.0) or m.measured for m in METRICS.values())


def test_weights_that_do_not_fit_by_hand():
    """Caches of 5 kB, and of 20 kB that a tenth of the activations share: 10 us a kB of weights that do not stay in each."""
    space = SPACES["chain"]
    isolated = np.random.default_rng(1).uniform(0.01, 0.2, len(space.blocks))
    stream = Stream((5e3, 20e3), (0.0, 0.1), (1e-5, 1e-5))
    plain, model = (CostModel(space, {"latency_ms": 1.1 * isolated}, {"latency_ms": 0.05}, stream=s) for s in (None, stream))
    Z = space.sample(50, np.random.default_rng(0))
    for z, without, got in zip(Z, plain.cost(Z)[:, 0], model.cost(Z)[:, 0]):
        blocks = space.blocks_of(z)
        stored = 4 * sum(facts(b).params for b in blocks)
        touched = sum(facts(b).memory_bytes for b in blocks)
        lost = [min(max((full - 0.6) / 0.8, 0), 1) for full in (stored / 5e3, (stored + 0.1 * touched) / 20e3)]
        assert got == pytest.approx(without + 1e-5 * stored * sum(lost))
    assert (model.cost(Z)[:, 0] > plain.cost(Z)[:, 0]).any() and model.metrics == plain.metrics
    assert (model.cost(Z, ["macs", "params"]) == plain.cost(Z, ["macs", "params"])).all()
    one_hot = {g.name: torch.nn.functional.one_hot(torch.tensor(int(v)), len(g.options)).float() for g, v in zip(space.genes, Z[0])}
    if all(len(g.values) == len(g.options) for g in space.genes):
        assert float(model.expected("latency_ms", one_hot)) == pytest.approx(model.cost(Z[:1])[0, 0], rel=1e-4)
    broken = np.where(np.arange(len(isolated)) == 0, np.inf, isolated)
    infinite = CostModel(space, {"latency_ms": broken}, stream=Stream((1.0,), (0.0,), (0.0,))).cost(Z)[:, 0]
    assert not np.isnan(infinite).any()


def test_the_lines_of_all_caches_are_the_sum_of_each():
    rng = np.random.default_rng(0)
    caches, shares = zip(*((c, s) for c in (3e4, 1e5, 2e5, 2e6) for s in (0.1, 0.9)))
    stream = Stream(caches, shares, tuple(rng.normal(0, 1e-8, 8)))
    weights, activations = 10 ** rng.uniform(3, 7, 500), 10 ** rng.uniform(3, 7, 500)
    assert stream.ms(weights, activations) == pytest.approx(lost(weights, activations, caches, shares) @ np.array(stream.ms_per_byte))
    slower = stream.times(3).ms(weights, activations)
    assert slower == pytest.approx(3 * stream.ms(weights, activations))
    one = stream.expected_ms(torch.tensor(weights[0]), torch.tensor(activations[0]))
    assert float(one) == pytest.approx(stream.ms(weights[:1], activations[:1])[0])


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("suffix, write", [(".onnx", to_onnx), (".tflite", to_tflite)])
def test_size_and_memory_follow_the_dtype_of_the_device(dtype, suffix, write):
    space = mobilenet(size=24, channels=3, resolutions=(24,), depth=2, widths=((16, 24), (64, 80)), strides=(1, 2), kernels=(5,))
    model = CostModel(space, precision=precision(dtype, suffix))
    for z in space.sample(2, np.random.default_rng(0)):
        net, shape = network(space, z).eval(), (1, 3, *space.input_size(z))
        size, memory = model.cost(z[None], ["file_bytes", "memory_bytes"])[0]
        assert size == pytest.approx(len(write(net, shape, dtype=dtype)), rel=0.06)
        assert memory == lower(net, shape).peak_bytes / (4 if dtype == "int8" else 1)
