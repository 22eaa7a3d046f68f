"""Emitter: collects the nodes of a program while the walk meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .program import Node, Program
from .simplify import simplify
from .unknown import need


@dataclass(frozen=True)
class Ref:
    """A tensor of the program that is being built."""

    name: str
    shape: tuple[int, ...]


class Emitter:
    """Starts with the program's inputs; `emit` adds a node, `finish` makes the program."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]):
        self.inputs = [Ref(name, tuple(shape)) for name, shape in zip(numbered("input", len(shapes)), shapes)]
        self.nodes: list[Node] = []
        self.shapes = {ref.name: ref.shape for ref in self.inputs}

    def emit(
        self, op: str, inputs: Sequence[Ref], shape: Sequence[int], weights: dict[str, Tensor] | None = None, **attrs: int | tuple[int, ...]
    ) -> Ref:
        """Adds the node and returns the tensor it writes; `shape` is that tensor's."""
        output = Ref(f"{op}_{len(self.nodes)}", tuple(shape))
        self.shapes[output.name] = output.shape
        self.nodes.append(Node(op, tuple(ref.name for ref in inputs), output.name, attrs, weights or {}))
        return output

    def operand(self, value: Ref | Tensor | float, rank: int) -> Ref:
        """The value as a tensor of the program: numbers and weights become constants with `rank` dimensions."""
        if isinstance(value, Ref):
            need(len(value.shape) == rank, f"operands have {len(value.shape)} and {rank} dimensions")
            return value
        constant = as_weight(value if isinstance(value, Tensor) else torch.tensor(float(value)))
        need(constant.dim() <= rank, f"a constant has {constant.dim()} dimensions, the tensor {rank}")
        constant = constant.reshape((1,) * (rank - constant.dim()) + tuple(constant.shape))
        return self.emit("constant", (), constant.shape, {"value": constant})

    def finish(self, outputs: Sequence[Ref]) -> Program:
        """The program that computes the outputs, which it names "output", or "output0", "output1", ..."""
        made = {node.output for node in self.nodes if node.op != "constant"}
        named: dict[str, str] = {}
        for ref, name in zip(outputs, numbered("output", len(outputs))):
            if ref.name not in made or ref.name in named:  # an input, a constant, or an output already
                ref = self.emit("identity", [ref], ref.shape)
            named[ref.name] = name
        nodes = simplify(self.nodes, named)
        names = {node.output: f"{node.op}_{i}" for i, node in enumerate(nodes)} | named
        inputs = tuple(ref.name for ref in self.inputs)
        shapes = {names.get(name, name): self.shapes[name] for name in (*inputs, *(node.output for node in nodes))}
        return Program(inputs, tuple(named.values()), tuple(_renamed(node, names) for node in nodes), shapes)


def as_weight(value: Any) -> Tensor:
    """The value as a float32 tensor that no gradient follows; shape only if it lies on the meta device."""
    need(isinstance(value, Tensor), f"a weight is computed from the input ({type(value).__name__})")
    return value.detach() if value.is_meta else value.detach().to("cpu", torch.float32)


def _renamed(node: Node, names: dict[str, str]) -> Node:
    inputs = tuple(names.get(name, name) for name in node.inputs)
    return replace(node, inputs=inputs, output=names.get(node.output, node.output))


def numbered(name: str, count: int) -> list[str]:
    """How a program names its inputs and outputs: the bare name where there is one, else name0, name1, ..."""
    return [name] if count == 1 else [f"{name}{i}" for i in range(count)]
