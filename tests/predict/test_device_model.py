"""hwnas/predict/device_model.py: from a table on disk to the costs of a space, and what is refused."""

import json

import numpy as np
import pytest
from latencies import OVERHEAD_MS, SPACE, block_ms, network_ms
from tiny_spaces import SPACES

from hwnas.errors import HwnasError
from hwnas.predict import calibrate, choose_blocks, choose_networks, device_model, network_key
from hwnas.predict.choose import OVERHEAD
from hwnas.sample import Sample
from hwnas.table import Table

FINGERPRINT = {"host": {"cpu": "A"}}


def sample(ms):
    return Sample((round(ms * 1e6),) * 3, (round(ms * 1e6),) * 3)


def write_table(folder, blocks=SPACE.blocks, networks=24, failed=(), fingerprint=FINGERPRINT, overhead=True):
    rng = np.random.default_rng(0)
    codes = choose_networks(SPACE, networks, 0) if networks else []
    with Table.open(folder / "table.jsonl", folder.name, fingerprint) as table:
        if overhead:
            table.append(str(OVERHEAD), 0, sample(OVERHEAD_MS))
        for b in blocks:
            table.append(str(b), 0, Sample.failed("unsupported") if b in failed else sample(block_ms(b)))
        for z in codes:
            table.append(network_key(SPACE, z), 0, sample(network_ms(SPACE.blocks_of(z), rng)))
    return codes


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    """A device with 50 of the blocks measured and a calibration."""
    folder = tmp_path_factory.mktemp("lut") / "toy"
    write_table(folder, choose_blocks(SPACE.blocks, 50))
    calibrate(SPACE, folder)
    return folder


def test_a_table_predicts_networks_it_has_not_seen(profiled):
    model, rng = device_model(SPACE, profiled), np.random.default_rng(5)
    Z = SPACE.sample(60, rng)
    measured = np.array([network_ms(SPACE.blocks_of(z), rng) for z in Z])
    predicted, upper = model.cost(Z, ["latency_ms"])[:, 0], model.upper(Z, ["latency_ms"])[:, 0]
    assert np.median(np.abs(predicted / measured - 1)) < 0.03 and (measured <= upper).mean() >= 0.9
    assert len(model.predicted) == len(SPACE.blocks) - 50


def test_a_predicted_block_says_how_far_it_may_be_off(tmp_path):
    write_table(tmp_path / "toy", choose_blocks(SPACE.blocks, 50), networks=0)
    model = device_model(SPACE, tmp_path / "toy", force=True)
    ms = dict(zip(SPACE.blocks, model.tables["latency_ms"]))
    off = np.array([abs(ms[b] / block_ms(b) - 1) / deviation for b, deviation in model.predicted.items()])
    assert 0.4 < (off < 1).mean() and (off < 3).mean() > 0.9, "68 and 99.7 % if it knew exactly"


def test_failed_blocks_cost_infinitely_much(tmp_path):
    failed = {b for b in SPACE.blocks if b.kernel == 5}
    write_table(tmp_path / "toy", failed=failed)
    Z = SPACE.sample(100, np.random.default_rng(0))
    model = device_model(SPACE, tmp_path / "toy", force=True)
    runs = np.array([bool(failed & set(SPACE.blocks_of(z))) for z in Z])
    assert (np.isinf(model.cost(Z, ["latency_ms"])[:, 0]) == runs).all() and 0 < runs.sum() < 100 and not model.predicted
    with pytest.raises(HwnasError, match="networks are too few"):  # most of those measured have a block that failed alone
        calibrate(SPACE, tmp_path / "toy")


def test_no_table(tmp_path):
    with pytest.raises(HwnasError, match="device 'toy': no table at .*run `hwnas profile toy --space 'mobilenet'`"):
        device_model(SPACE, tmp_path / "toy")


def test_a_table_of_another_space(profiled):
    with pytest.raises(HwnasError, match="table of another space: it has none of the .* blocks of 'nasbench201'"):
        device_model(SPACES["nasbench201"], profiled)


def test_no_calibration(tmp_path):
    write_table(tmp_path / "toy", networks=0)
    with pytest.raises(HwnasError, match="no calibration: run `hwnas profile`"):
        device_model(SPACE, tmp_path / "toy")
    model = device_model(SPACE, tmp_path / "toy", force=True)
    z = SPACE.largest()
    assert model.cost(z[None], ["latency_ms"])[0, 0] == pytest.approx(sum(map(block_ms, SPACE.blocks_of(z))), rel=1e-3)


def test_a_calibration_of_another_table(tmp_path, profiled):
    write_table(tmp_path / "toy", SPACE.blocks[:15], networks=0, fingerprint={"host": {"cpu": "B"}})
    (tmp_path / "toy" / "calibration.json").write_text((profiled / "calibration.json").read_text())
    with pytest.raises(HwnasError, match="made with a table of another fingerprint: run `hwnas profile toy"):
        device_model(SPACE, tmp_path / "toy")


def test_a_damaged_calibration(tmp_path):
    write_table(tmp_path / "toy", SPACE.blocks[:15], networks=0)
    (tmp_path / "toy" / "calibration.json").write_text("{")
    with pytest.raises(HwnasError, match="not a calibration file"):
        device_model(SPACE, tmp_path / "toy")


def test_a_table_without_the_cost_of_a_call(tmp_path):
    write_table(tmp_path / "toy", SPACE.blocks[:15], networks=1, overhead=False)
    with pytest.raises(HwnasError, match="no row for conv\\(1,1,1\\), from which the cost of one call is known"):
        calibrate(SPACE, tmp_path / "toy")


def test_only_the_networks_asked_for_calibrate(tmp_path):
    codes = write_table(tmp_path / "toy", networks=30)
    assert calibrate(SPACE, tmp_path / "toy", codes[:20]).held_out.networks == 20
    assert calibrate(SPACE, tmp_path / "toy").held_out.networks == 30
    saved = json.loads((tmp_path / "toy" / "calibration.json").read_text())
    assert list(saved["spaces"]) == [SPACE.hash]
