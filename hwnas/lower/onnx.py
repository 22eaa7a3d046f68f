"""write_onnx(program): the bytes of an .onnx file."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from .program import Node, Program

OPSET = 17
IR_VERSION = 8  # the one that came with this opset: older runtimes read it too


def write_onnx(program: Program) -> bytes:
    """An fp32 ONNX model with inputs and outputs named and shaped as the program's, (n, c, h, w)."""
    return onnx_model(program).SerializeToString()


def onnx_model(program: Program) -> ModelProto:
    writer = _Writer(program)
    for node in program.nodes:
        getattr(writer, node.op)(node)
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, program.shapes[name])
    inputs, outputs = [value(name) for name in program.inputs], [value(name) for name in program.outputs]
    graph = helper.make_graph(writer.nodes, "hwnas", inputs, outputs, writer.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hwnas")


class _Writer:
    """One method per primitive: it adds the ONNX nodes that do the same."""

    def __init__(self, program: Program):
        self.shapes = program.shapes
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def _add(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], output, **attributes))
        return output

    def _constant(self, name: str, value: Tensor | np.ndarray | float) -> str:
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value, None if isinstance(value, np.ndarray) else np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def _weights(self, node: Node) -> list[str]:
        return [self._constant(f"{node.output}.{name}", value) for name, value in node.weights.items()]

    def _integers(self, node: Node, name: str, values: list[int]) -> str:
        return self._constant(f"{node.output}.{name}", np.array(values, np.int64))

    def _same(self, op_type: str, node: Node, **attributes: Any) -> str:
        return self._add(op_type, list(node.inputs), node.output, **attributes)

    def conv2d(self, node: Node) -> None:
        a = node.attrs
        inputs = [node.inputs[0], *self._weights(node)]
        kernel = node.weights["weight"].shape[2:]
        self._add(
            "Conv", inputs, node.output,
            kernel_shape=kernel, strides=a["stride"], pads=a["padding"], dilations=a["dilation"], group=a["groups"],
        )  # fmt: skip

    def linear(self, node: Node) -> None:
        self._add("Gemm", [node.inputs[0], *self._weights(node)], node.output, transB=1)

    def scale_shift(self, node: Node) -> None:
        """BatchNormalization with mean 0 and variance 1: one node instead of Mul and Add."""
        channels = node.weights["scale"].numel()
        mean = self._constant(f"{node.output}.mean", np.zeros(channels, np.float32))
        variance = self._constant(f"{node.output}.variance", np.ones(channels, np.float32))
        self._add("BatchNormalization", [node.inputs[0], *self._weights(node), mean, variance], node.output, epsilon=0.0)

    def relu(self, node: Node) -> None:
        self._same("Relu", node)

    def relu6(self, node: Node) -> None:
        bounds = [self._constant(f"{node.output}.{name}", value) for name, value in (("min", 0), ("max", 6))]
        self._add("Clip", [node.inputs[0], *bounds], node.output)

    def hardswish(self, node: Node) -> None:
        self._same("HardSwish", node)

    def hardsigmoid(self, node: Node) -> None:
        self._same("HardSigmoid", node, alpha=1 / 6, beta=0.5)

    def sigmoid(self, node: Node) -> None:
        self._same("Sigmoid", node)

    def silu(self, node: Node) -> None:
        gate = self._add("Sigmoid", [node.inputs[0]], f"{node.output}.sigmoid")
        self._add("Mul", [node.inputs[0], gate], node.output)

    def gelu(self, node: Node) -> None:
        """x * (1 + erf(x / sqrt(2))) / 2, in the order that ONNX Runtime fuses."""
        x, name = node.inputs[0], node.output
        constants = {"sqrt2": 2**0.5, "one": 1, "half": 0.5}
        sqrt2, one, half = (self._constant(f"{name}.{key}", value) for key, value in constants.items())
        scaled = self._add("Div", [x, sqrt2], f"{name}.scaled")
        erf = self._add("Erf", [scaled], f"{name}.erf")
        gate = self._add("Add", [erf, one], f"{name}.gate")
        product = self._add("Mul", [x, gate], f"{name}.product")
        self._add("Mul", [product, half], name)

    def add(self, node: Node) -> None:
        self._same("Add", node)

    def mul(self, node: Node) -> None:
        self._same("Mul", node)

    def concat(self, node: Node) -> None:
        self._same("Concat", node, axis=1)

    def slice(self, node: Node) -> None:
        bounds = [self._integers(node, name, [value]) for name, value in (*node.attrs.items(), ("axis", 1))]
        self._add("Slice", [node.inputs[0], *bounds], node.output)

    def channel_shuffle(self, node: Node) -> None:
        (n, c, h, w), groups = self.shapes[node.output], node.attrs["groups"]
        apart = self._integers(node, "apart", [n, groups, c // groups, h, w])
        whole = self._integers(node, "whole", [n, c, h, w])
        grouped = self._add("Reshape", [node.inputs[0], apart], f"{node.output}.grouped")
        exchanged = self._add("Transpose", [grouped], f"{node.output}.exchanged", perm=[0, 2, 1, 3, 4])
        self._add("Reshape", [exchanged, whole], node.output)

    def max_pool(self, node: Node) -> None:
        a = node.attrs
        self._same("MaxPool", node, kernel_shape=a["kernel"], strides=a["stride"], pads=a["padding"])

    def avg_pool(self, node: Node) -> None:
        a = node.attrs
        pads, count = a["padding"], int(a["count_padding"])
        self._same("AveragePool", node, kernel_shape=a["kernel"], strides=a["stride"], pads=pads, count_include_pad=count)

    def global_avg_pool(self, node: Node) -> None:
        self._same("GlobalAveragePool", node)

    def flatten(self, node: Node) -> None:
        self._same("Flatten", node, axis=1)

    def constant(self, node: Node) -> None:
        self._constant(node.output, node.weights["value"])

    def identity(self, node: Node) -> None:
        self._same("Identity", node)
