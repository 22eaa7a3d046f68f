"""hwnas/board/ and the device sides of the profilers: files that must run on a board that has little."""

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import hwnas
from hwnas.board import host_facts
from hwnas.device import BUILT_IN
from hwnas.measure import Worker
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


CHURN = """
import resource, sys
import host_facts
host_facts.keep_freed_memory()
def inference():
    tensors = [bytearray(1_000_000) for _ in range(8)]
for _ in range(3):
    inference()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    inference()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, host_facts.identity()["freed_memory"])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_stays_with_the_process():
    """8 MB that come and go are 2,000 pages an inference where the top of the heap is given back each time."""
    done = subprocess.run([sys.executable, "-c", CHURN], cwd=BOARD[0].parent, capture_output=True, text=True, check=True)
    faults, kept = done.stdout.split()
    assert int(faults) < 200 and kept == "kept"
    assert "freed_memory" not in host_facts.identity(), "here nobody asked for it"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
@pytest.mark.parametrize("name, kept", [("torch-cpu", "kept"), ("onnx-cpu", None)])
def test_runtimes_that_allocate_in_each_inference_keep_it(name, kept):
    device = BUILT_IN[name]
    with Worker(device, load_profiler(device.runtime)) as worker:
        assert worker.fingerprint()["host"].get("freed_memory") == kept


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
