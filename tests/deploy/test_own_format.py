"""A runtime with a file format of its own: what is certified is the file that its profiler writes."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_spaces import chain_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.device import BUILT_IN
from hwnas.profiler import load_profiler
from hwnas.search import Target
from hwnas.steps.progress import silent
from hwnas.steps.proof import own_file, prove
from hwnas.supernet import network

SPACE = chain_space()


@pytest.mark.parametrize("name", ["ncnn-cpu", "mnn-cpu", "openvino-cpu"])
def test_the_certified_file_is_the_runtime_s_own(tmp_path, name):
    if reason := load_profiler(BUILT_IN[name].runtime).probe():
        pytest.skip(reason)
    model = CostModel(SPACE, {"latency_ms": np.full(len(SPACE.blocks), 1e3)})
    (budget,) = Budget.parse(f"{name}:latency=90000s,size=1MB")
    z = SPACE.sample(1, np.random.default_rng(0))[0]
    channels = next(b for b in SPACE.slots[0].blocks if b).cin
    run = SimpleNamespace(
        experiment=SimpleNamespace(rules="default"), lut=tmp_path / "lut", data=SimpleNamespace(shape=(channels,)), space=SPACE
    )
    winner = SimpleNamespace(target=Target.of(budget, model), z=z)
    proof, files = prove(run, winner, network(SPACE, z).eval(), tmp_path, silent, "a file", (".onnx", ".tflite"))
    suffix = load_profiler(BUILT_IN[name].runtime).suffix
    assert set(files) == {".onnx", ".tflite", suffix} and own_file(BUILT_IN[name], files) == tmp_path / f"model{suffix}"
    assert proof.counted["file_bytes"] == files[suffix].stat().st_size and proof.verdict in ("PASS", "INCONCLUSIVE")
    assert len(proof.timing.wall_ms) >= 1024 and "estimate" not in proof.timing.fingerprint["runtime"]
