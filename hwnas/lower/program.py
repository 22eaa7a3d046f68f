"""Program: a lowered network, a short list of primitives with their weights and the shape of every tensor.

Tensors are float32; images are (n, c, h, w) and features (n, c). The primitives are, with their inputs, their weights
and their attributes:

    conv2d            x; weight (o, i / groups, kh, kw), perhaps bias (o,); stride (2), padding (4), dilation (2), groups
    linear            x (n, i); weight (o, i), perhaps bias (o,)
    scale_shift       x; scale (c,), shift (c,): a BatchNorm that no convolution could take in
    relu relu6 hardswish hardsigmoid sigmoid silu gelu     x
    add mul           two tensors of one rank, broadcast
    concat            any number of tensors, along channels
    slice             x; start, stop: its channels start .. stop - 1
    channel_shuffle   x; groups
    max_pool          x; kernel (2), stride (2), padding (4)
    avg_pool          x; kernel (2), stride (2), padding (4), count_padding
    global_avg_pool   x (n, c, h, w) -> (n, c, 1, 1)
    flatten           x (n, c, h, w) -> (n, c * h * w)
    constant          no input; value (any shape)
    identity          x: what is handed through from an input to an output

Pairs are (vertical, horizontal); padding is (top, left, bottom, right).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import Tensor

ELEMENTWISE = ("relu", "relu6", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu")
OVERWRITES = (*ELEMENTWISE, "scale_shift", "add", "mul", "flatten", "identity")  # may write where their first input lies
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Node:
    """One primitive: reads the tensors `inputs`, writes the tensor `output`."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: dict[str, Any] = field(default_factory=dict)  # integers, booleans and tuples of integers
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Nodes in an order in which they can run; immutable by agreement: a pass over a program makes a new one.

    The facts below read shapes only, so they work on programs lowered from `torch.device("meta")` modules.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    shapes: dict[str, tuple[int, ...]]  # of every tensor, (n, c, h, w) or (n, c)

    @property
    def params(self) -> int:
        """Numbers in the file, counted after BatchNorm is folded into the convolutions."""
        return sum(weight.numel() for node in self.nodes for weight in node.weights.values())

    @property
    def weight_bytes(self) -> int:
        return FLOAT_BYTES * self.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers; what is done per element is not counted."""
        return sum(self.node_macs(node) for node in self.nodes)

    @property
    def peak_bytes(self) -> int:
        """Memory for activations: the most bytes of tensors alive at one time, weights not counted.

        An element-wise node overwrites its input where nobody else reads it, as every runtime does; all others need room for their
        inputs and their output.
        """
        last = {name: i for i, node in enumerate(self.nodes) for name in node.inputs}
        last |= dict.fromkeys(self.outputs, len(self.nodes))
        alive, peak = set(self.inputs), self._bytes(self.inputs)
        for i, node in enumerate(self.nodes):
            dying = {name for name in alive if last.get(name, -1) <= i}
            overwritten = _overwritten(node, dying, self.shapes)
            if node.op != "constant":
                alive.add(node.output)
            peak = max(peak, self._bytes(alive - overwritten))
            alive -= dying
        return peak

    def node_macs(self, node: Node) -> int:
        if node.op not in ("conv2d", "linear"):
            return 0
        return node.weights["weight"][0].numel() * prod(self.shapes[node.output])

    def node_bytes(self, node: Node) -> int:
        """Bytes that a node reads and writes: its inputs, its weights and its output."""
        return self._bytes((*node.inputs, node.output)) + FLOAT_BYTES * sum(weight.numel() for weight in node.weights.values())

    def _bytes(self, names: Any) -> int:
        return FLOAT_BYTES * sum(prod(self.shapes[name]) for name in names)


def _overwritten(node: Node, dying: set[str], shapes: dict[str, tuple[int, ...]]) -> set[str]:
    if node.op not in OVERWRITES:
        return set()
    fitting = [name for name in node.inputs if name in dying and prod(shapes[name]) == prod(shapes[node.output])]
    return set(fitting[:1])
