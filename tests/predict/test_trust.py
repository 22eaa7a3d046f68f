"""hwnas/predict/trust.py, drift.py: what a report says, when a table is refused, and how fast a device is today."""

import json

import numpy as np
import pytest
from latencies import SPACE, block_ms, network_ms
from table_files import FINGERPRINT, full_table

from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.predict import Drift, Trust, calibrate, device_model, find_trust, searched_networks
from hwnas.predict.calibration import DRIFT, Calibration
from hwnas.predict.drift import sentinel_networks
from hwnas.predict.networks import networks_in
from hwnas.predict.trust import table_digest
from hwnas.table import Table


@pytest.fixture
def folder(tmp_path):
    """A table of all blocks and 60 random networks."""
    return full_table(tmp_path / "toy", np.random.default_rng(0), networks=60).parent


def codes(folder):
    return np.array(list(networks_in(SPACE, Table.read(folder / "table.jsonl").keys).values()))


def test_the_report_is_on_networks_that_took_no_part(folder):
    Z = codes(folder)
    calibration = calibrate(SPACE, folder, Z[:25])
    trust = find_trust(folder, SPACE.hash)
    model, values = device_model(SPACE, folder), Table.read(folder / "table.jsonl").values()
    measured = np.array([values[k] for k in list(networks_in(SPACE, list(values)))[25:]])
    predicted = model.cost(Z[25:], ["latency_ms"])[:, 0]
    assert trust.kind == "random" and trust.held_out.networks == 35 and calibration.held_out.networks == 25
    assert trust.held_out.mape == pytest.approx(np.abs(predicted / measured - 1).mean())
    assert trust.covered == (measured <= predicted * (1 + calibration.margin)).sum()
    assert trust.verdict == "good" and trust.blocks_measured == len(SPACE.blocks) and trust.searched is None
    worst = trust.worst[0]
    assert (
        abs(worst["error"]) == pytest.approx(trust.held_out.worst)
        and len(worst["blocks"]) == 3
        and worst["network"].keys() == SPACE.index.keys()
    )
    assert json.loads((folder / "trust.json").read_text())["spaces"][SPACE.hash]["verdict"] == "good"


def test_without_others_the_left_out_ones_are_judged(folder):
    calibration = calibrate(SPACE, folder)
    trust = find_trust(folder, SPACE.hash)
    assert trust.kind == "left out" and trust.held_out == calibration.held_out


def test_a_report_of_another_table_is_none(folder, tmp_path):
    calibrate(SPACE, folder)
    other = full_table(tmp_path / "other", np.random.default_rng(0), fingerprint={**FINGERPRINT, "host": {"cpu": "B"}}).parent
    (other / "trust.json").write_text((folder / "trust.json").read_text())
    assert find_trust(other, SPACE.hash) is None and find_trust(folder, "0" * 16) is None
    (other / "trust.json").write_text("{")
    with pytest.raises(HwnasError, match="not a trust report"):
        find_trust(other, SPACE.hash)


@pytest.mark.parametrize(
    "distort, reason",
    [
        (lambda ms, rng: ms * rng.uniform(0.7, 1.3, len(ms)), "mean error"),
        (lambda ms, rng: ms * 1.2, "bias -1"),
        (lambda ms, rng: rng.permutation(ms), "rank correlation"),
        (lambda ms, rng: ms * np.where(rng.random(len(ms)) < 0.3, 1.15, 1.0), "within the 95% bound"),
    ],
)
def test_what_earns_no_trust(folder, distort, reason):
    Z, rng = codes(folder), np.random.default_rng(3)
    calibration, model = calibrate(SPACE, folder, Z[:25]), device_model(SPACE, folder)
    measured = distort(model.cost(Z[25:], ["latency_ms"])[:, 0], rng)
    trust = Trust.of("toy", model, calibration, Z[25:], measured, ())
    assert trust.reasons and reason in trust.verdict and trust.verdict.startswith("bad: ")
    assert not Trust.of("toy", model, calibration, Z[25:], model.cost(Z[25:], ["latency_ms"])[:, 0], ()).reasons


def test_networks_that_searches_pick_widen_the_bound():
    """Their errors are one-sided: with 19 of them the margin covers 95 % of these, too."""
    rng = np.random.default_rng(0)
    parts = [SPACE.blocks_of(z) for z in SPACE.sample(44, rng)]
    measured = np.array([network_ms(p, rng) for p in parts])
    measured[22:] *= rng.choice([1.0, 1.12], 22)
    ms, keys = {b: block_ms(b) for b in SPACE.blocks}, [str(i) for i in range(44)]
    fits = [Calibration.fit(parts, measured, ms, 0.004, keys=keys, searched=s) for s in ((), keys[22:], keys[30:])]
    assert fits[0].margin <= fits[1].margin and fits[2].margin == fits[0].margin and fits[1].searched == tuple(keys[22:])
    picked = np.array([fits[1].networks[k] for k in keys[22:]])
    assert (picked[:, 0] <= picked[:, 1] * (1 + fits[1].margin - DRIFT)).sum() >= 22


def test_winners_of_searches():
    """They keep their budgets, are spread over the range, and are predicted too low more often than random ones."""
    rng = np.random.default_rng(0)
    truth = np.array([block_ms(b) for b in SPACE.blocks])
    wrong = CostModel(SPACE, {"latency_ms": truth * rng.normal(1, 0.1, len(truth))}, {"latency_ms": 0.0}, {"latency_ms": 0.0})
    right = CostModel(SPACE, {"latency_ms": truth})
    Z = searched_networks(wrong, 12, 0)
    ratio = lambda z: right.cost(z, ["latency_ms"])[:, 0] / wrong.cost(z, ["latency_ms"])[:, 0]
    assert ratio(Z).mean() > ratio(SPACE.sample(300, rng)).mean() + 0.01
    assert (np.diff(wrong.cost(Z, ["latency_ms"])[:, 0]) > 0).mean() > 0.8 and Z.shape == (12, len(SPACE.genes))
    assert (searched_networks(wrong, 12, 0) == Z).all()


def test_a_drift_moves_every_latency_and_its_bound(folder):
    calibration = calibrate(SPACE, folder)
    ratios = {str(i): r for i, r in enumerate([0.88, 0.9, 0.91, 0.9, 0.95])}
    drift = Drift.of(ratios)
    assert drift.factor == 0.9 and drift.term == pytest.approx(2 * np.std(list(ratios.values()), ddof=1) / 0.9 / np.sqrt(5))
    assert Drift.of({"a": 1.0, "b": 1.0}).term == DRIFT and Drift.from_dict(json.loads(json.dumps(drift.to_dict()))) == drift
    before, today = device_model(SPACE, folder), device_model(SPACE, folder, drift=drift)
    Z = SPACE.sample(20, np.random.default_rng(5))
    assert today.cost(Z, ["latency_ms"]) == pytest.approx(0.9 * before.cost(Z, ["latency_ms"]))
    assert today.margin["latency_ms"] == pytest.approx(calibration.margin - DRIFT + drift.term)
    assert (today.cost(Z, ["macs"]) == before.cost(Z, ["macs"])).all()


def test_sentinel_networks_span_the_range(folder):
    calibration = calibrate(SPACE, folder)
    chosen = sentinel_networks(calibration)
    times = sorted(m for m, _ in calibration.networks.values())
    ranks = [times.index(calibration.networks[k][0]) for k in chosen]
    assert ranks == [6, 18, 30, 42, 54] and table_digest(Table.read(folder / "table.jsonl")) == calibration.table_fingerprint
