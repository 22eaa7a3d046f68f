"""simplify(nodes, outputs): fewer nodes for the same; split_hardswish(program) and absorbed(program, ...): what writers ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import torch

from .program import Node, Program


def simplify(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Fewer nodes that compute the same outputs."""
    outputs = set(outputs)
    return _fold_scale_shift(_merge_twins(_drop_dead(nodes, outputs), outputs), outputs)


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


def absorbed(program: Program, activations: Collection[str], writers: Collection[str]) -> tuple[dict[str, Node], set[str]]:
    """(tensor -> the activation that its writer applies, tensors that those write).

    Where one of the activations, and nothing else, reads what a node of the ops `writers` wrote.
    """
    readers = Counter(name for node in program.nodes for name in node.inputs) + Counter(program.outputs)
    ops = {node.output: node.op for node in program.nodes}
    nodes = [node for node in program.nodes if node.op in activations]
    taken_in = {node.inputs[0]: node for node in nodes if ops.get(node.inputs[0]) in writers and readers[node.inputs[0]] == 1}
    return taken_in, {node.output for node in taken_in.values()}


def _drop_dead(nodes: Sequence[Node], outputs: set[str]) -> list[Node]:
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _merge_twins(nodes: Sequence[Node], outputs: set[str]) -> list[Node]:
    """One node where several without weights do the same: the edges of a cell each begin with a ReLU of what they read."""
    kept: list[Node] = []
    made: dict[tuple[object, ...], str] = {}  # what a node does -> the tensor that has it
    same: dict[str, str] = {}
    for node in nodes:
        node = replace(node, inputs=tuple(same.get(name, name) for name in node.inputs))
        does = node.op, node.inputs, tuple(sorted(node.attrs.items()))
        if node.weights or node.output in outputs or does not in made:
            kept.append(node)
            if not node.weights:
                made.setdefault(does, node.output)
        else:
            same[node.output] = made[does]
    return kept


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
