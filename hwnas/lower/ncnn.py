"""write_ncnn(program): the bytes of ncnn's two files, .param and .bin.

ncnn has no batch dimension: images are (c, h, w), and what global pooling leaves is (c,), which it takes for (c, 1, 1) wherever that is
multiplied or added. A convolution of it is a matrix product, as ncnn's own converter has it. Activations go into the layer before them,
hard swish too, which that converter leaves apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..errors import HwnasError
from .ncnn_file import NcnnFile, Value
from .program import Node, Program
from .simplify import absorbed

_ADD, _MUL = 0, 2
_MAX, _AVERAGE = 0, 1
_VALID = 1  # pools by the window's positions that torch counts
_SIXTH = 1 / 6
_ACTIVATIONS: dict[str, dict[int, Value]] = {  # parameters 9 and 10 of a convolution and a matrix product
    "relu": {9: 1},
    "relu6": {9: 3, 10: (0.0, 6.0)},
    "sigmoid": {9: 4},
    "hardswish": {9: 6, 10: (_SIXTH, 0.5)},
}


def write_ncnn(program: Program, half: bool = False) -> tuple[bytes, bytes]:
    """(.param, .bin) with inputs in0, in1, ... and outputs out0, out1, ...; half: weights are stored in fp16.

    Raises HwnasError for a batch of more than one.
    """
    for name in program.inputs:
        if program.shapes[name][0] != 1:  # nothing that another converter could do
            raise HwnasError(f"ncnn has no batch dimension, {name} has shape {program.shapes[name]}: export with a batch of 1")
    writer = _Writer(program, NcnnFile(half))
    for node in program.nodes:
        if node.output not in writer.absorbed:
            getattr(writer, node.op)(node)
    return writer.file.to_bytes(program.inputs, [writer.image(name) for name in program.outputs])


class _Writer:
    """One method per primitive: it adds the ncnn layers that do the same."""

    def __init__(self, program: Program, file: NcnnFile):
        self.shapes, self.file = program.shapes, file
        self.constants: dict[str, Tensor] = {}
        self.flat: set[str] = set()  # images of one pixel whose blob is (c,)
        self.blobs: dict[str, str] = {}  # tensor -> the blob it lies in, where that has another name
        self.parts: dict[str, list[Node]] = {}  # image -> its slices
        for node in program.nodes:
            if node.op == "slice":
                self.parts.setdefault(node.inputs[0], []).append(node)
        self.activation, self.absorbed = absorbed(program, tuple(_ACTIVATIONS), ("conv2d", "linear"))

    def blob(self, name: str) -> str:
        """Where a tensor lies, flat or not."""
        if name in self.constants:
            value = self.constants.pop(name)
            self.file.layer("MemoryData", [], name, params=dict(enumerate(reversed(value.shape[1:]))))
            self.file.weight(value.numpy())
        return self.blobs.get(name, name)

    def image(self, name: str) -> str:
        """The same in as many dimensions as its shape has."""
        blob = self.blob(name)
        if name in self.flat:
            self.flat.discard(name)
            self.blobs[name] = f"{blob}_image"
            self.file.layer("Reshape", [blob], self.blobs[name], params={0: 1, 1: 1, 2: self.shapes[name][1]})
        return self.blobs.get(name, name)

    def _write(self, type: str, node: Node, params: dict[int, Value] | None = None, flat: bool = False) -> None:
        """The layer that writes what the node writes, or the activation that it absorbed; flat: it takes (c,) for (c, 1, 1)."""
        inputs = [self.blob(name) if flat else self.image(name) for name in node.inputs]
        last = self.activation.get(node.output, node)
        self.file.layer(type, inputs, last.output, params=(params or {}) | (_ACTIVATIONS[last.op] if last is not node else {}))

    def _each(self, type: str, node: Node, params: dict[int, Value] | None = None) -> None:
        """A layer that changes no dimension."""
        self._write(type, node, params, flat=True)
        if node.inputs[0] in self.flat:
            self.flat.add(node.output)

    def _product(self, node: Node) -> None:
        weight, bias = node.weights["weight"], node.weights.get("bias")
        self._write("InnerProduct", node, {0: weight.shape[0], 1: int(bias is not None), 2: weight.numel()}, flat=True)
        self._weights(weight, bias)

    def _weights(self, weight: Tensor, bias: Tensor | None) -> None:
        self.file.main_weight(weight.numpy())
        if bias is not None:
            self.file.weight(bias.numpy())

    def conv2d(self, node: Node) -> None:
        weight, bias, a = node.weights["weight"], node.weights.get("bias"), node.attrs
        (count, _, *kernel), groups = weight.shape, a["groups"]
        if node.inputs[0] in self.flat and kernel == [1, 1] and groups == 1 and not any(a["padding"]):
            self._product(node)
            self.flat.add(self.activation.get(node.output, node).output)
            return
        params = {0: count, **_window(kernel, 1), **_window(a["dilation"], 2), **_window(a["stride"], 3), **_padding(a["padding"], 4, 14)}
        params |= {5: int(bias is not None), 6: weight.numel()} | ({7: groups} if groups > 1 else {})
        self._write("ConvolutionDepthWise" if groups > 1 else "Convolution", node, params)
        self._weights(weight, bias)

    def linear(self, node: Node) -> None:
        self._product(node)

    def scale_shift(self, node: Node) -> None:
        self._each("Scale", node, {0: node.weights["scale"].numel(), 1: 1})
        for name in ("scale", "shift"):
            self.file.weight(node.weights[name].numpy())

    def relu(self, node: Node) -> None:
        self._each("ReLU", node)

    def relu6(self, node: Node) -> None:
        self._each("Clip", node, {0: 0.0, 1: 6.0})

    def hardswish(self, node: Node) -> None:
        self._each("HardSwish", node, {0: _SIXTH, 1: 0.5})

    def hardsigmoid(self, node: Node) -> None:
        self._each("HardSigmoid", node, {0: _SIXTH, 1: 0.5})

    def sigmoid(self, node: Node) -> None:
        self._each("Sigmoid", node)

    def silu(self, node: Node) -> None:
        self._each("Swish", node)

    def gelu(self, node: Node) -> None:
        self._each("GELU", node, {0: 0})  # by the error function

    def add(self, node: Node) -> None:
        self._arithmetic(node, _ADD)

    def mul(self, node: Node) -> None:
        self._arithmetic(node, _MUL)

    def _arithmetic(self, node: Node, op: int) -> None:
        numbers = [name for name in node.inputs if name in self.constants and self.constants[name].numel() == 1]
        if numbers:
            (other,) = (name for name in node.inputs if name != numbers[0])
            scalar = float(self.constants[numbers[0]])
            self._each("BinaryOp", Node(node.op, (other,), node.output), {0: op, 1: 1, 2: scalar})
            return
        if all(name in self.flat for name in node.inputs):
            self.flat.add(node.output)
        self._write("BinaryOp", node, {0: op}, flat=True)

    def concat(self, node: Node) -> None:
        self._write("Concat", node, {0: 0})

    def slice(self, node: Node) -> None:
        """One layer for all slices of an image, where they are its parts one after the other."""
        parts = self.parts[node.inputs[0]]
        stops = [part.attrs["stop"] for part in parts]
        if [part.attrs["start"] for part in parts] != [0, *stops[:-1]] or stops[-1] != self.shapes[node.inputs[0]][1]:
            self._write("Crop", node, {9: (node.attrs["start"],), 10: (node.attrs["stop"],), 11: (0,)})
        elif node is parts[0]:
            sizes = tuple(self.shapes[part.output][1] for part in parts)
            self.file.layer("Slice", [self.image(node.inputs[0])], *(part.output for part in parts), params={0: sizes, 1: 0})

    def channel_shuffle(self, node: Node) -> None:
        self._write("ShuffleChannel", node, {0: node.attrs["groups"]})

    def max_pool(self, node: Node) -> None:
        self._write("Pooling", node, {0: _MAX, **self._pool(node)})

    def avg_pool(self, node: Node) -> None:
        self._write("Pooling", node, {0: _AVERAGE, **self._pool(node), 6: int(node.attrs["count_padding"])})

    def _pool(self, node: Node) -> dict[int, Value]:
        a = node.attrs
        return {**_window(a["kernel"], 1), **_window(a["stride"], 2), **_padding(a["padding"], 3, 13), 5: _VALID}

    def global_avg_pool(self, node: Node) -> None:
        self._write("Pooling", node, {0: _AVERAGE, 4: 1})
        self.flat.add(node.output)

    def flatten(self, node: Node) -> None:
        (name,) = node.inputs
        if name in self.flat:
            self.blobs[node.output] = self.blob(name)
        else:
            self._write("Flatten", node)

    def constant(self, node: Node) -> None:
        """Written where it is read, since a number is a parameter of what reads it."""
        self.constants[node.output] = node.weights["value"]

    def identity(self, node: Node) -> None:
        self._write("Noop", node)


def _window(pair: Sequence[int], k: int) -> dict[int, Value]:
    """Parameters k (horizontal) and 10 + k (vertical) of (vertical, horizontal)."""
    return {k: pair[1], 10 + k: pair[0]}


def _padding(padding: tuple[int, int, int, int], left: int, top: int) -> dict[int, Value]:
    """Parameters left, top, and the two after top (right, bottom), of (top, left, bottom, right)."""
    return {left: padding[1], top: padding[0], top + 1: padding[3], top + 2: padding[2]}
