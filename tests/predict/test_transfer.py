"""hwnas/predict/transfer.py, group_ridge.py, transferred.py: a new device from others and a few measurements."""

from dataclasses import replace

import numpy as np
import pytest
from latencies import SPACE, block_ms, network_ms
from test_device_model import FINGERPRINT, sample

from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.predict import Transfer, calibrate, device_model, network_key, transfer_space
from hwnas.predict.choose import OVERHEAD
from hwnas.predict.group_ridge import GroupRidge, Task
from hwnas.predict.transferred import SourceTables, Transferred
from hwnas.predict.trust import table_digest
from hwnas.table import Table

rng = np.random.default_rng(0)
CODES = rng.integers(0, 3, (800, 6))
COST = np.array([[1.0, 2.0, 5.0], [3.0, 1.0, 2.0]])  # ms of each option of a gene, on two kinds of device
A, B = (2 + per_option[CODES].sum(1) for per_option in COST)
SOURCES = np.stack([A, B, 0.5 * A + 0.5 * B, 2 * A + 0.2 * B], 1) * rng.normal(1, 0.01, (800, 4))


def test_a_mixture_of_the_others_needs_ten_measurements():
    truth = 0.3 * (1.5 * A + 0.1 * B)
    transfer = Transfer(CODES, SOURCES)
    rows = transfer.choose(10)
    latency, deviation = transfer.fit(rows, truth[rows]).predict()
    assert len(set(rows)) == 10 and (transfer.choose(10) == rows).all()
    assert np.median(np.abs(latency / truth - 1)) < 0.01 and (np.abs(latency - truth) < 3 * deviation).mean() > 0.97


def test_what_no_other_device_has_is_learned_from_more_measurements():
    truth = 0.3 * A + 4.0 * (CODES[:, 0] == 2)  # one option is slow here only
    transfer = Transfer(CODES, SOURCES)
    errors = []
    for k in (10, 80):
        rows = transfer.choose(k)
        errors.append(np.median(np.abs(transfer.fit(rows, truth[rows]).predict()[0] / truth - 1)))
    assert errors[1] < 0.03 and errors[1] < errors[0]


def test_units_do_not_matter_and_one_source_is_enough():
    transfer = Transfer(CODES, SOURCES[:, :1] * 1000)
    rows = transfer.choose(10)
    small, large = (transfer.fit(rows, A[rows] * unit).predict()[0] for unit in (1e-3, 1e3))
    assert np.allclose(large, small * 1e6) and np.median(np.abs(small / A * 1e3 - 1)) < 0.02


def test_sources_may_have_gaps_and_noise_is_smoothed_away():
    holes = np.where(rng.random(SOURCES.shape) < 0.7, np.nan, SOURCES * rng.normal(1, 0.1, SOURCES.shape))
    rows = Transfer(CODES, holes).choose(10)
    predicted = Transfer(CODES, holes).fit(rows, A[rows]).predict()[0]
    assert np.median(np.abs(predicted / A - 1)) < 0.06  # the sources' own noise is 10 %


@pytest.mark.parametrize(
    "codes, sources, reason",
    [
        (CODES[:5], SOURCES, "expected"),
        (CODES, SOURCES[:, :0], "at least one device"),
        (CODES, -SOURCES, "above zero"),
        (CODES, np.where(np.arange(800)[:, None] < 9, SOURCES, np.nan), "fewer than 10"),
    ],
)
def test_sources_that_cannot_be(codes, sources, reason):
    with pytest.raises(HwnasError, match=reason):
        Transfer(codes, sources)


@pytest.mark.parametrize("latency", [[1.0, 0.0], [1.0, np.nan], [1.0, -2.0], [1.0], [1.0, 2.0, 3.0]])
def test_measurements_that_cannot_be(latency):
    with pytest.raises(HwnasError, match="transfer: 2 rows"):
        Transfer(CODES, SOURCES).fit(np.array([0, 1]), np.array(latency))


def test_group_ridge_is_the_closed_form():
    """One group, variances held by the data: weights = (X'X + noise / v)^-1 X'y, left-out predictions by refitting."""
    X = rng.standard_normal((30, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.standard_normal(30)
    ridge = GroupRidge([1.0]).fit(Task((X,), y, np.ones(30)))
    v, noise = ridge.fitted
    assert np.allclose(ridge.weights[0], np.linalg.solve(X.T @ X + noise / v * np.eye(4), X.T @ y))
    assert 0.003 < noise < 0.03
    X0, y0 = X[1:], y[1:]
    assert ridge.left_out[0] == pytest.approx(X[0] @ np.linalg.solve(X0.T @ X0 + noise / v * np.eye(4), X0.T @ y0))
    mean, variance = ridge.predict([X])
    assert np.allclose(mean, X @ ridge.weights[0]) and np.allclose(
        variance, noise * np.diag(X @ np.linalg.inv(X.T @ X + noise / v * np.eye(4)) @ X.T)
    )


def test_rows_are_chosen_by_what_they_tell_beside_those_given():
    """Two unknowns, told by rows (1, 0) and (0, 1): where one is measured anyway, the next to measure is of the other."""
    X = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.9], [0.0, 0.9]])
    ridge = GroupRidge([1.0])
    assert ridge.choose([X], np.ones(4), 2) == [0, 2]
    assert ridge.choose([X], np.ones(4), 1, given=[1]) == [2] and ridge.choose([X], np.ones(4), 1, given=[3]) == [0]
    assert ridge.choose([X], np.ones(4), 0, given=[3]) == []


