"""BlockNodes: what a latency predictor reads of blocks: their nodes, by kind and shape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ..block import Block
from ..cost.facts import program_of
from ..lower.features import COMPUTE_KINDS, MEMORY_KINDS, kind_of

KINDS = (*COMPUTE_KINDS, *MEMORY_KINDS)
# What tells about each other: a runtime's depthwise kernels are alike, whatever their size and stride, and both stand in the shape.
FAMILIES = tuple("depthwise" if kind.startswith("depthwise") else kind for kind in KINDS)
LANES = 16  # channels that a runtime works on at once: what is not a multiple is padded


class BlockNode(NamedTuple):
    kind: int  # index into KINDS
    counts: tuple[float, float, float]  # multiply-accumulates, bytes moved, calls
    shape: tuple[float, ...]  # logs of: channels in, out, size out, kernel, stride, and how far either is padded to LANES

    @property
    def family(self) -> int:
        """Index into FAMILIES of the first of its family."""
        return FAMILIES.index(FAMILIES[self.kind])


@cache
def nodes_of(block: Block) -> tuple[BlockNode, ...]:
    """The nodes of a block's program that cost something."""
    program, found = program_of(block), []
    for node in program.nodes:
        kind = kind_of(node)
        if kind is None:
            continue
        before, after = program.shapes[node.inputs[0]], program.shapes[node.output]
        size = np.sqrt(after[2] * after[3]) if len(after) == 4 else 1
        kernel, stride = (node.weights["weight"].shape[2], node.attrs["stride"][0]) if node.op == "conv2d" else (1, 1)
        numbers = (before[1], after[1], size, kernel, stride, _padded(before[1]), _padded(after[1]))
        counts = (float(program.node_macs(node) if kind in COMPUTE_KINDS else 0), float(program.node_bytes(node)), 1.0)
        found.append(BlockNode(KINDS.index(kind), counts, tuple(float(np.log(v)) for v in numbers)))
    return tuple(found)


def count_sums(blocks: Sequence[Block]) -> np.ndarray:
    """(n, 3 x kinds) each block's counts summed for each kind: what non-negative least squares fits a device on."""
    sums = np.zeros((len(blocks), len(KINDS), 3))
    for row, block in zip(sums, blocks):
        for node in nodes_of(block):
            row[node.kind] += node.counts
    return sums.reshape(len(blocks), -1)


def block_shapes(blocks: Sequence[Block]) -> np.ndarray:
    """(n, 10) logs of the blocks' own numbers."""
    numbers = [
        (b.cin, b.cout, b.cin * b.expand, b.height, b.stride, b.kernel, 1 + (b.se > 0), 1 + (b.act == "hswish"), b.inputs, 1 + b.residual)
        for b in blocks
    ]
    return np.log(np.array(numbers, float).reshape(len(blocks), -1))


def _padded(channels: int) -> float:
    return -(-channels // LANES) * LANES / channels
