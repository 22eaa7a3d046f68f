"""profilers/hwnas_roofline: arithmetic by hand, and that nobody takes it for a measurement."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.device import Device
from hwnas.measure import Job, Plan, Worker, profile
from hwnas.profiler import is_estimate, load_profiler
from hwnas.table import Table

BOARD = Device(name="board", runtime="roofline", options={"peak_gops": 8.0, "bandwidth_gb_s": 2.0, "launch_us": 3})
# 3x3 convolution, 4 -> 8 channels at 10x10, then ReLU
OPERATIONS = 2 * 3 * 3 * 4 * 8 * 10 * 10
CONV_BYTES = 4 * (4 * 100 + 8 * 4 * 9 + 8 + 8 * 100)
RELU_BYTES = 4 * (8 * 100 + 8 * 100)


def module():
    return nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU())


@pytest.fixture(scope="module")
def worker():
    with Worker(BOARD, load_profiler("roofline")) as worker:
        yield worker


def file_of(net, folder):
    return load_profiler("roofline").build(net.eval(), ((1, 4, 10, 10),), BOARD, folder / "a.safetensors")


def estimate_ns(worker, folder):
    sample = worker.time(file_of(module(), folder), Plan(repeats=2))
    assert sample.error is None and len(set(sample.wall_ns)) == 1 and sample.loops == 1
    assert sample.cpu_ns is sample.load_s is sample.first_run_ms is sample.peak_rss_bytes is sample.energy_mj is None
    return sample.wall_ns[0]


def test_a_node_takes_what_its_operations_or_its_bytes_need_and_a_launch(worker, tmp_path):
    assert OPERATIONS / 8 > CONV_BYTES / 2  # the convolution is bound by arithmetic, ReLU by memory
    assert estimate_ns(worker, tmp_path) == round(OPERATIONS / 8 + RELU_BYTES / 2 + 2 * 3000)
    slow_memory = BOARD.model_copy(update={"options": {"peak_gops": 1e6, "bandwidth_gb_s": 1.0, "launch_us": 0}})
    with Worker(slow_memory, load_profiler("roofline")) as other:
        assert estimate_ns(other, tmp_path) == CONV_BYTES + RELU_BYTES


def test_single_shots_are_counted_and_cost_no_time(worker, tmp_path):
    assert len(worker.time(file_of(module(), tmp_path), Plan.single_shot(500, 0.01)).wall_ns) >= 500


def test_outputs_are_those_of_torch(worker, tmp_path):
    net = module().eval()
    x = np.random.default_rng(0).standard_normal((2, 4, 10, 10), dtype=np.float32)
    y = worker.predict(file_of(net, tmp_path), x)
    with torch.inference_mode():
        assert np.abs(y - net(torch.from_numpy(x)).numpy()).max() < 1e-5


def test_the_table_says_that_it_is_an_estimate(tmp_path):
    profile(BOARD, {"a": Job(module, ((1, 4, 10, 10),))}, tmp_path, Plan(rounds=2))
    assert is_estimate(Table.read(tmp_path / "board" / "table.jsonl").fingerprint) and load_profiler("roofline").estimate
    header = json.loads((tmp_path / "board" / "table.jsonl").read_text().splitlines()[0])
    assert header["fingerprint"]["runtime"]["estimate"] is True


@pytest.mark.parametrize("name", ["cpu", "onnx", "tflite"])
def test_the_others_are_not(name):
    assert not load_profiler(name).estimate
