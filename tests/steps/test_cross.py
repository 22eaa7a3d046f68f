"""hwnas/steps/cross.py: cells are measured once, on the real device, and judged as a certificate would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.budget import Budget, Limit
from hwnas.errors import HwnasError
from hwnas.search import Target
from hwnas.steps import Experiment, RunFolder
from hwnas.steps.cross import Cross, keeps, read_cells
from hwnas.supernet import Supernet


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", Experiment.parse({"data": "digits", "space": "quickstart"}, "test"), tmp_path / "lut")


def test_a_cell_is_measured_once(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net, (z, other) = Supernet(run.space, True), run.space.sample(2, np.random.default_rng(0))
    with Cross(run, net) as cross:
        cell = cross.cell(z, "onnx-cpu")
        assert cell is not None and cross.known(z, "onnx-cpu") and not cross.known(other, "onnx-cpu") and not cross.known(z, "tflite-cpu")
        assert cell["measured"]["samples"] >= 1024 and 0 < cell["measured"]["p50_ms"] <= cell["measured"]["p50_upper_ms"]
        assert (
            cell["measured"]["upper"]["latency_p95_ms"]
            >= cell["measured"]["upper"]["latency_ms"]
            == pytest.approx(cell["measured"]["p50_upper_ms"], abs=1e-6)
        )
        assert cell["counted"]["file_bytes"] > cell["counted"]["params"] > 0

    def no_second_time(*_: object) -> Any:
        raise HwnasError("device 'onnx-cpu' is not reached")

    monkeypatch.setattr("hwnas.steps.cross.time_file", no_second_time)
    (run.path / "cross.jsonl").open("ab").write(b'{"torn')
    code = tuple(map(int, run.space.canonical(z[None])[0]))
    assert read_cells(run, run.space)["onnx-cpu", code]["measured"] == cell["measured"]
    with Cross(run, net) as cross:
        assert cross.cell(z, "onnx-cpu")["measured"] == cell["measured"]  # type: ignore[index]
        assert cross.cell(other, "onnx-cpu") is None and "not reached" in cross.away["onnx-cpu"]
        with pytest.raises(HwnasError, match="another process is writing"):
            Cross(run, net).__enter__()


@pytest.mark.parametrize(
    "measured, limits, expected",
    [
        ({}, {"latency_ms": 1.1}, True),
        ({}, {"latency_ms": 1.04}, False),
        ({}, {"latency_ms": 1.1, "file_bytes": 900}, False),
        ({}, {"energy_mj": 5.0}, None),
        ({"upper": {"energy_mj": 6.0}}, {"energy_mj": 5.0}, False),
        ({"preempted": 300}, {"latency_ms": 2.0}, None),
        ({"estimate": True}, {"latency_ms": 2.0}, None),
    ],
)
def test_a_cell_against_a_budget(measured: dict[str, Any], limits: dict[str, float], expected: bool | None) -> None:
    quiet = {"p50_ms": 1.0, "p50_upper_ms": 1.05, "samples": 1000, "preempted": 10, "processes": [{}, {}]}
    names = {"latency_ms": "latency", "file_bytes": "size", "energy_mj": "energy"}
    budget = Budget("toy", tuple(Limit(names[f], v) for f, v in limits.items()), "toy")
    target = Target(budget, tuple(limits), np.array(list(limits.values())), ())
    assert keeps(target, {"measured": quiet | measured, "counted": {"file_bytes": 1000}}) is expected
