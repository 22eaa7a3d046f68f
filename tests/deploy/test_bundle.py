"""hwnas/deploy/bundle.py: what a bundle holds, and that it can be used without hwnas."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from bundles import images, make_bundle, small_network
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from torch import nn

from hwnas.block import Block
from hwnas.deploy import Bundle
from hwnas.deploy.arena import TENSOR_BYTES, arena, arena_plan_bytes
from hwnas.deploy.c_header import c_header
from hwnas.deploy.module_source import module_source
from hwnas.deploy.sample import sample_inputs
from hwnas.lower import lower, to_tflite, write_torch
from hwnas.ops import OPS, build

WITHOUT_HWNAS = """
import sys
sys.modules["hwnas"] = None  # any import of it fails
sys.path.insert(0, {folder!r})
import numpy, torch
from model import load
with torch.inference_mode():
    y = load()(torch.from_numpy(numpy.load({x!r})))
assert not [m for m in sys.modules if m.startswith(("onnx", "ai_edge"))]
numpy.save({y!r}, y.numpy())
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle(folder, "tflite-cpu-int8")
    return folder


def test_it_holds_what_its_certificate_and_its_card_say(bundle):
    certificate = json.loads((bundle / "certificate.json").read_text())
    expected = {
        "model.onnx",
        "model.tflite",
        "model.safetensors",
        "model.py",
        "model.h",
        "architecture.json",
        "sample.safetensors",
        "README.md",
    }
    assert set(certificate["files"]) == expected == {p.name for p in bundle.iterdir()} - {"certificate.json"}
    card = (bundle / "README.md").read_text()
    assert all(f"`{name}`" in card for name in (*expected, "certificate.json")) and "**PASS**" in card and "tflite-cpu-int8" in card
    assert "noise / 'of' tests" in card and "hwnas verify" in card
    opened = Bundle.open(bundle)
    assert opened.certificate.certified_file == "model.tflite" and opened.data.keys() == expected


def test_model_py_runs_where_hwnas_cannot_be_imported(bundle, tmp_path):
    x = images(3)
    np.save(tmp_path / "x.npy", x)
    code = WITHOUT_HWNAS.format(folder=str(bundle), x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = small_network()(torch.from_numpy(x)).numpy()
    assert np.abs(np.load(tmp_path / "y.npy") - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("op", OPS)
def test_the_source_of_every_operator_computes_it(op, tmp_path):
    inputs = 3 if op in ("add", "concat") else 1
    cout = {"concat": 24}.get(op, 8 if op in ("add", "max_pool", "avg_pool", "residual", "shuffle", "xception") else 6)
    expand, se, stride = (2, 4, 2) if op == "mbconv" else (1, 0, 1)
    act = "hswish" if op in ("conv", "mbconv", "stem", "head") else ""
    block = Block(op, 8, cout, 7, 8, stride, kernel=3, expand=expand, se=se, inputs=inputs, act=act)
    same_as_its_source(build(block), [(2, 8, 7, 8)] * inputs, tmp_path)


def test_the_source_of_what_blocks_do_not_have(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.even = nn.Conv2d(4, 4, 2, padding="same", bias=False)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            a, b = self.even(self.norm(x) * 2 + 0.5).chunk(2, 1)
            y = torch.cat([nn.functional.gelu(a), nn.functional.silu(b), nn.functional.relu6(x)], 1)
            return nn.functional.channel_shuffle(y, 2).mean((2, 3)).sigmoid()

    same_as_its_source(Net(), [(1, 4, 5, 5)], tmp_path)


def same_as_its_source(module, shapes, folder):
    torch.manual_seed(0)
    program = lower(module.eval(), *shapes)
    (folder / "model.safetensors").write_bytes(write_torch(program))
    namespace = {"__name__": "model", "__file__": str(folder / "model.py")}
    exec(compile(module_source(program, "A network."), "model.py", "exec"), namespace)
    xs = [torch.randn(shape) for shape in shapes]
    with torch.no_grad():
        assert torch.allclose(namespace["load"]()(*xs), module(*xs), atol=1e-5)


@pytest.mark.parametrize("compiler, suffix", [("gcc", "c"), ("g++", "cpp")])
def test_the_c_array_compiles_and_holds_the_file(bundle, tmp_path, compiler, suffix):
    source = '#include <stdio.h>\n#include "model.h"\nint main(void) { printf("%d %d\\n", model_size, model_arena_bytes);\n'
    source += "fwrite(model_data, 1, model_size, stdout); return (long)model_data % 16; }\n"
    (tmp_path / f"main.{suffix}").write_text(source)
    try:
        command = [compiler, "-Wall", "-Werror", "-I", str(bundle), str(tmp_path / f"main.{suffix}"), "-o", str(tmp_path / "main")]
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip(f"no {compiler} here")
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, check=True)
    line, _, data = done.stdout.partition(b"\n")
    file = (bundle / "model.tflite").read_bytes()
    assert data == file and line.split() == [b"%d" % len(file), b"%d" % arena(file).bytes]


def test_a_comment_cannot_end_early():
    assert "*/ int" not in c_header(to_tflite(nn.ReLU(), (1, 2, 2, 2)), "model", "*/ int evil;")


def test_arena_plan_by_hand():
    """Conv 1 -> 3 channels on 4 x 4, then to 2: its input (64 B) and output (192 B) live together, then 192 and 128."""
    module = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 2, 1))
    file = to_tflite(module, (1, 1, 4, 4))
    assert arena_plan_bytes(file) == 4 * 16 * 3 + 4 * 16 * 2
    estimate = arena(file)
    if "estimate" in estimate.how:
        assert estimate.bytes == 4 * 16 * 5 + TENSOR_BYTES * 7


def test_the_arena_is_enough_for_the_runtime_of_microcontrollers():
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro", reason="needs hwnas[micro]").runtime
    file = to_tflite(small_network(), (1, 2, 8, 8), dtype="int8", int8_io=True)
    runtime.Interpreter.from_bytes(file, arena_size=arena(file).bytes + 256)  # it raises where the arena is too small


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40))
def test_sample_inputs_are_images(channels, height, width):
    x = sample_inputs((1, channels, height, width))
    assert x.shape == (8, channels, height, width) and x.dtype == np.float32 and 0 <= x.min() <= x.max() <= 1 and len(np.unique(x)) > 7


def test_the_sample_holds_what_each_file_gave(bundle):
    sample = load_file(bundle / "sample.safetensors")
    with torch.no_grad():
        expected = small_network()(torch.from_numpy(sample["input"])).numpy()
    assert np.abs(sample["output.model.safetensors"] - expected).max() < 1e-4
    for name in ("model.onnx", "model.tflite"):
        y = sample[f"output.{name}"]
        assert 0 < np.median(np.abs(y - expected)) < 0.05 * np.abs(expected).max(), "int8, and near"
