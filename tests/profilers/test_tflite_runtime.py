"""Old boards have tflite-runtime and numpy 1: the TFLite device side in a virtual environment with those, in another interpreter."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from test_profilers import BLOCKS, PLAN, randomised

from hwnas.device import BUILT_IN
from hwnas.measure import Local, Worker
from hwnas.profiler import load_profiler

OLD = ["tflite-runtime==2.14.0", "numpy<2"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def old_python(tmp_path_factory):
    """The interpreter of a fresh virtual environment with tflite-runtime; skips where pip cannot get it."""
    folder = tmp_path_factory.mktemp("old")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    install = subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary=:all:", *OLD], capture_output=True, text=True)
    if install.returncode:
        pytest.skip(f"pip cannot install {' '.join(OLD)} here: {(install.stderr.strip().splitlines() or ['?'])[-1]}")
    return python


@pytest.mark.parametrize("xnnpack", [True, False])
def test_a_board_with_tflite_runtime_and_numpy_1(old_python, tmp_path, xnnpack):
    device = BUILT_IN["tflite-cpu"].model_copy(update={"options": {"xnnpack": xnnpack}})
    module, x = randomised(BLOCKS[0]), np.random.default_rng(0).standard_normal((3, 8, 10, 12), dtype=np.float32)
    with Worker(device, load_profiler("tflite"), Local(python=old_python)) as worker, torch.inference_mode():
        assert worker.facts()["runtime"] == {"name": "tflite-runtime", "version": "2.14.0"}
        file = worker.profiler.build(module, ((1, 8, 10, 12),), device, tmp_path / "block.tflite")
        assert np.abs(worker.predict(file, x) - module(torch.from_numpy(x)).numpy()).max() < 1e-4
        sample = worker.time(file, PLAN)
    assert sample.error is None and sample.cpu_ns is not None and sample.latency_ms() > 0
