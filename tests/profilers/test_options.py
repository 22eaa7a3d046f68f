"""Options of device.toml: what a runtime takes, what it refuses, and whether they do what they say."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_profilers import BLOCKS, PLAN, randomised

from hwnas.device import BUILT_IN, Device
from hwnas.errors import HwnasError
from hwnas.measure import Worker
from hwnas.profiler import check_device, load_profiler

SHAPES = ((1, 8, 10, 12),)


def device(runtime, **fields):
    return Device(name="mine", runtime=runtime, **fields)


def run(device, folder, plan=PLAN):
    """(sample, largest difference from torch) of a block on a device."""
    module, x = randomised(BLOCKS[0]), np.random.default_rng(0).standard_normal((3, 8, 10, 12), dtype=np.float32)
    with Worker(device, load_profiler(device.runtime)) as worker, torch.inference_mode():
        file = worker.profiler.build(module, SHAPES, device, folder / f"block{worker.profiler.suffix}")
        sample = worker.time(file, plan)
        assert sample.error is None, sample.error
        return sample, np.abs(worker.predict(file, x) - module(torch.from_numpy(x)).numpy()).max()


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"runtime": "tflite", "options": {"xnpack": False}}, "unknown option of device 'mine' 'xnpack': did you mean 'xnnpack'"),
        ({"runtime": "tflite", "options": {"xnnpack": 0}}, "options.xnnpack = 0: expected true or false"),
        ({"runtime": "tflite", "options": {"delegate_options": {"a": 1}}}, "delegate_options without a delegate"),
        ({"runtime": "cpu", "options": {"compile": "inducter"}}, "value of option 'compile'.*did you mean 'inductor'"),
        ({"runtime": "cpu", "dtype": "fp16"}, "unknown dtype of device 'mine' 'fp16'"),
        ({"runtime": "gpu", "dtype": "tf16"}, "dtype.*known are fp32, tf32, fp16, bf16"),
        ({"runtime": "gpu", "options": {"graphs": "yes"}}, "options.graphs = 'yes': expected true or false"),
        ({"runtime": "onnx", "options": {"providers": "CUDA"}}, "options.providers = 'CUDA': expected a list"),
        ({"runtime": "ncnn", "batch": 2}, "batch = 2: ncnn runs one image at a time"),
        ({"runtime": "roofline"}, "needs peak_gops under .options."),
        ({"runtime": "roofline", "options": {"peak_gops": 1, "bandwidth_gb_s": -1, "launch_us": 0}}, "bandwidth_gb_s = -1: .* above zero"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_starts(fields, reason):
    wrong = device(**fields)
    with pytest.raises(HwnasError, match=reason):
        check_device(wrong, load_profiler(wrong.runtime))


def test_every_built_in_device_is_fine():
    for known in BUILT_IN.values():
        check_device(known, load_profiler(known.runtime))


@pytest.mark.parametrize("options", [{"channels_last": False}, {"channels_last": True}])
def test_torch_layouts(tmp_path, options):
    assert run(device("cpu", options=options), tmp_path)[1] < 1e-5


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
def test_torch_inductor_compiles_while_it_loads(tmp_path):
    sample, error = run(device("cpu", options={"compile": "inductor"}), tmp_path, replace(PLAN, time_limit_s=500))
    assert error < 1e-5 and sample.load_s > 10 * sample.first_run_ms / 1000


def test_tflite_without_xnnpack(tmp_path):
    assert run(device("tflite", options={"xnnpack": False}), tmp_path)[1] < 1e-5


def test_openvino_says_what_devices_there_are():
    if reason := load_profiler("openvino").probe():
        pytest.skip(reason)
    with pytest.raises(HwnasError, match="finds no 'NPU7' here, it finds CPU"):
        Worker(device("openvino", options={"device": "NPU7"}), load_profiler("openvino")).facts()


def test_openvino_sends_no_report(tmp_path):
    """Importing it the usual way writes an id into the home folder and sends a usage report."""
    if reason := load_profiler("openvino").probe():
        pytest.skip(reason)
    program = "import sys, runpy; runpy.run_path(sys.argv[1]); sys.exit(any('telemetry' in m or 'torch' in m for m in sys.modules))"
    python, home = shutil.which("python3") or "python3", {"HOME": str(tmp_path)}
    with Worker(device("openvino"), load_profiler("openvino")) as worker:
        python = worker.transport.argv(worker.profiler.device_module)[0]
    assert subprocess.run([python, "-c", program, str(load_profiler("openvino").device_module)], env=home).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_onnx_names_providers_shortly(tmp_path):
    sample, error = run(device("onnx", options={"providers": ["cpu"], "provider_options": {"CPU": {"use_arena": 1}}}), tmp_path)
    assert error < 1e-5 and sample.cpu_ns is not None


def test_onnx_has_not_every_provider():
    with pytest.raises(HwnasError, match="has no 'Abacus', it has .*CPU"):
        Worker(device("onnx", options={"providers": ["Abacus"]}), load_profiler("onnx")).facts()
    with pytest.raises(HwnasError, match="provider_options: 'CUDA' is not among providers: CPU"):
        with Worker(device("onnx", options={"provider_options": {"CUDA": {"a": 1}}}), load_profiler("onnx")) as worker:
            worker.predict(Path(__file__), np.zeros((1, 1), np.float32))


@pytest.fixture
def azure():
    """A provider that PyPI's wheel for Linux has and that runs none of our nodes: what CUDA is where its libraries are missing."""
    import onnxruntime

    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CPU provider only")
    return {"providers": ["Azure", "CPU"]}