def test_measurements_far_off_bend_the_robust_fit_less():
    """Every tenth target is half as large again: the normal fit follows them, Student's t does not."""
    X = rng.standard_normal((60, 4))
    true = 3 + X @ [1.0, -0.5, 0.3, 0.2]
    y = true + 0.02 * rng.standard_normal(60)
    y[::10] *= 1.5
    task = Task((np.ones((60, 1)), X), y, np.ones(60))
    errors = [
        np.abs(fit(task).predict(task.groups)[0] - true).mean() for ridge in [GroupRidge([1, 1])] for fit in (ridge.fit, ridge.fit_robust)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_choosing_takes_the_row_that_tells_most():
    """Features e1 (8 rows), e2 (2 rows): the first row of the larger group first, then one of the other."""
    F = np.repeat(np.eye(2), [8, 2], 0)
    assert [int(i >= 8) for i in GroupRidge([1.0]).choose([F], np.ones(10), 2)] == [0, 1]


# ---- spaces ----------------------------------------------------------------------------------------------------------

FACTORS = {"first": lambda b: 1.0, "second": lambda b: 1.5 if b.kernel == 5 else 0.8, "third": lambda b: 0.7 if b.stride == 2 else 1.3}


@pytest.fixture(scope="module")
def lut(tmp_path_factory):
    """Three profiled devices: formulas that differ by kernel and stride."""
    from hwnas.predict import choose_networks

    folder = tmp_path_factory.mktemp("lut")
    for name, factor in FACTORS.items():
        noise = np.random.default_rng(1)
        with Table.open(folder / name / "table.jsonl", name, FINGERPRINT) as table:
            table.append(str(OVERHEAD), 0, sample(0.004))
            for b in SPACE.blocks:
                table.append(str(b), 0, sample(block_ms(b) * factor(b)))
            for z in choose_networks(SPACE, 24, 0):
                total = sum(block_ms(b) * factor(b) for b in SPACE.blocks_of(z))
                table.append(network_key(SPACE, z), 0, sample(total * noise.normal(1, 0.01)))
        calibrate(SPACE, folder / name)
    return folder


def test_ten_networks_make_a_cost_model(lut, tmp_path):
    tables = SourceTables(SPACE, [device_model(SPACE, lut / name) for name in FACTORS])
    ms = lambda z: 2 * sum(block_ms(b) * (1.3 if b.kernel == 5 else 1.0) for b in SPACE.blocks_of(z)) + 0.01
    Z = tables.codes[tables.choose(10)]
    found = tables.fit(Z, np.array([ms(z) for z in Z]), list(FACTORS), "abc")
    found.save(tmp_path, SPACE)
    assert Transferred.load(tmp_path, SPACE) == found and found.networks == 10 and set(found.block_ms) == set(map(str, SPACE.blocks))
    model = found.model(SPACE)
    held_out = SPACE.sample(100, np.random.default_rng(3))
    measured = np.array([ms(z) for z in held_out])
    assert np.median(np.abs(model.cost(held_out, ["latency_ms"])[:, 0] / measured - 1)) < 0.04
    assert (measured <= model.upper(held_out, ["latency_ms"])[:, 0]).mean() >= 0.95
    assert set(model.predicted) == set(SPACE.blocks)


def test_a_transferred_model_is_that_of_its_table(lut, tmp_path):
    tables = SourceTables(SPACE, [device_model(SPACE, lut / name) for name in FACTORS])
    Z, folder = tables.codes[tables.choose(10)], tmp_path / "new"
    measured = np.array([network_ms(SPACE.blocks_of(z), np.random.default_rng(0)) for z in Z])
    with Table.open(folder / "table.jsonl", "new", FINGERPRINT) as table:
        for z, ms in zip(Z, measured):
            table.append(network_key(SPACE, z), 0, sample(ms))
    found = tables.fit(Z, measured, list(FACTORS), table_digest(table))
    found.save(folder, SPACE)
    model = device_model(SPACE, folder)
    assert (model.cost(Z) == found.model(SPACE).cost(Z)).all() and model.margin == {"latency_ms": found.margin}
    replace(found, table_fingerprint="other").save(folder, SPACE)
    with pytest.raises(HwnasError, match="another fingerprint"):
        device_model(SPACE, folder)
    (folder / "transfer.json").write_text("{")
    with pytest.raises(HwnasError, match="not a transfer file"):
        device_model(SPACE, folder)


@pytest.mark.parametrize(
    "sources, networks, reason", [(["first"], 2, "at least 3"), (["new"], 10, "not 'new' itself"), (["none"], 10, "no table at")]
)
def test_what_cannot_be_transferred(lut, sources, networks, reason):
    with pytest.raises(HwnasError, match=reason):
        transfer_space(SPACE, Device(name="new", runtime="toy"), sources, lut, networks=networks)
