"""hwnas/predict/tails.py, additive.py: quantiles of latency and load times of whole networks, and how far off they may be."""

import json
from dataclasses import replace

import numpy as np
import pytest
from latencies import OVERHEAD_MS, SPACE, block_ms, network_ms

from hwnas.budget import Budget
from hwnas.cost.facts import facts
from hwnas.device import find_device
from hwnas.errors import HwnasError
from hwnas.measure import Plan
from hwnas.predict import Calibration, Tails, calibrate, choose_networks, device_model, measure_tails, network_key, profile_space
from hwnas.predict.additive import loading
from hwnas.predict.choose import OVERHEAD
from hwnas.predict.networks import code_of
from hwnas.predict.trust import table_digest
from hwnas.sample import Sample
from hwnas.search import Target
from hwnas.spaces import mobilenet
from hwnas.table import Table


def load_ms(z, rng, noise=0.0):
    blocks = SPACE.blocks_of(z)
    return (2.0 + 0.01 * sum(facts(b).nodes for b in blocks) + 2e-5 * sum(4 * facts(b).params for b in blocks)) * rng.normal(1, noise)


@pytest.fixture
def folder(tmp_path):
    """A whole table, its networks with load times that follow a formula, in three rounds with 2 % of noise."""
    rng, folder = np.random.default_rng(0), tmp_path / "toy"
    with Table.open(folder / "table.jsonl", "toy", {"host": {"cpu": "A"}}) as table:
        sample = lambda ms: Sample((round(ms * 1e9),) * 3, (round(ms * 1e9),) * 3, 1000)
        table.append(str(OVERHEAD), 0, sample(OVERHEAD_MS))
        for b in SPACE.blocks:
            table.append(str(b), 0, replace(sample(block_ms(b)), load_s=0.001))
        for z in choose_networks(SPACE, 40, 0):
            for r in range(3):
                row = sample(network_ms(SPACE.blocks_of(z), rng))
                table.append(network_key(SPACE, z), r, replace(row, load_s=load_ms(z, rng, 0.02) / 1000))
    calibrate(SPACE, folder)
    return folder


def test_load_times_of_networks_that_were_not_measured(folder):
    model, rng = device_model(SPACE, folder), np.random.default_rng(9)
    Z = SPACE.sample(100, rng)
    truth = np.array([load_ms(z, rng) for z in Z])
    predicted, upper = model.cost(Z, ["load_ms"])[:, 0], model.upper(Z, ["load_ms"])[:, 0]
    assert np.abs(predicted / truth - 1).max() < 0.02 and (truth <= upper).mean() >= 0.95 and (upper < 1.1 * predicted).all()
    assert Target.of(Budget.parse("toy:load=50%")[0], model).fields == ("load_ms",)


def test_no_load_time_where_the_device_tells_none(tmp_path):
    with Table.open(tmp_path / "table.jsonl", "toy", {"host": {}}) as table:
        for z in choose_networks(SPACE, 30, 0):
            table.append(network_key(SPACE, z), 0, Sample((1000,) * 3))
        assert loading(SPACE, table) == {}


def test_a_tail_is_a_multiple_of_the_median_with_a_bound_of_its_own(folder):
    rng, table = np.random.default_rng(1), Table.read(folder / "table.jsonl")
    networks = Calibration.load(folder / "calibration.json", SPACE.hash).networks
    multiples = {k: 1.3 * rng.uniform(0.98, 1.1) for k in networks}
    assert "latency_p95_ms" not in device_model(SPACE, folder).metrics
    with pytest.raises(HwnasError, match="no latency_p95: its single inferences were not timed: `hwnas search` does that"):
        Target.of(Budget.parse("toy:latency_p95=50%")[0], device_model(SPACE, folder))

    Tails(table_digest(table), 300, {"latency_p90_ms": dict.fromkeys(networks, 1.1), "latency_p95_ms": multiples}).save(folder, SPACE.hash)
    model = device_model(SPACE, folder)
    Z = np.array([code_of(k) for k in networks])
    median = model.cost(Z, ["latency_ms"])[:, 0]
    assert model.cost(Z, ["latency_p90_ms"])[:, 0] == pytest.approx(1.1 * median)
    assert model.cost(Z, ["latency_p95_ms"])[:, 0] == pytest.approx(np.median(list(multiples.values())) * median)
    assert model.margin["latency_p90_ms"] == pytest.approx(model.margin["latency_ms"])
    measured = np.array([networks[k][0] * multiples[k] for k in networks])
    assert (measured <= model.upper(Z, ["latency_p95_ms"])[:, 0]).mean() >= 0.95
    assert model.margin["latency_p95_ms"] > model.margin["latency_ms"] + 0.02
    assert model.at({"latency_p95_ms": 0.8}).margin["latency_p95_ms"] < model.margin["latency_p95_ms"]

    held = json.loads((folder / "tails.json").read_text())
    held["spaces"][SPACE.hash]["table_fingerprint"] = "another"
    (folder / "tails.json").write_text(json.dumps(held))
    assert "latency_p95_ms" not in device_model(SPACE, folder).metrics
    (folder / "tails.json").write_text("{}")
    with pytest.raises(HwnasError, match="not a file of tails"):
        device_model(SPACE, folder)


@pytest.mark.slow
def test_tails_of_a_real_device(tmp_path):
    space = mobilenet(1, 8, 4, resolutions=(8,), stem=8, stem_stride=1, widths=((8, 12), (16, 24)), depth=2, strides=(1, 2), kernels=(3,),
                      expands=(1, 2), squeezes=(0,), acts=("relu",))  # fmt: skip
    device = find_device("tflite-cpu", tmp_path)
    profile_space(space, device, tmp_path, networks=19, held_out=0, plan=Plan(rounds=1, repeats=1), network_rounds=2)
    table = Table.read(tmp_path / "tflite-cpu" / "table.jsonl")
    assert {len(table.samples(k)) for k in table.keys if k.startswith("net(")} == {2}
    assert {len(table.samples(str(b))) for b in space.blocks} == {1}
    tails = measure_tails(space, device, tmp_path / "tflite-cpu", plan=Plan.single_shot(60, 0.0))
    assert tails.inferences >= 60 and 1 <= tails.usual["latency_p90_ms"] <= tails.usual["latency_p95_ms"]
    model = device_model(space, tmp_path / "tflite-cpu")
    assert {"latency_p90_ms", "latency_p95_ms", "load_ms"} <= set(model.metrics)
