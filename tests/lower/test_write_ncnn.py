"""hwnas/lower/ncnn.py: what stands in the files: fused activations, splits, flat pools; ncnn's own converter as an oracle."""

import logging
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import assert_close, random_inputs, randomised, run_ncnn
from torch import nn

from hwnas.block import Block
from hwnas.device import BUILT_IN
from hwnas.errors import HwnasError
from hwnas.lower import lower, write_ncnn
from hwnas.ops import build
from hwnas.profiler import load_profiler

needs_ncnn = pytest.mark.skipif(find_spec("ncnn") is None, reason="needs ncnn: pip install 'hwnas[ncnn]'")
needs_pnnx = pytest.mark.skipif(find_spec("pnnx") is None or find_spec("ncnn") is None, reason="needs ncnn and pnnx: pip install ncnn pnnx")


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def layers_of(module, *shape):
    """[type, ...] without the inputs."""
    lines = write_ncnn(lower(module, shape))[0].decode().splitlines()[2:]
    return [line.split()[0] for line in lines if not line.startswith("Input")]


def test_activations_are_part_of_the_layer_before_them():
    block = Block("mbconv", 8, 8, 6, 4, kernel=3, expand=3, act="hswish")
    assert layers_of(build(block), 1, 8, 6, 4) == ["Split", "Convolution", "ConvolutionDepthWise", "Convolution", "BinaryOp"]
    assert layers_of(Calls(lambda m, x: m.conv(x) + F.relu(m.conv(x))), 1, 8, 5, 5).count("ReLU") == 0  # two convolutions
    shared = lambda m, x: (lambda y: y + F.relu(y))(m.conv(x))
    assert layers_of(Calls(shared), 1, 8, 5, 5) == ["Convolution", "Split", "ReLU", "BinaryOp"]


def test_squeeze_and_excitation_stays_flat():
    block = Block("mbconv", 8, 10, 6, 4, kernel=3, expand=3, se=4, act="relu")
    gate = ["Pooling", "InnerProduct", "InnerProduct", "HardSigmoid", "BinaryOp"]
    assert layers_of(build(block), 1, 8, 6, 4) == ["Convolution", "ConvolutionDepthWise", "Split", *gate, "Convolution"]


@needs_ncnn
def test_a_gate_is_one_of_channels_where_the_image_is_as_wide_as_it_has_channels():
    module = Calls(lambda m, x: x * m.conv(x.mean((2, 3), keepdim=True)))
    xs = random_inputs((1, 8, 8, 8))
    assert_close(run_ncnn(write_ncnn(lower(module, (1, 8, 8, 8))), xs), module(*xs).detach().numpy())


def test_parts_of_an_image_are_one_slice_and_others_are_crops():
    def halves(_, x):
        left, right = x.chunk(2, 1)
        return torch.cat([F.relu(right), left], 1)

    parts = Calls(halves)
    assert layers_of(parts, 1, 8, 5, 5) == ["Slice", "ReLU", "Concat"]
    overlapping = Calls(lambda _, x: torch.cat([x[:, :5], x[:, 3:]], 1))
    assert layers_of(overlapping, 1, 8, 5, 5) == ["Split", "Crop", "Crop", "Concat"]


def test_a_number_is_a_parameter_and_a_pooled_image_has_its_dimensions():
    param = write_ncnn(lower(Calls(lambda _, x: x * 3), (1, 8, 5, 5)))[0].decode()
    assert param.splitlines()[-1].split() == ["BinaryOp", "output", "1", "1", "in0", "out0", "0=2", "1=1", "2=3.0"]
    assert layers_of(nn.AdaptiveAvgPool2d(1), 1, 8, 5, 5) == ["Pooling", "Reshape"]
    assert layers_of(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 1, 8, 5, 5) == ["Pooling"]


@needs_ncnn
def test_an_output_may_be_read_by_other_layers_too():
    program = lower(Calls(lambda m, x: F.relu(m.conv(x))), (1, 8, 5, 5))
    inner = next(node.output for node in program.nodes if node.op == "conv2d")
    both = type(program)(program.inputs, (*program.outputs, inner), program.nodes, program.shapes)
    files, xs = write_ncnn(both), random_inputs((1, 8, 5, 5))
    assert_close(run_ncnn(files, xs), run_ncnn(write_ncnn(program), xs))
    assert [line.split()[0] for line in files[0].decode().splitlines()[2:]] == ["Input", "Convolution", "Split", "ReLU"]


def test_weights_in_half_precision_are_stored_so():
    program = lower(nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(180, 7)), (1, 3, 8, 8))
    full, half = write_ncnn(program)[1], write_ncnn(program, half=True)[1]
    weights, biases = (135, 1260), (5, 7)
    assert len(full) == sum(4 + 4 * n for n in weights) + sum(4 * n for n in biases)
    assert len(half) == sum(4 + 2 * (n + n % 2) for n in weights) + sum(4 * n for n in biases)
    kernel = program.nodes[0].weights["weight"].numpy().ravel()
    assert half[:4] == bytes.fromhex("476b3001") and np.array_equal(np.frombuffer(half[4:274], "<f2"), kernel.astype("<f2"))


def test_the_same_module_gives_the_same_bytes_and_a_batch_is_refused():
    module = nn.Conv2d(3, 4, 3)
    assert write_ncnn(lower(module, (1, 3, 8, 8))) == write_ncnn(lower(module, (1, 3, 8, 8)))
    with pytest.raises(HwnasError, match="no batch dimension.*batch of 1"):
        write_ncnn(lower(module, (2, 3, 8, 8)))


@needs_pnnx
def test_our_files_agree_with_those_of_ncnn_s_converter(tmp_path):
    import hwnas_ncnn

    block = Block("mbconv", 8, 8, 9, 7, kernel=5, expand=3, se=4, act="hswish")
    torch.manual_seed(0)
    module, xs = randomised(build(block)), random_inputs((1, 8, 9, 7))
    param, weights = hwnas_ncnn._pnnx(module, ((1, 8, 9, 7),), half=False)
    ours = run_ncnn(write_ncnn(lower(module, (1, 8, 9, 7))), xs)
    assert np.abs(ours - run_ncnn((param, weights), xs)).max() <= 1e-6


@needs_pnnx
def test_what_our_writer_does_not_know_is_converted_by_pnnx(tmp_path, caplog):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus()).eval()
    with caplog.at_level(logging.WARNING, "hwnas"):
        load_profiler("ncnn").build(module, ((1, 3, 8, 6),), BUILT_IN["ncnn-cpu"], tmp_path / "model.zip")
    assert "Softplus" in caplog.text and "pnnx" in caplog.text and (tmp_path / "model.zip").stat().st_size > 0
