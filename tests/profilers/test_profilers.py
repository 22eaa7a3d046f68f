"""profilers/: the built-in ones, found through the entry-point door, run real files in their worker."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.block import Block
from hwnas.device import BUILT_IN
from hwnas.errors import HwnasError
from hwnas.measure import Job, Plan, Worker, profile
from hwnas.ops import build
from hwnas.plugins import PROFILERS, installed
from hwnas.profiler import load_profiler
from hwnas.table import Table

ALL = ["cpu", "gpu", "onnx", "tflite", "openvino", "ncnn", "mnn", "roofline"]
PLAN = Plan(min_repeat_s=0.001, repeats=3, rounds=2)
BATCHES = {"ncnn-cpu": 1}  # it knows no other


def runs_here(name, *more):
    """The built-in device's name, and more, skipped with the reason where its runtime is not installed."""
    reason = load_profiler(BUILT_IN[name].runtime).probe()
    return pytest.param(name, *more, marks=pytest.mark.skipif(reason is not None, reason=str(reason)))


HERE = [runs_here(name) for name in BUILT_IN if name != "cuda"]
BLOCKS = [
    Block("mbconv", 8, 8, 10, 12, kernel=5, expand=4, se=4, act="hswish"),
    Block("mbconv", 8, 16, 9, 9, stride=2, kernel=3, expand=3, act="relu"),
    Block("head", 16, 10, 7, 7, expand=4, act="relu"),
    Block("stem", 3, 8, 12, 12, stride=2, kernel=3, act="hswish"),
]


def randomised(block):
    """The block's module with BatchNorm statistics of a trained one; fresh ones hide mistakes."""
    return Job.of(block).module()


