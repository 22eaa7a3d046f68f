"""hwnas/steps/train.py: which table a budget is learned with."""

import shutil

import pytest

from hwnas.errors import HwnasError
from hwnas.shipped import table_folder
from hwnas.steps import Experiment, RunFolder
from hwnas.steps.train import constraint_of


def run_for(tmp_path, device, force=False):
    fields = {"data": "digits", "space": "quickstart", "train": {"algorithm": "fbnet"}, "search": {"force": force}}
    return RunFolder(tmp_path / "run", Experiment.parse({**fields, "budgets": [f"{device}:latency=50%"]}, "test"), tmp_path / "lut")


def constraint(run):
    return constraint_of(run, run.experiment.parsed_budgets()[0])


def test_a_table_that_comes_with_hwnas_will_do(tmp_path):
    assert constraint(run_for(tmp_path, "xeon-avx512-onnx")).limits[0] > 0


def test_a_table_that_was_never_calibrated_is_taken_by_force(tmp_path):
    shutil.copytree(table_folder(tmp_path / "lut", "xeon-avx512-onnx"), tmp_path / "lut/xeon-avx512-onnx")
    (tmp_path / "lut/xeon-avx512-onnx/calibration.json").unlink()
    with pytest.raises(HwnasError, match="calibration.json"):
        constraint(run_for(tmp_path, "xeon-avx512-onnx"))
    assert constraint(run_for(tmp_path, "xeon-avx512-onnx", force=True)).limits[0] > 0
