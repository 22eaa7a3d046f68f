"""write_tflite(program): the bytes of a .tflite file.

TFLite computes in NHWC. Weights are turned here, once, so that the file holds no transpose: an image is (n, h, w, c) at the
boundary too. ReLU and ReLU6 go into the operator before them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from .program import Node, Program
from .simplify import absorbed
from .tflite_file import TfliteFile
from .tflite_padding import Axis

_ACTIVATION = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_FUSING = ("conv2d", "linear", "scale_shift", "add", "mul")  # operators that apply a ReLU to what they write
_COLOURS = (2, 3, 4)  # channels of an image: there a 1x1 convolution with a diagonal weight takes a third of MUL and ADD (XNNPACK, x86)
_LOWEST = np.float32(np.finfo(np.float32).min)
DILATED_DEPTHWISE_VERSION, GROUPED_CONV_VERSION = 2, 6  # versions of an operator in which a feature appeared


def write_tflite(program: Program) -> bytes:
    """An fp32 TFLite model with a signature that has the program's names; images are (n, h, w, c)."""
    writer = _Writer(program)
    inputs = [writer.tensor(name) for name in program.inputs]
    for node in program.nodes:
        if node.output not in writer.taken_in:
            getattr(writer, node.op)(node)
    return writer.file.to_bytes(inputs, [writer.index[name] for name in program.outputs])


