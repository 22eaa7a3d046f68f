"""Facts: what can be said of a block without a device, counted on its lowered form."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch

from ..block import Block
from ..lower import Program, lower
from ..ops import build, input_shapes
from .precision import NODE_BYTES

FILE_BYTES = 600  # what every file has: header, version, signature, about


class Facts(NamedTuple):
    """Counts of one block at batch 1, fp32."""

    params: int
    macs: int
    memory_bytes: int  # peak of activations alive at once, input and output included
    file_bytes: int  # weights, and the operators' own share of the file
    out_bytes: int
    biases: int  # of params, those that stay wide in an int8 file
    nodes: int  # operators


@cache
def program_of(block: Block) -> Program:
    """The block lowered on the meta device: shapes and counts, no weights."""
    with torch.device("meta"):
        module = build(block)
    return lower(module, *input_shapes(block))


@cache
def facts(block: Block) -> Facts:
    """Counted on the lowered program, so that no operator needs formulas of its own."""
    program = program_of(block)
    out_bytes = 4
    for n in program.shapes[program.outputs[0]]:
        out_bytes *= n
    file_bytes = program.weight_bytes + NODE_BYTES * len(program.nodes)
    biases = sum(node.weights["bias"].numel() for node in program.nodes if "bias" in node.weights)
    return Facts(program.params, program.macs, program.peak_bytes, file_bytes, out_bytes, biases, len(program.nodes))