def agrees(y, expected, dtype):
    """Within rounding; of int8 the signal must stand 15 dB above the noise (a scale that is wrong by two leaves 6)."""
    if dtype == "int8":
        return 10 * np.log10(np.square(expected).mean() / np.square(y - expected).mean()) >= 15
    return np.abs(y - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@pytest.fixture(scope="module", params=HERE)
def worker(request):
    device = BUILT_IN[request.param]
    with Worker(device, load_profiler(device.runtime)) as worker:
        yield worker


def test_all_are_listed_without_being_imported():
    assert set(ALL) <= installed(PROFILERS).keys()


@pytest.mark.parametrize("name", ALL)
def test_probe_says_nothing_or_the_way_out(name):
    reason = load_profiler(name).probe()
    assert reason is None or "nvidia-smi" in reason or "pip install" in reason


def test_facts_name_the_runtime_and_its_version(worker):
    runtime = worker.facts()["runtime"]
    names = ("torch", "onnxruntime", "ai-edge-litert", "tflite-runtime", "openvino", "ncnn", "mnn")
    assert runtime["name"] in names and runtime["version"][0].isdigit() and "estimate" not in runtime


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_file_computes_what_the_module_does(worker, tmp_path, block):
    module = randomised(block)
    x = np.random.default_rng(0).standard_normal((5, block.cin, block.height, block.width), dtype=np.float32)
    file = worker.profiler.build(module, ((1, *x.shape[1:]),), worker.device, tmp_path / f"block{worker.profiler.suffix}")
    with torch.inference_mode():
        expected = module(torch.from_numpy(x)).numpy()
    y = worker.predict(file, x)
    assert y.dtype == np.float32 and y.shape == expected.shape
    assert agrees(y, expected, worker.device.dtype)


def test_blocks_of_several_inputs_and_of_larger_batches(worker, tmp_path):
    job = Job.of(Block("concat", 4, 12, 6, 6, inputs=3), batch=BATCHES.get(worker.device.name, 2))
    file = worker.profiler.build(job.make(), job.shapes, worker.device, tmp_path / f"concat{worker.profiler.suffix}")
    assert worker.time(file, PLAN).error is None


def test_a_device_of_two_threads_and_a_batch(worker, tmp_path):
    batch = BATCHES.get(worker.device.name, 3)
    device = worker.device.model_copy(update={"threads": 2, "batch": batch})
    module, x = randomised(BLOCKS[0]), np.random.default_rng(0).standard_normal((2 * batch, 8, 10, 12), dtype=np.float32)
    file = worker.profiler.build(module, ((batch, 8, 10, 12),), device, tmp_path / f"batch{worker.profiler.suffix}")
    with Worker(device, worker.profiler) as two, torch.inference_mode():
        assert agrees(two.predict(file, x), module(torch.from_numpy(x)).numpy(), device.dtype)
        sample = two.time(file, PLAN)
    assert sample.error is None and sample.cpu_ns is None  # the CPU time of one thread of two means nothing


def test_more_work_takes_longer_on_both_clocks(worker, tmp_path):
    samples = []
    for size in (14, 56):
        job = Job.of(Block("mbconv", 16, 16, size, size, kernel=5, expand=6, act="relu"))
        file = worker.profiler.build(job.make().eval(), job.shapes, worker.device, tmp_path / f"b{size}{worker.profiler.suffix}")
        samples.append(worker.time(file, PLAN))
    small, large = samples
    assert all(s.error is None and s.cpu_ns is not None and s.load_s > 0 and s.first_run_ms > 0 for s in samples)
    assert small.latency_ms("cpu") * 3 < large.latency_ms("cpu") < 100


def test_a_file_loaded_again_computes_the_same_and_one_that_took_its_place_its_own(worker, tmp_path):
    file, x = tmp_path / f"b{worker.profiler.suffix}", np.random.default_rng(0).standard_normal((1, 8, 10, 12), dtype=np.float32)
    outputs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        worker.profiler.build(build(BLOCKS[0]).eval(), (x.shape,), worker.device, file)
        first = worker.time(file, PLAN)
        outputs.append([worker.predict(file, x) for _ in range(2)])
        assert first.load_s > 0
        assert (worker.time(file, PLAN).load_s is None) == (worker.profiler.needs == ("openvino",))  # it keeps what it compiled
    assert all(np.array_equal(*pair) for pair in outputs) and not np.array_equal(outputs[0][0], outputs[1][0])


def test_single_shots_of_a_file(worker, tmp_path):
    job = Job.of(BLOCKS[0])
    file = worker.profiler.build(job.make().eval(), job.shapes, worker.device, tmp_path / f"b{worker.profiler.suffix}")
    sample = worker.time(file, Plan.single_shot(samples=64, total_s=0.05))
    assert sample.loops == 1 and len(sample.wall_ns) >= 64 and sum(sample.wall_ns) >= 0.05e9
    assert sample.rejected < len(sample.wall_ns)


def test_the_same_module_makes_the_same_bytes(worker, tmp_path):
    files = []
    for i in range(2):
        out = tmp_path / f"{i}{worker.profiler.suffix}"
        files.append(worker.profiler.build(randomised(BLOCKS[0]), ((1, 8, 10, 12),), worker.device, out).read_bytes())
    assert files[0] == files[1]


def test_a_file_that_is_not_one_is_an_error_value(worker, tmp_path):
    junk = tmp_path / f"junk{worker.profiler.suffix}"
    junk.write_bytes(b"junk")
    assert worker.time(junk, PLAN).error
    with pytest.raises(HwnasError, match="junk"):
        worker.predict(junk, np.zeros((1, 3, 4, 4), np.float32))


@pytest.mark.parametrize("name", HERE)
def test_profile_writes_a_table_and_the_device_beside_it(tmp_path, name):
    jobs = {str(block): Job.of(block) for block in BLOCKS}
    profile(BUILT_IN[name], jobs, tmp_path, PLAN)
    table = Table.read(tmp_path / name / "table.jsonl")
    assert table.values().keys() == jobs.keys() and not table.failed and table.device == name
    assert (tmp_path / name / "device.toml").exists() and set(table.sentinels) == {(1, 0), (1, 1)}
    assert all(s.error is None for samples in table.sentinels.values() for s in samples)


def test_tflite_without_xnnpack_runs_too(tmp_path):
    device = BUILT_IN["tflite-cpu"].model_copy(update={"options": {"xnnpack": False}})
    job = Job.of(BLOCKS[0])
    with Worker(device, load_profiler("tflite")) as worker:
        assert worker.time(worker.profiler.build(job.make().eval(), job.shapes, device, tmp_path / "b.tflite"), PLAN).error is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_is_timed_by_its_own_events(tmp_path: Path):
    job = Job.of(BLOCKS[0])
    with Worker(BUILT_IN["cuda"], load_profiler("gpu")) as worker:
        sample = worker.time(worker.profiler.build(job.make().eval(), job.shapes, worker.device, tmp_path / "b.safetensors"), PLAN)
    assert sample.error is None and sample.cpu_ns is None and 0.001 < sample.latency_ms() < 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_one_clear_line():
    with pytest.raises(HwnasError, match="'cuda'.*does not start.*finds no CUDA device"):
        Worker(BUILT_IN["cuda"], load_profiler("gpu")).facts()


LOW_PRECISION = [
    ("onnx-cpu", "int8", {}),
    ("onnx-cpu", "fp16", {}),
    ("tflite-cpu", "int8", {}),
    ("tflite-cpu", "int8", {"int8_io": True}),
    ("tflite-cpu", "fp16", {}),
    ("ncnn-cpu", "fp16", {}),
]


@pytest.mark.parametrize("name, dtype, options", [runs_here(*case) for case in LOW_PRECISION], ids=str)
def test_low_precision_runs_in_the_worker(tmp_path, name, dtype, options):
    device = BUILT_IN[name].model_copy(update={"dtype": dtype, "options": options})
    module = randomised(BLOCKS[0])
    x = np.random.default_rng(0).standard_normal((3, 8, 10, 12), dtype=np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(x)).numpy()
    with Worker(device, load_profiler(device.runtime)) as worker:
        file = worker.profiler.build(module, ((1, 8, 10, 12),), device, tmp_path / f"b{worker.profiler.suffix}")
        assert worker.time(file, PLAN).error is None and worker.fingerprint()["device"]["dtype"] == dtype
        y = worker.predict(file, x)
    noise = 10 * np.log10(np.square(expected).sum() / np.square(y - expected).sum())
    assert noise > (25 if dtype == "int8" else 55)
