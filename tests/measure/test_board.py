"""hwnas/board/ and the device sides of the profilers: files that must run on a board that has little."""

import ast
import os
import sys
from pathlib import Path

import pytest

import hwnas
from hwnas.board import host_facts
from hwnas.plugins import PROFILERS, installed
from hwnas.profiler import load_profiler

BOARD = sorted(Path(hwnas.__file__).with_name("board").glob("*.py"))
RUNTIMES = {
    "onnx": {"onnxruntime"},
    "tflite": {"ai_edge_litert", "tflite_runtime"},
    "openvino": {"openvino"},
    "ncnn": {"ncnn"},
    "mnn": {"MNN"},
    "roofline": {"hwnas_cpu"},
    "cpu": {"torch", "hwnas"},
    "gpu": {"torch", "hwnas_cpu"},
}


def imported(path):
    """Top-level names of all modules that a file imports, anywhere in it; it must parse as Python 3.9."""
    for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no package around it on a board"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", BOARD, ids=lambda p: p.name)
def test_the_worker_needs_numpy_and_nothing_else(path):
    assert set(imported(path)) <= {*sys.stdlib_module_names, "numpy", *(p.stem for p in BOARD)}


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_device_side_needs_its_runtime_and_numpy(name):
    assert set(imported(load_profiler(name).device_module)) <= {*sys.stdlib_module_names, "numpy", *RUNTIMES[name]}
    assert name in installed(PROFILERS)


def test_identity_stays_and_conditions_pass():
    assert host_facts.identity() == host_facts.identity()
    assert host_facts.identity()["cores"] == os.cpu_count()
    assert not host_facts.identity().keys() & host_facts.conditions().keys()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux only")
def test_peak_memory_is_that_since_the_reset():
    assert host_facts.reset_peak_rss()
    before = host_facts.peak_rss_bytes()
    block = b"x" * 50_000_000
    assert host_facts.peak_rss_bytes() - before > 40_000_000
    del block
    host_facts.reset_peak_rss()
    assert host_facts.peak_rss_bytes() - before < 20_000_000


def test_the_fastest_core_is_the_last_among_equals():
    assert host_facts.fastest_core([0, 1]) in (0, 1)
    assert host_facts.fastest_core([5]) == 5