class _Writer:
    """One method per primitive: it adds the TFLite operators that do the same."""

    def __init__(self, program: Program):
        self.shapes = program.shapes
        self.file = TfliteFile()
        self.index: dict[str, int] = {}  # tensor of the program -> tensor of the file
        self.fused, self.taken_in = absorbed(program, ("relu", "relu6"), _FUSING)
        readers = Counter(name for node in program.nodes for name in node.inputs) + Counter(program.outputs)
        linear = Counter(node.inputs[0] for node in program.nodes if node.op == "linear")
        self.nhwc_flat = {  # flattened images that may stay in NHWC order, because only weights that can be permuted read them
            node.output: program.shapes[node.inputs[0]]
            for node in program.nodes
            if node.op == "flatten" and readers[node.output] == linear[node.output]
        }

    def tensor(self, name: str) -> int:
        self.index[name] = self.file.tensor(name, _nhwc(self.shapes[name]))
        return self.index[name]

    def _constant(self, node: Node, name: str, value: Any) -> int:
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
        return self.file.constant(f"{node.output}.{name}", array)

    def _between(self, node: Node, name: str, nhwc: tuple[int, ...]) -> int:
        """A tensor that the program does not have, between two operators for one node."""
        return self.file.tensor(f"{node.output}.{name}", nhwc)

    def _write(self, operator: str, node: Node, inputs: list[int] | None = None, options: Any = None, version: int = 1) -> None:
        """The operator that writes the node's output, reading the node's inputs unless told otherwise."""
        inputs = [self.index[name] for name in node.inputs] if inputs is None else inputs
        relu = self.fused.get(node.output)
        if relu is not None:
            options.fusedActivationFunction = _ACTIVATION[relu.op]
        self.file.operator(operator, inputs, self.tensor(relu.output if relu else node.output), version, options)

    def _bias(self, node: Node) -> int:
        return self._constant(node, "bias", node.weights.get("bias", np.zeros(self.shapes[node.output][1], np.float32)))

    def conv2d(self, node: Node) -> None:
        weight, groups = node.weights["weight"], node.attrs["groups"]
        (stride_y, stride_x), dilation = node.attrs["stride"], node.attrs["dilation"]
        x, padding = self._padded(node, *self._axes(node, weight.shape[2:]))
        depthwise = groups > 1 and weight.shape[1] == 1
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = padding, stride_y, stride_x
        options.dilationHFactor, options.dilationWFactor = dilation
        if depthwise:
            options.depthMultiplier = weight.shape[0] // groups
            inputs = [x, self._constant(node, "weight", weight.permute(1, 2, 3, 0)), self._bias(node)]
            self._write("DEPTHWISE_CONV_2D", node, inputs, options, DILATED_DEPTHWISE_VERSION if dilation != (1, 1) else 1)
        else:
            inputs = [x, self._constant(node, "weight", weight.permute(0, 2, 3, 1)), self._bias(node)]
            self._write("CONV_2D", node, inputs, options, GROUPED_CONV_VERSION if groups > 1 else 1)

    def _axes(self, node: Node, kernel: tuple[int, ...]) -> tuple[Axis, Axis]:
        sizes, counts = self.shapes[node.inputs[0]][2:], self.shapes[node.output][2:]
        a, dilation = node.attrs, node.attrs.get("dilation", (1, 1))
        y, x = (Axis(sizes[i], kernel[i], a["stride"][i], dilation[i], a["padding"][i], counts[i]) for i in (0, 1))
        return y, x

    def _padded(self, node: Node, y: Axis, x: Axis, fill: np.float32 | None = None, allow_same: bool = True) -> tuple[int, int]:
        """(tensor, padding scheme) for the operator to read: the node's own input, or that input after an explicit pad with fill or 0."""
        source, name = self.index[node.inputs[0]], node.inputs[0]
        amounts = np.array([[0, 0], [y.before, y.after], [x.before, x.after], [0, 0]], np.int32)
        if not amounts.any():
            return source, schema.Padding.VALID
        if allow_same and y.same and x.same:
            return source, schema.Padding.SAME
        padded = self._between(node, "padded", tuple(np.array(_nhwc(self.shapes[name])) + amounts.sum(1)))
        inputs = [source, self._constant(node, "padding", amounts)]
        if fill is None:
            self.file.operator("PAD", inputs, padded, options=schema.PadOptionsT())
        else:
            self.file.operator("PADV2", [*inputs, self._constant(node, "fill", fill)], padded, options=schema.PadV2OptionsT())
        return padded, schema.Padding.VALID

    def linear(self, node: Node) -> None:
        weight = node.weights["weight"]
        if node.inputs[0] in self.nhwc_flat:
            _, c, h, w = self.nhwc_flat[node.inputs[0]]
            weight = weight.reshape(-1, c, h, w).permute(0, 2, 3, 1).reshape(weight.shape)
        inputs = [self.index[node.inputs[0]], self._constant(node, "weight", weight), self._bias(node)]
        self._write("FULLY_CONNECTED", node, inputs, schema.FullyConnectedOptionsT())

    def scale_shift(self, node: Node) -> None:
        x, scale, shift = self.index[node.inputs[0]], node.weights["scale"], self._constant(node, "shift", node.weights["shift"])
        if scale.numel() in _COLOURS and len(self.shapes[node.output]) == 4:
            options = schema.Conv2DOptionsT()
            options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
            weight = self._constant(node, "scale", torch.diag(scale)[:, None, None, :])
            self._write("CONV_2D", node, [x, weight, shift], options)
            return
        scaled = self._between(node, "scaled", _nhwc(self.shapes[node.output]))
        self.file.operator("MUL", [x, self._constant(node, "scale", scale)], scaled, options=schema.MulOptionsT())
        self._write("ADD", node, [scaled, shift], schema.AddOptionsT())

    def relu(self, node: Node) -> None:
        self._write("RELU", node)

    def relu6(self, node: Node) -> None:
        self._write("RELU6", node)

    def hardswish(self, node: Node) -> None:
        self._write("HARD_SWISH", node, options=schema.HardSwishOptionsT())

    def hardsigmoid(self, node: Node) -> None:
        """relu6(x + 3) / 6."""
        shifted = self._between(node, "shifted", _nhwc(self.shapes[node.output]))
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _ACTIVATION["relu6"]
        self.file.operator(
            "ADD", [self.index[node.inputs[0]], self._constant(node, "three", np.array([3], np.float32))], shifted, options=options
        )
        self._write("MUL", node, [shifted, self._constant(node, "sixth", np.array([1 / 6], np.float32))], schema.MulOptionsT())

    def sigmoid(self, node: Node) -> None:
        self._write("LOGISTIC", node)

    def silu(self, node: Node) -> None:
        x, gate = self.index[node.inputs[0]], self._between(node, "sigmoid", _nhwc(self.shapes[node.output]))
        self.file.operator("LOGISTIC", [x], gate)
        self._write("MUL", node, [x, gate], schema.MulOptionsT())

    def gelu(self, node: Node) -> None:
        self._write("GELU", node, options=schema.GeluOptionsT())

    def add(self, node: Node) -> None:
        self._write("ADD", node, options=schema.AddOptionsT())

    def mul(self, node: Node) -> None:
        self._write("MUL", node, options=schema.MulOptionsT())

    def concat(self, node: Node) -> None:
        options = schema.ConcatenationOptionsT()
        options.axis = len(self.shapes[node.output]) - 1
        self._write("CONCATENATION", node, options=options)

    def slice(self, node: Node) -> None:
        size = _nhwc(self.shapes[node.output])
        begin = self._constant(node, "begin", np.array([*[0] * (len(size) - 1), node.attrs["start"]], np.int32))
        inputs = [self.index[node.inputs[0]], begin, self._constant(node, "size", np.array(size, np.int32))]
        self._write("SLICE", node, inputs, schema.SliceOptionsT())

    def channel_shuffle(self, node: Node) -> None:
        (n, c, h, w), groups = self.shapes[node.output], node.attrs["groups"]
        apart, exchanged = (n * h * w, groups, c // groups), (n * h * w, c // groups, groups)
        grouped = self._reshape(node, self.index[node.inputs[0]], self._between(node, "grouped", apart), apart)
        turned = self._transpose(node, grouped, self._between(node, "exchanged", exchanged), (0, 2, 1))
        self._reshape(node, turned, self.tensor(node.output), (n, h, w, c))

    def max_pool(self, node: Node) -> None:
        x, padding = self._padded(node, *self._axes(node, node.attrs["kernel"]), fill=_LOWEST)
        self._write("MAX_POOL_2D", node, [x], _pool_options(node, padding))

    def avg_pool(self, node: Node) -> None:
        """TFLite leaves out padding of its own when it divides, and knows nothing of an explicit pad: that is corrected after."""
        y, x = self._axes(node, node.attrs["kernel"])
        count_padding = node.attrs["count_padding"]
        source, padding = self._padded(node, y, x, allow_same=not count_padding)
        options = _pool_options(node, padding)
        if count_padding or source == self.index[node.inputs[0]]:
            self._write("AVERAGE_POOL_2D", node, [source], options)
            return
        averaged = self._between(node, "averaged", _nhwc(self.shapes[node.output]))
        self.file.operator("AVERAGE_POOL_2D", [source], averaged, options=options)
        correction = y.kernel * x.kernel / np.outer(y.covered, x.covered)
        factor = self._constant(node, "correction", correction.astype(np.float32)[None, :, :, None])
        self._write("MUL", node, [averaged, factor], schema.MulOptionsT())

    def global_avg_pool(self, node: Node) -> None:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        self._write("MEAN", node, [self.index[node.inputs[0]], self._constant(node, "axes", np.array([1, 2], np.int32))], options)

    def flatten(self, node: Node) -> None:
        """A reshape; of an image with several pixels, either the linear layer's weights are permuted or the image is transposed."""
        x = self.index[node.inputs[0]]
        n, c, h, w = self.shapes[node.inputs[0]]
        if h * w > 1 and c > 1 and node.output not in self.nhwc_flat:
            x = self._transpose(node, x, self._between(node, "nchw", (n, c, h, w)), (0, 3, 1, 2))
        self._reshape(node, x, self.tensor(node.output), self.shapes[node.output])

    def constant(self, node: Node) -> None:
        value = node.weights["value"]
        self.index[node.output] = self.file.constant(node.output, (value.permute(0, 2, 3, 1) if value.dim() == 4 else value).numpy())

    def identity(self, node: Node) -> None:
        self._reshape(node, self.index[node.inputs[0]], self.tensor(node.output), _nhwc(self.shapes[node.output]))

    def _reshape(self, node: Node, x: int, output: int, shape: tuple[int, ...]) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        self.file.operator("RESHAPE", [x, self.file.constant(f"{node.output}.shape{output}", options.newShape)], output, options=options)
        return output

    def _transpose(self, node: Node, x: int, output: int, order: tuple[int, ...]) -> int:
        inputs = [x, self._constant(node, "order", np.array(order, np.int32))]
        self.file.operator("TRANSPOSE", inputs, output, options=schema.TransposeOptionsT())
        return output


def _pool_options(node: Node, padding: int) -> Any:
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = node.attrs["kernel"]
    options.strideH, options.strideW = node.attrs["stride"]
    options.padding = padding
    return options


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 4:
        return shape
    n, c, h, w = shape
    return n, h, w, c
