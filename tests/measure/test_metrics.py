"""hwnas/measure/metrics.py and hwnas/predict/additive.py: what a table knows beside latency, and what a budget may name."""

import json

import numpy as np
import pytest
from tiny_spaces import chain_space
from typer.testing import CliRunner

from hwnas.budget import Budget
from hwnas.cli.app import app
from hwnas.cost import facts
from hwnas.errors import HwnasError
from hwnas.measure import metrics_of
from hwnas.predict import calibrate, choose_networks, device_model, network_key
from hwnas.predict.choose import OVERHEAD
from hwnas.sample import Sample
from hwnas.search import Target
from hwnas.table import Table

SPACE = chain_space()
CALL_MJ = 0.5


def sample(ms, **told):
    return Sample((round(ms * 1e6),) * 3, (round(ms * 1e6),) * 3, **told)


def test_metrics_are_medians_over_rounds_of_what_the_device_tells(tmp_path):
    with Table.open(tmp_path / "t.jsonl", "toy", {}) as table:
        for r, load_s in enumerate([0.1, 0.2, 0.9]):
            table.append("a", r, Sample((100_000, 200_000, 300_000), loops=1, load_s=load_s, first_run_ms=3.0))
        table.append("b", 0, Sample((100_000,), peak_rss_bytes=5_000_000, energy_mj=2.5))
        table.append("c", 0, Sample.failed("no"))
    found = metrics_of(table)
    assert found["load_ms"] == {"a": 200.0} and found["first_run_ms"] == {"a": 3.0}
    assert found["peak_rss_bytes"] == {"b": 5e6} and found["energy_mj"] == {"b": 2.5} and "instructions" not in found
    assert found["p95_ms"] == {"a": pytest.approx(0.3), "b": pytest.approx(0.1)}


def energy_mj(block):
    return CALL_MJ + facts(block).macs / 1e5


def write(folder, energy=True, hole=False):
    """A table of all blocks and 24 networks; a network draws 10 % more than its blocks."""
    codes = choose_networks(SPACE, 24, 0)
    with Table.open(folder / "table.jsonl", folder.name, {"host": {}, "runtime": {"name": "toy", "version": "1"}}) as table:
        table.append(str(OVERHEAD), 0, sample(0.01, energy_mj=CALL_MJ if energy else None))
        for i, b in enumerate(SPACE.blocks):
            told = energy_mj(b) if energy and not (hole and i == 3) else None
            table.append(str(b), 0, sample(0.01 + energy_mj(b) / 10, energy_mj=told))
        for z in codes:
            parts = SPACE.blocks_of(z)
            total = 1.1 * (CALL_MJ + sum(energy_mj(b) - CALL_MJ for b in parts))
            table.append(network_key(SPACE, z), 0, sample(total / 10, energy_mj=total if energy else None))
    calibrate(SPACE, folder)


def test_energy_is_a_sum_with_a_bound(tmp_path):
    write(tmp_path / "toy")
    model, Z = device_model(SPACE, tmp_path / "toy"), SPACE.sample(20, np.random.default_rng(0))
    true = np.array([1.1 * (CALL_MJ + sum(energy_mj(b) - CALL_MJ for b in SPACE.blocks_of(z))) for z in Z])
    assert np.allclose(model.cost(Z, ["energy_mj"])[:, 0], true) and (model.upper(Z, ["energy_mj"])[:, 0] >= true).all()
    (budget,) = Budget.parse("toy:latency=90%,energy=50%")
    assert Target.of(budget, model).fields == ("latency_ms", "energy_mj")
    assert Budget.parse("toy:energy=2mJ")[0].limits[0].value == 2.0


@pytest.mark.parametrize("kinds", [{"energy": False}, {"hole": True}])
def test_a_budget_for_what_the_table_lacks_is_refused(tmp_path, kinds):
    write(tmp_path / "toy", **kinds)
    (budget,) = Budget.parse("toy:energy=2mJ")
    with pytest.raises(HwnasError, match="the table of toy has no energy: .*Budgets there can name latency, memory, size, macs, params"):
        Target.of(budget, device_model(SPACE, tmp_path / "toy"))


def test_lut_show_has_the_columns_that_there_are(tmp_path):
    write(tmp_path / "toy")
    text = CliRunner().invoke(app, ["lut", "show", "toy", "--lut", str(tmp_path)]).output
    assert "energy mJ" in text and "p95 us" in text and "instructions" not in text and "ESTIMATE" not in text
    shown = json.loads(CliRunner().invoke(app, ["lut", "show", "toy", "--lut", str(tmp_path), "--json"]).output)
    row = next(r for r in shown["rows"] if r["key"] == str(SPACE.blocks[0]))
    assert row["energy_mj"] == energy_mj(SPACE.blocks[0]) and shown["estimate"] is False
