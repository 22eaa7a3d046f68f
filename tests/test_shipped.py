"""hwnas/shipped.py: one's own tables first, shipped ones read-only, and none in anybody's way."""

import json
from pathlib import Path

import numpy as np
import pytest
from latencies import SPACE
from table_files import FINGERPRINT, full_table

from hwnas.device import BUILT_IN, Device, find_device
from hwnas.errors import HwnasError
from hwnas.lut import check_table, table_path
from hwnas.lut.facts_only import is_private
from hwnas.predict import calibrate, device_model
from hwnas.sample import Sample
from hwnas.shipped import SHIPPED, device_names, table_folder
from hwnas.table import Table

SETTINGS = Device(name="x", runtime="onnx").settings


@pytest.fixture
def shipped(tmp_path):
    """A folder of shipped tables with one of an old machine."""
    folder = tmp_path / "shipped"
    fingerprint = {**FINGERPRINT, "device": SETTINGS, "host": {"cpu": "an old one"}}
    full_table(folder / "old-onnx", np.random.default_rng(0), fingerprint=fingerprint)
    Device(name="old-onnx", runtime="onnx").save(folder / "old-onnx/device.toml")
    calibrate(SPACE, folder / "old-onnx")
    return folder


def test_a_shipped_table_is_found_and_used(shipped, tmp_path):
    folder = table_folder(tmp_path / "lut", "old-onnx", shipped)
    assert folder == shipped / "old-onnx" and np.isfinite(device_model(SPACE, folder).cost(SPACE.smallest()[None])).all()
    assert list(device_names(tmp_path / "lut", shipped)) == ["old-onnx"]
    assert table_folder(tmp_path / "lut", "onnx-cpu", shipped) == tmp_path / "lut/onnx-cpu"


def test_ones_own_comes_first_and_is_where_measuring_writes(shipped, tmp_path):
    """The same name, another machine: the first row goes into the user's own folder, and the shipped file stays as it is."""
    before = (shipped / "old-onnx/table.jsonl").read_bytes()
    own = tmp_path / "lut/old-onnx/table.jsonl"
    with Table.open(own, "old-onnx", {**FINGERPRINT, "device": SETTINGS, "host": {"cpu": "mine"}}) as table:
        table.append("conv(1,2,4)", 0, Sample((1000,), (1000,)))
    assert table_folder(tmp_path / "lut", "old-onnx", shipped) == own.parent
    assert (shipped / "old-onnx/table.jsonl").read_bytes() == before


def test_names(tmp_path):
    with pytest.raises(HwnasError, match="device 'onnx-cpu': no table at .*run `hwnas profile onnx-cpu"):
        table_path("onnx-cpu", tmp_path)
    with pytest.raises(HwnasError, match="unknown device 'onyx'"):
        table_path("onyx", tmp_path)
    assert find_device("onnx-cpu", tmp_path) == BUILT_IN["onnx-cpu"]


def test_what_is_measured_in_a_checkout_is_not_shipped():
    """Commands that run there write to lut/, by default: those tables are the user's, as `make quickstart`'s are."""
    checkout = Path(__file__).parent.parent
    assert SHIPPED == checkout / "lut/shipped" and (SHIPPED / "epyc-tflite/table.jsonl").exists()


@pytest.mark.parametrize("folder", [p.parent for p in sorted(SHIPPED.glob("*/table.jsonl"))], ids=lambda p: p.name)
def test_every_table_that_ships(folder):
    """Sound, named after its machine, trusted, and with nothing in it that is not for others."""
    assert folder.name not in BUILT_IN and Device.load(folder / "device.toml").name == folder.name
    checked = check_table(folder / "table.jsonl")
    assert checked.ok, [str(f) for f in checked.findings]
    for path in folder.iterdir():
        for line in path.read_text().splitlines() if path.suffix == ".jsonl" else []:
            assert not is_private(json.loads(line)), line[:200]
    assert json.loads((folder / "trust.json").read_text())["spaces"], "a table that ships has a trust report"
