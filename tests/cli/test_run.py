"""The main job, end to end, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.data import load_data, to_float
from hwnas.device import find_device
from hwnas.measure import Worker
from hwnas.profiler import load_profiler
from hwnas.spaces import load_space
from hwnas.supernet import resize


def test_every_budget_has_its_files_and_a_certificate_that_is_true(workplace: Path) -> None:
    summary = json.loads((workplace / "stdout.json").read_text())
    assert summary == json.loads((workplace / "runs/tiny/summary.json").read_text())
    assert [r["device"] for r in summary["rows"]] == ["tflite-cpu"] * 2 and len({r["folder"] for r in summary["rows"]}) == 2
    for row in summary["rows"]:
        folder = workplace / "runs/tiny" / row["folder"]
        certificate = json.loads((folder / "certificate.json").read_text())
        assert certificate["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")
        assert {"model.onnx", "model.tflite", "model.py", "README.md"} <= set(certificate["files"]) and certificate[
            "certified_file"
        ] == "model.tflite"
        for name, facts in certificate["files"].items():
            assert sha256((folder / name).read_bytes()).hexdigest() == facts["sha256"]
        assert certificate["measured"]["samples"] >= 1024 and len(certificate["measured"]["processes"]) == 3
        parity = certificate["accuracy"]["parity"]
        assert parity["max_abs_error"] < 1e-4 and parity["top1_agreement"] > 0.99  # two logits may be nearer to each other than that
        assert certificate["limits"]["file_bytes"]["keeps"] == ((folder / "model.tflite").stat().st_size <= 200e3)
        if certificate["verdict"] == "PASS":
            assert certificate["measured"]["p50_upper_ms"] <= certificate["budget"]["latency_ms"]


def test_the_certified_accuracy_is_that_of_the_file(workplace: Path) -> None:
    row = json.loads((workplace / "stdout.json").read_text())["rows"][0]
    file = workplace / "runs/tiny" / row["folder"] / "model.tflite"
    device, test = find_device("tflite-cpu", workplace / "lut"), load_data("digits").test_at_the_end()
    with Worker(device, load_profiler("tflite")) as worker:
        y = worker.predict(file, resize(to_float(test.images), (8, 8)).numpy())
    assert float((y.argmax(1) == test.labels.numpy()).mean()) == row["accuracy_test"]


def test_architecture_json_is_read_back_by_its_space(workplace: Path) -> None:
    row = json.loads((workplace / "stdout.json").read_text())["rows"][1]
    architecture = json.loads((workplace / "runs/tiny" / row["folder"] / "architecture.json").read_text())
    space = load_space(architecture["space"])
    assert space.hash == architecture["space_hash"]
    assert space.decode(space.encode(architecture["choices"])) == architecture["choices"] == row["architecture"]


def test_a_finished_run_does_nothing_again(workplace: Path, cli: Callable[..., Any]) -> None:
    certificates = sorted(workplace.glob("runs/tiny/devices/**/certificate.json"))
    assert len(certificates) == 2
    before = [p.stat().st_mtime_ns for p in certificates]
    table = (workplace / "lut/tflite-cpu/table.jsonl").read_bytes()
    again = cli("run", "tiny.toml", "--json")
    assert [p.stat().st_mtime_ns for p in certificates] == before
    assert (workplace / "lut/tflite-cpu/table.jsonl").read_bytes() == table
    assert json.loads(again.stdout) == json.loads((workplace / "stdout.json").read_text())


def test_steps_are_commands_of_their_own(workplace: Path, cli: Callable[..., Any]) -> None:
    """A changed budget is searched, with the table and the supernet that are there."""
    trained = cli("train", "--space", f"{workplace}/myspace.py:tiny", "--data", "digits", "--out", "runs/own", "--algorithm", "spos",
                  "--epochs", 1, "--set", "batch=64")  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    found = cli("search", "runs/own", "--budget", "tflite-cpu:macs=50%", "--generations", 1, "--force", "--no-retime", "--json")
    assert found.returncode == 0, found.stderr
    (winner,) = json.loads(found.stdout)
    assert winner["upper"]["macs"] <= winner["limits"]["macs"] and winner["evaluations"] > 0
    low, high = winner["reachable"]["macs"]
    assert winner["limits"]["macs"] == pytest.approx((low + high) / 2)
    exported = cli("export", "runs/own")
    assert exported.returncode in (0, 1) and "tflite-cpu" in exported.stdout, exported.stderr
    assert (workplace / "runs/own/devices/tflite-cpu/certificate.json").exists()


def test_looking(cli: Callable[..., Any]) -> None:
    devices = json.loads(cli("devices", "--json").stdout)["devices"]
    assert {d["device"]: d["runs_here"] for d in devices}["tflite-cpu"] is True
    shown = json.loads(cli("lut", "show", "tflite-cpu", "--json").stdout)
    assert all(np.isfinite(r["latency_ms"]) and r["latency_ms"] > 0 for r in shown["rows"]) and not shown["failed"]
    assert "tflite-cpu" in cli("lut", "show", "tflite-cpu").stdout
