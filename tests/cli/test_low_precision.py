"""Two devices of one runtime and different dtypes in one run; then `hwnas verify` and `hwnas audit` on what was exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import hwnas

from hwnas.steps import load_experiment


@pytest.fixture(scope="module")
def run(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workplace's experiment for tflite-cpu and tflite-cpu-int8, with its table and supernet taken over."""
    folder = tmp_path_factory.mktemp("low")
    shutil.copytree(workplace / "lut", folder / "lut")
    shutil.copytree(workplace / "runs/tiny/supernet", folder / "runs/both/supernet")
    fields = load_experiment(workplace / "tiny.toml").model_dump()
    budgets = ["tflite-cpu:latency=80%", "tflite-cpu-int8:latency=80%,size=100kB,memory=90%"]
    changed = fields | {"budgets": budgets, "also": ["fp16", "int8-io"]}
    type(load_experiment(workplace / "tiny.toml")).parse(changed, "test").save(folder / "both.toml")
    done = hwnas("run", "both.toml", "--json", cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    return folder


def certificate(run: Path, device: str) -> dict:
    return json.loads((run / "runs/both/devices" / device / "certificate.json").read_text())


def test_each_device_gets_files_of_its_dtype_and_every_file_was_tested(run: Path) -> None:
    full, low = certificate(run, "tflite-cpu"), certificate(run, "tflite-cpu-int8")
    assert (full["dtype"], low["dtype"]) == ("fp32", "int8") and low["fingerprint"]["device"]["dtype"] == "int8"
    also = {"model-fp16.onnx", "model-fp16.tflite", "model-int8-io.tflite"}
    for c in (full, low):
        assert set(c["accuracy"]["files"]) == {"model.onnx", "model.tflite", "model.safetensors"} | also
        assert also | {"model-int8-io.h"} < set(c["files"])
        assert c["accuracy"]["files"]["model.safetensors"]["parity"]["top1_agreement"] == 1
        assert c["accuracy"]["test"] == c["accuracy"]["files"]["model.tflite"]["test"]
    for name in ("model.onnx", "model.tflite"):
        assert full["accuracy"]["files"][name]["parity"]["sqnr_db"] > 80
        assert 12 < low["accuracy"]["files"][name]["parity"]["sqnr_db"] < 60
        assert low["accuracy"]["files"][name]["parity"]["top1_agreement"] > 0.85
    drop = low["accuracy"]["test_fp32"] - low["accuracy"]["test"]
    certified = low["accuracy"]["files"]["model.tflite"]
    assert ("layer_errors" in certified) == (drop > 0.01)
    assert {name for name, file in full["accuracy"]["files"].items() if "layer_errors" in file} <= {"model-int8-io.tflite"}
    assert low["files"]["model.tflite"]["bytes"] * 4 < low["counted"]["params"] * 4 + 4 * 60_000
    assert low["data"]["calibration_images"] == 256


def test_int8_memory_is_a_quarter(run: Path) -> None:
    low = certificate(run, "tflite-cpu-int8")
    from hwnas.lower import read_torch

    program = read_torch(run / "runs/both/devices/tflite-cpu-int8/model.safetensors").program
    assert low["counted"]["memory_bytes"] == program.peak_bytes / 4 == low["limits"]["memory_bytes"]["value"]


def test_verify(run: Path) -> None:
    done = hwnas("verify", "runs/both/devices/tflite-cpu-int8", "--json", cwd=run)
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["verdict"] == "PASS" else 1), done.stderr
    assert found["parity"]["sqnr_db"] > found["parity"]["at_least_db"] and not found["differences"]
    assert set(found["limits"]) == {"latency_ms", "file_bytes", "memory_bytes"}
    shown = hwnas("verify", "runs/both/devices/tflite-cpu-int8", cwd=run)
    assert "same outputs" in shown.stdout and "model.tflite on tflite-cpu-int8" in shown.stdout
    moved = shutil.copytree(run / "runs/both/devices/tflite-cpu", run / "elsewhere" / "bundle")
    (moved / "model.tflite").write_bytes((moved / "model.tflite").read_bytes() + b"x")
    wrong = hwnas("verify", moved, cwd=run)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: bundle") and len(wrong.stderr.splitlines()) == 1


def test_verify_wants_a_device_that_is_known_here(run: Path) -> None:
    bundle = shutil.copytree(run / "runs/both/devices/tflite-cpu", run / "other" / "bundle")
    c = json.loads((bundle / "certificate.json").read_text())
    (bundle / "certificate.json").write_text(json.dumps(c | {"device": "my-phone"}))
    done = hwnas("verify", bundle, cwd=run)
    assert done.returncode == 2 and "give one of yours with --device" in done.stderr
    assert hwnas("verify", bundle, "--device", "tflite-cpu", cwd=run).returncode in (0, 1)


def test_audit(run: Path) -> None:
    found = json.loads(hwnas("audit", "runs/both/devices/tflite-cpu-int8/model.tflite", "--json", cwd=run).stdout)
    assert found["format"] == "TFLite" and found["operators"]["CONV_2D"] and list(found["runs"]) == ["XNNPACK"]
    shown = hwnas("audit", "runs/both/devices/tflite-cpu-int8/model.onnx", cwd=run).stdout
    assert "QLinearConv" in shown and "QuantizeLinear: left after fusion" in shown
    assert hwnas("audit", "runs/both/devices/tflite-cpu-int8/README.md", cwd=run).returncode == 2
