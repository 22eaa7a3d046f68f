"""hwnas/lower/tflite.py: what stands in the file: fused activations, padding, no stray transpose, aligned weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from parity import tflite_ops
from torch import nn

from hwnas.block import Block
from hwnas.lower import lower, write_tflite
from hwnas.lower.tflite_padding import Axis
from hwnas.ops import build


def operators_of(module, *shape):
    return tflite_ops(write_tflite(lower(module, shape)))


def test_relu_is_part_of_the_convolution_and_nothing_is_transposed():
    block = Block("mbconv", 8, 8, 6, 4, kernel=3, expand=3, act="relu")
    assert operators_of(build(block), 1, 8, 6, 4) == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]


def test_a_norm_on_its_own_is_a_convolution_on_images_only():
    assert operators_of(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), 1, 3, 6, 6) == ["CONV_2D"]
    assert operators_of(nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()), 1, 8, 6, 6) == ["MUL", "ADD"]


def test_a_relu_that_does_not_read_alone_stays():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            y = self.conv(x)
            return y + F.relu(y)

    assert operators_of(Net(), 1, 4, 5, 5) == ["CONV_2D", "RELU", "ADD"]


@pytest.mark.parametrize(
    "size, stride, expected",
    [
        (7, 1, ["CONV_2D"]),
        (7, 2, ["CONV_2D"]),  # SAME pads one pixel on both sides, as torch does
        (8, 2, ["PAD", "CONV_2D"]),  # SAME would pad the end only
    ],
)
def test_padding_is_written_out_only_where_same_would_differ(size, stride, expected):
    assert operators_of(nn.Conv2d(4, 4, 3, stride, 1), 1, 4, size, size) == expected


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("kernel, stride, before", [(3, 1, 1), (3, 2, 1), (5, 2, 2), (2, 2, 0), (1, 2, 0), (3, 3, 0)])
def test_axis_agrees_with_counting(size, kernel, stride, before):
    count = (size + 2 * before - kernel) // stride + 1
    if count < 1:
        return
    axis = Axis(size, kernel, stride, 1, before, count)
    read = [set(range(i * stride - before, i * stride - before + kernel)) for i in range(count)]
    assert list(axis.covered) == [len(pixels & set(range(size))) for pixels in read]
    assert axis.after == max(max(max(pixels) for pixels in read) + 1 - size, 0)


def test_flatten_before_linear_needs_no_transpose():
    module = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6, 5))
    assert operators_of(module, 1, 4, 2, 3) == ["RESHAPE", "FULLY_CONNECTED"]
    assert operators_of(nn.Sequential(nn.Flatten(), nn.ReLU()), 1, 4, 2, 3) == ["TRANSPOSE", "RESHAPE", "RELU"]


def test_an_average_pool_is_corrected_only_where_padding_is_written_out():
    assert operators_of(nn.AvgPool2d(3, 1, 1, count_include_pad=False), 1, 4, 6, 6) == ["AVERAGE_POOL_2D"]
    assert operators_of(nn.AvgPool2d(3, 2, 1, count_include_pad=False), 1, 4, 6, 6) == ["PAD", "AVERAGE_POOL_2D", "MUL"]
    assert operators_of(nn.AvgPool2d(3, 2, 1), 1, 4, 6, 6) == ["PAD", "AVERAGE_POOL_2D"]


def test_signature_names_shapes_and_versions():
    module = nn.Sequential(nn.Conv2d(4, 4, 3, dilation=2, groups=4), nn.Conv2d(4, 8, 1, groups=2))
    file = write_tflite(lower(module, (2, 4, 9, 7)))
    interpreter = Interpreter(model_content=file)
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["input"], "outputs": ["output"]}}
    assert list(interpreter.get_input_details()[0]["shape"]) == [2, 9, 7, 4]
    codes = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file)).operatorCodes
    assert [(c.builtinCode, c.version) for c in codes] == [
        (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 2),  # dilated
        (schema.BuiltinOperator.CONV_2D, 6),  # grouped
    ]


def test_weights_are_aligned_as_the_schema_asks():
    torch.manual_seed(0)
    file = write_tflite(lower(build(Block("mbconv", 3, 5, 6, 6, kernel=3, expand=3, se=4)), (1, 3, 6, 6)))
    model = schema.Model.GetRootAs(file)
    data = [model.Buffers(i).DataAsNumpy() for i in range(1, model.BuffersLength())]
    start = np.frombuffer(file, np.uint8).ctypes.data
    assert data and all((array.ctypes.data - start) % 16 == 0 for array in data)
