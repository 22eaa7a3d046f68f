"""simplify(nodes, outputs): drops dead code and folds BatchNorm into the convolution before it; split_hardswish(program)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from .program import Node, Program


def simplify(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Fewer nodes that compute the same outputs."""
    outputs = set(outputs)
    return _fold_scale_shift(_drop_dead(nodes, outputs), outputs)


def split_hardswish(program: Program) -> Program:
    """The same program with x * hardsigmoid(x) for every hardswish: what TFLite has no quick int8 kernel for (197 us against 6 us)."""
    nodes: list[Node] = []
    shapes = dict(program.shapes)
    for node in program.nodes:
        if node.op == "hardswish":
            gate = Node("hardsigmoid", node.inputs, f"{node.output}.gate")
            shapes[gate.output] = shapes[node.output]
            nodes += [gate, Node("mul", (*node.inputs, gate.output), node.output)]
        else:
            nodes.append(node)
    return replace(program, nodes=tuple(nodes), shapes=shapes)


def _drop_dead(nodes: Sequence[Node], outputs: set[str]) -> list[Node]:
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _fold_scale_shift(nodes: Sequence[Node], outputs: set[str]) -> list[Node]:
    """A scale_shift that alone reads a conv2d or linear becomes part of its weight and bias."""
    readers = Counter(name for node in nodes for name in node.inputs) + Counter(outputs)
    result: list[Node] = []
    place: dict[str, int] = {}  # tensor -> index in `result` of the node that writes it
    for node in nodes:
        at = place.get(node.inputs[0]) if node.op == "scale_shift" else None
        if at is not None and result[at].op in ("conv2d", "linear") and readers[node.inputs[0]] == 1:
            result[at] = _folded(result[at], node)
        else:
            at = len(result)
            result.append(node)
        place[node.output] = at
    return result


def _folded(node: Node, scale_shift: Node) -> Node:
    weight, bias = node.weights["weight"], node.weights.get("bias")
    scale, shift = scale_shift.weights["scale"], scale_shift.weights["shift"]
    if weight.is_meta:  # only shapes matter, and torch's arithmetic on meta tensors takes seconds to import
        return replace(node, output=scale_shift.output, weights={"weight": weight, "bias": torch.empty_like(shift)})
    per_output = scale.reshape(-1, *[1] * (weight.dim() - 1))
    weights = {"weight": weight * per_output, "bias": shift if bias is None else bias * scale + shift}
    return replace(node, output=scale_shift.output, weights=weights)