@pytest.mark.parametrize("assigned", [True, False], ids=["as the session says", "as an older version's profile says"])
def test_nodes_that_fall_back_to_the_cpu_are_an_error(tmp_path, azure, assigned):
    profiler, mine = load_profiler("onnx"), device("onnx", options=azure)
    file = profiler.build(randomised(BLOCKS[0]), SHAPES, mine, tmp_path / "block.onnx")
    if not assigned:
        profiler.device_module = tmp_path / "device.py"
        text = type(profiler).device_module.read_text()
        profiler.device_module.write_text(text.replace('"get_provider_graph_assignment_info"', '"not_yet_there"'))
    with Worker(mine, profiler) as worker:
        found = worker.time(file, PLAN).error
    assert "nodes (" in found and "fell back to the CPU from Azure: set fallback = true" in found


def test_unless_that_is_allowed(tmp_path, azure):
    sample, error = run(device("onnx", options={**azure, "fallback": True}), tmp_path)
    assert error < 1e-5 and sample.cpu_ns is None  # part of the work could be elsewhere


DELEGATE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* TfLiteDelegate of TensorFlow Lite's C API: data, Prepare, three copy functions, flags; zero beyond. This one takes no node. */
struct Delegate { void* data; int (*prepare)(void*, void*); void* rest[30]; };
static int take_nothing(void* context, void* delegate) { return 0; }
void* tflite_plugin_create_delegate(char** keys, char** values, size_t n, void (*report)(const char*)) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(keys[i], "log") == 0) { FILE* file = fopen(values[i], "w"); fputs("created", file); fclose(file); }
  struct Delegate* delegate = calloc(1, sizeof(struct Delegate));
  delegate->prepare = take_nothing;
  return delegate;
}
void tflite_plugin_destroy_delegate(void* delegate) { free(delegate); }
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="builds a small delegate: needs a C compiler")
def test_a_tflite_delegate_gets_its_options_and_must_take_nodes(tmp_path):
    (tmp_path / "delegate.c").write_text(DELEGATE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libdelegate.so", tmp_path / "delegate.c"], check=True)
    options = {"delegate": str(tmp_path / "libdelegate.so"), "delegate_options": {"log": str(tmp_path / "log")}}
    sample, error = run(device("tflite", options={**options, "fallback": True}), tmp_path)
    assert (tmp_path / "log").read_text() == "created" and error < 1e-5 and sample.cpu_ns is None

    profiler, strict = load_profiler("tflite"), device("tflite", options=options)
    with Worker(strict, profiler) as worker:
        file = profiler.build(randomised(BLOCKS[0]), SHAPES, strict, tmp_path / "block.tflite")
        assert "took no node, all run on the CPU: set fallback = true" in worker.time(file, PLAN).error


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("dtype, limit", [("fp32", 1e-4), ("tf32", 1e-2), ("fp16", 2e-2), ("bf16", 2e-1)])
def test_gpu_precisions_and_graphs(tmp_path, dtype, limit, graphs):
    sample, error = run(device("gpu", pin="off", dtype=dtype, options={"graphs": graphs, "channels_last": dtype == "fp16"}), tmp_path)
    assert error < limit and sample.cpu_ns is None


@pytest.mark.skipif(load_profiler("openvino").probe() is not None, reason=str(load_profiler("openvino").probe()))
def test_openvino_compiles_again_where_there_is_no_room_to_keep_what_it_compiled(tmp_path):
    """RLIMIT_FSIZE: the system refuses the write, as a full disk does."""
    profiler = load_profiler("openvino")
    file = profiler.build(randomised(BLOCKS[0]), SHAPES, device("openvino"), tmp_path / "block.onnx")
    script = f"""
import importlib.util, resource
spec = importlib.util.spec_from_file_location("device", {str(profiler.device_module)!r})
device = importlib.util.module_from_spec(spec)
spec.loader.exec_module(device)
def load():
    session = device.Session({str(file)!r}, {{"threads": 1}})
    session.close()
    return session.from_cache
for limit in (0, 100, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    print(load(), load())
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == ["False False", "False False", "False True"]
